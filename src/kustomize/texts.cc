#include "kustomize/texts.h"

#include <algorithm>

#include "base/fd.h"
#include "base/text.h"

namespace archway::kustomize {

namespace {

// Where the line begins (from 1), and where it ends.
std::pair<size_t, size_t> line_span(std::string_view text, size_t from, size_t lines) {
  size_t begin = from;
  for (size_t i = 0; i < lines; ++i) {
    size_t end = text.find('\n', begin);
    if (end == text.npos) return {text.size(), text.size()};
    begin = end + 1;
  }
  size_t end = std::min(text.find('\n', begin), text.size());
  if (end > begin && text[end - 1] == '\r') --end;
  return {begin, end};
}

uint32_t code_points(std::string_view text) {
  return static_cast<uint32_t>(std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

}  // namespace

Result<Texts::Text*> Texts::add(std::string path, Kind kind, std::string owned, std::string_view borrowed) {
  uint64_t size = kind == Kind::Inside ? borrowed.size() : owned.size();
  if (next_ + size + 1 > kMaxAddress) return Error{Code::Unsupported, path + ": the files of this kustomization have more than 4 GB together"};
  Text& text = texts_.emplace_back();
  text.path = std::move(path);
  text.kind = kind;
  text.owned = std::move(owned);
  text.text = kind == Kind::Inside ? borrowed : std::string_view(text.owned);
  text.address = static_cast<uint32_t>(next_);
  next_ += size + 1;
  return &text;
}

Result<void> Texts::parse(Text& text) {
  auto parsed = parse_value_trees(text.text, arena_, {0, 0, text.text.size(), text.address});
  if (!parsed.ok()) {
    // JSON has escapes that libyaml refuses; what is read so has no lines.
    auto json = parse_json(text.text);
    if (!json.ok()) return std::move(parsed).error();
    text.documents = {{value_of_json(jsons_.emplace_back(std::move(*json)), arena_), 0}};
    return {};
  }
  text.documents = std::move(*parsed);
  return {};
}

Result<const std::vector<ValueDocument>*> Texts::documents(const std::string& path) {
  if (auto at = files_.find(path); at != files_.end()) return &at->second->documents;
  std::string read = TRY(read_file(path, kMaxTextBytes));
  Text* text = TRY(add(path, Kind::File, std::move(read), {}));
  TRY(parse(*text));
  files_.emplace(path, text);
  return &text->documents;
}

Result<const std::vector<ValueDocument>*> Texts::documents(const Value& value) {
  const Value& self = value.followed();
  auto key = std::pair(self.begin, self.text.data());
  if (auto at = insides_.find(key); at != insides_.end()) return &at->second->documents;
  const Text* outer = self.line == 0 ? nullptr : at(self.begin);
  Text* text = TRY(add(outer ? outer->path : "", Kind::Inside, {}, self.text));
  text->outer = outer ? self.begin : 0;
  text->outer_end = self.end;
  text->outer_line = self.line;
  text->outer_column = self.column;
  text->style = self.style;
  TRY(parse(*text));
  insides_.emplace(key, text);
  return &text->documents;
}

Result<const std::vector<ValueDocument>*> Texts::printed(std::string output, const std::string& source) {
  Text* text = TRY(add(source, Kind::Printed, std::move(output), {}));
  TRY(parse(*text));
  return &text->documents;
}

Result<const Value*> Texts::content(const std::string& path) {
  auto known = contents_.find(path);
  Text* text = known == contents_.end() ? nullptr : known->second;
  if (!text) {
    std::string read = TRY(read_file(path, kMaxTextBytes));
    text = TRY(add(path, Kind::Content, std::move(read), {}));
    contents_.emplace(path, text);
  }
  Value* value = arena_.make();
  value->style = Value::Style::Plain;
  value->text = text->text;
  value->begin = text->address;
  value->end = text->address + static_cast<uint32_t>(text->text.size());
  value->line = value->column = 1;
  return value;
}

const Texts::Text* Texts::at(uint32_t address) const {
  auto above = std::upper_bound(texts_.begin(), texts_.end(), address, [](uint32_t value, const Text& text) { return value < text.address; });
  return above == texts_.begin() ? nullptr : &*std::prev(above);
}

Span Texts::locate(uint32_t begin, uint32_t end, uint32_t line, uint32_t column) const {
  const Text* text = line == 0 ? nullptr : at(begin);
  if (!text) return {};
  if (text->kind == Kind::Inside) return inside(*text, begin, end, line);
  Span span{text->path, 0, line, column, 0, 0};
  if (text->kind == Kind::Printed) {
    span.line = span.column = 0;
    return span;
  }
  for (size_t i = 0; i < text->documents.size(); ++i) {
    if (text->documents[i].root && text->documents[i].root->begin <= begin) span.document = i;
  }
  // What begins in one text and ends in another has been put together.
  if (begin < end && end - text->address <= text->text.size()) {
    span.begin = begin - text->address;
    span.end = end - text->address;
  }
  if (text->kind == Kind::Content) {
    std::string_view before = text->text.substr(0, begin - text->address);
    size_t start = before.rfind('\n') == before.npos ? 0 : before.rfind('\n') + 1;
    span.line = 1 + static_cast<uint32_t>(std::count(before.begin(), before.end(), '\n'));
    span.column = 1 + code_points(before.substr(start));
  }
  return span;
}

// A text in a literal block stands there line by line, further to the right; in quotes or plain, perhaps as it is. Else only the value
// that holds it is named.
Span Texts::inside(const Text& text, uint32_t begin, uint32_t end, uint32_t line) const {
  const Text* outer = text.outer == 0 ? nullptr : at(text.outer);
  if (!outer || outer->kind != Kind::File) return {text.path, 0, text.outer_line, text.outer_column, 0, 0};
  Span whole{outer->path, 0, text.outer_line, text.outer_column, 0, 0};
  if (end < begin || end - text.address > text.text.size()) end = begin;
  size_t inner = begin - text.address;
  size_t from = text.outer - outer->address;
  if (text.style == Value::Style::Plain || text.style == Value::Style::SingleQuoted || text.style == Value::Style::DoubleQuoted) {
    size_t quote = text.style == Value::Style::Plain ? 0 : 1;
    if (outer->text.substr(from + quote, text.text.size()) != text.text || text.text.find('\n') != text.text.npos) return whole;
    whole.column += static_cast<uint32_t>(quote) + code_points(text.text.substr(0, inner));
    whole.begin = static_cast<uint32_t>(from + quote + inner);
    whole.end = whole.begin + (end - begin);
    return whole;
  }
  if (text.style != Value::Style::Literal) return whole;
  auto [inner_begin, inner_end] = line_span(text.text, 0, line - 1);
  auto [outer_begin, outer_end] = line_span(outer->text, from, line);
  std::string_view want = text.text.substr(inner_begin, inner_end - inner_begin), have = outer->text.substr(outer_begin, outer_end - outer_begin);
  if (inner < inner_begin || !have.ends_with(want)) return whole;
  size_t indent = have.size() - want.size();
  whole.line += line;
  whole.column = static_cast<uint32_t>(indent) + 1 + code_points(text.text.substr(inner_begin, inner - inner_begin));
  // A value of several lines has the indent in each of them.
  if (begin < end && end - text.address <= inner_end) {
    whole.begin = static_cast<uint32_t>(outer_begin + indent + (inner - inner_begin));
    whole.end = whole.begin + (end - begin);
  }
  return whole;
}

}  // namespace archway::kustomize
