#include "audit/plain_yaml.h"

#include <array>
#include <cstring>
#include <vector>

#include "format/yaml_scalar.h"

namespace archway::audit {

namespace {

using Kind = YamlNode::Kind;
using Style = YamlNode::Style;

constexpr size_t kMaxKeyBytes = 1000;  // libyaml takes no longer ones without "?"

// What a byte may be part of.
enum Class : uint8_t {
  kText = 1,       // in a document at all
  kKey = 2,        // in a key without quotes
  kFlowWord = 4,   // in a word in a flow collection
  kIndicator = 8,  // means something where a word begins
};

constexpr std::array<uint8_t, 256> classes() {
  std::array<uint8_t, 256> table{};
  for (int c = ' '; c < 0x7f; ++c) table[static_cast<size_t>(c)] = kText;
  table['\n'] = kText;
  for (int c = 0; c < 256; ++c) {
    bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (letter || c == '.' || c == '_' || c == '/' || c == '-') table[static_cast<size_t>(c)] |= kKey | kFlowWord;
    if (c == '@' || c == '=' || c == '+' || c == '$') table[static_cast<size_t>(c)] |= kFlowWord;
  }
  for (char c : std::string_view("-?:,[]{}#&*!|>'\"%@`")) table[static_cast<unsigned char>(c)] |= kIndicator;
  return table;
}
constexpr std::array<uint8_t, 256> kClasses = classes();

bool is(char c, Class wanted) { return (kClasses[static_cast<unsigned char>(c)] & wanted) != 0; }

bool all_text(std::string_view text) {
  uint8_t all = kText;
  for (char c : text) all &= kClasses[static_cast<unsigned char>(c)];
  return (all & kText) != 0;
}

// A string by YAML 1.1, unless it looks like a number, a boolean or null: most words can be told by how they begin.
bool word_is_string(std::string_view text) {
  if (text.empty()) return false;
  if (std::strchr("yYnNtTfFoO~", text[0]) ? text.size() > 5 : !std::strchr("0123456789+-.", text[0])) return true;
  auto value = resolve_yaml_scalar(text);
  return value && value->is_string();
}

struct Scalar {
  uint32_t begin = 0, end = 0, line = 0, column = 0;
  Style style = Style::Plain;
  std::string_view text;
};

// Builder is told of keys and values in order: scalar(Scalar, is_key), open(kind, style, begin, line, column), close(end). What it answers
// to a scalar or an open is whether to go on.
template <class Builder>
class PlainReader {
 public:
  PlainReader(std::string_view text, Builder& builder) : text_(text), builder_(builder) {}

  // False: not so plain, or the builder had enough.
  bool read(uint32_t& begin) {
    if (text_.size() > kMaxPlainYamlBytes || !all_text(text_)) return false;
    begin = 0;
    if (text_.starts_with("---")) {
      at_ = begin = 3;
      if (!rest_of_line()) return false;
    }
    if (!content_line()) return false;
    return block(0) && at_end_;
  }

 private:
  bool at_line_end() const { return at_ >= text_.size() || text_[at_] == '\n'; }
  void blanks() {
    while (at_ < text_.size() && text_[at_] == ' ') ++at_;
  }

  // Nothing but blanks and a comment; afterwards the next line begins.
  bool rest_of_line() {
    size_t from = at_;
    blanks();
    if (!at_line_end()) {
      if (text_[at_] != '#' || at_ == from) return false;
      at_ = std::min(text_.find('\n', at_), text_.size());
    }
    next_line();
    return true;
  }

  void next_line() {
    if (at_ < text_.size()) {
      ++at_;
      ++line_;
    }
    line_begin_ = at_;
  }

  // To the first byte of the next line that says something. False: there is none.
  bool content_line() {
    for (;;) {
      blanks();
      if (at_ >= text_.size()) {
        at_end_ = true;
        return false;
      }
      if (text_[at_] == '#') at_ = std::min(text_.find('\n', at_), text_.size());
      else if (text_[at_] != '\n') break;
      if (at_ >= text_.size()) {
        at_end_ = true;
        return false;
      }
      next_line();
    }
    indent_ = at_ - line_begin_;
    return true;
  }

  uint32_t column() const { return static_cast<uint32_t>(at_ - line_begin_ + 1); }
  bool is_dash() const { return text_[at_] == '-' && (at_ + 1 >= text_.size() || text_[at_ + 1] == ' ' || text_[at_ + 1] == '\n'); }

  // What the current line begins, or continues behind "- ".
  bool block(size_t depth) {
    if (depth > kMaxPlainYamlDepth) return false;
    return is_dash() ? sequence(depth) : mapping(depth);
  }

  bool mapping(size_t depth) {
    size_t indent = at_ - line_begin_;
    if (!builder_.open(Kind::Mapping, Style::Block, static_cast<uint32_t>(at_), line_, column())) return false;
    for (;;) {
      Scalar key;
      if (!read_key(key) || !builder_.scalar(key, true) || !value(indent, depth, true)) return false;
      if (at_end_ || indent_ < indent) break;
      if (indent_ > indent || is_dash()) return false;
    }
    builder_.close(end_);
    return true;
  }

  bool sequence(size_t depth) {
    size_t indent = at_ - line_begin_;
    if (!builder_.open(Kind::Sequence, Style::Block, static_cast<uint32_t>(at_), line_, column())) return false;
    for (;;) {
      ++at_;
      if (!value(indent, depth, false)) return false;
      if (at_end_ || indent_ < indent || (indent_ == indent && !is_dash())) break;
      if (indent_ > indent) return false;
    }
    builder_.close(end_);
    return true;
  }

  // Behind ":" or "-", which stands at `indent` or in whose mapping's column. Afterwards at the next line of content.
  bool value(size_t indent, size_t depth, bool of_key) {
    size_t mark = at_;
    uint32_t mark_line = line_, mark_column = column();
    blanks();
    if (at_line_end() || text_[at_] == '#') {
      at_ = mark;
      if (!rest_of_line()) return false;
      bool more = content_line();
      if (more && (indent_ > indent || (of_key && indent_ == indent && is_dash()))) return block(depth + 1);
      end_ = static_cast<uint32_t>(mark);
      return builder_.scalar({end_, end_, mark_line, mark_column, Style::Plain, {}}, false);
    }
    if (!of_key && (is_dash() || is_key())) return !is_dash() && mapping(depth + 1);
    if (text_[at_] == '|') return literal(indent);
    if (!inline_value(depth)) return false;
    if (!rest_of_line()) return false;
    // Deeper, it would go on with what stands here.
    return !content_line() || indent_ <= indent;
  }

  bool inline_value(size_t depth) {
    char c = text_[at_];
    if (c == '[' || c == '{') return flow(depth + 1);
    Scalar scalar;
    bool good = c == '"' || c == '\'' ? read_quoted(scalar) : read_word(scalar);
    end_ = scalar.end;
    return good && builder_.scalar(scalar, false);
  }

  Scalar begin_scalar(Style style) const { return {static_cast<uint32_t>(at_), 0, line_, column(), style, {}}; }

  // A line's words, up to a comment.
  bool read_word(Scalar& out) {
    bool argument = text_[at_] == '-' && at_ + 1 < text_.size() && text_[at_ + 1] != ' ' && text_[at_ + 1] != '\n';
    if (is(text_[at_], kIndicator) && !argument) return false;
    out = begin_scalar(Style::Plain);
    size_t end = std::min(text_.find('\n', at_), text_.size());
    for (size_t i = at_; i < end; ++i) {
      if (text_[i] == ':' && (i + 1 == end || text_[i + 1] == ' ')) return false;
      if (text_[i] == '#' && text_[i - 1] == ' ') {
        end = i;
        break;
      }
    }
    while (end > at_ && text_[end - 1] == ' ') --end;
    return finish(out, end, text_.substr(at_, end - at_));
  }

  bool read_quoted(Scalar& out) {
    char quote = text_[at_];
    out = begin_scalar(quote == '"' ? Style::DoubleQuoted : Style::SingleQuoted);
    size_t end = at_ + 1;
    while (end < text_.size() && text_[end] != quote && text_[end] != '\n' && text_[end] != '\\') ++end;
    if (end < text_.size() && text_[end] == '\\' && quote == '\'') {
      while (end < text_.size() && text_[end] != quote && text_[end] != '\n') ++end;
    }
    if (end >= text_.size() || text_[end] != quote) return false;
    bool doubled = end + 1 < text_.size() && text_[end + 1] == quote;
    return !doubled && finish(out, end + 1, text_.substr(at_ + 1, end - at_ - 1));
  }

  bool finish(Scalar& out, size_t end, std::string_view text) {
    out.end = static_cast<uint32_t>(end);
    out.text = text;
    at_ = end;
    return true;
  }

  // Where a key's word ends, if one stands here: before its ":".
  size_t key_end() const {
    size_t end = at_;
    while (end < text_.size() && is(text_[end], kKey)) ++end;
    bool colon = end > at_ && end + 1 <= text_.size() && end < text_.size() && text_[end] == ':' && (end + 1 == text_.size() || text_[end + 1] == ' ' || text_[end + 1] == '\n');
    return colon && text_[at_] != '-' && end - at_ <= kMaxKeyBytes ? end : 0;
  }

  bool is_key() {
    if (text_[at_] != '"' && text_[at_] != '\'') return key_end() > 0;
    size_t from = at_;
    Scalar scalar;
    bool good = read_quoted(scalar) && at_ < text_.size() && text_[at_] == ':';
    at_ = from;
    return good;
  }

  // Its ":" too.
  bool read_key(Scalar& out) {
    if (text_[at_] == '"' || text_[at_] == '\'') {
      if (!read_quoted(out) || out.end - out.begin > kMaxKeyBytes || at_ >= text_.size() || text_[at_] != ':') return false;
      ++at_;
      return at_line_end() || text_[at_] == ' ';
    }
    size_t end = key_end();
    if (end == 0) return false;
    out = begin_scalar(Style::Plain);
    finish(out, end, text_.substr(at_, end - at_));
    ++at_;
    return word_is_string(out.text);
  }

  // [a, "b"] and {a: b}, on one line.
  bool flow(size_t depth) {
    if (depth > kMaxPlainYamlDepth) return false;
    bool map = text_[at_] == '{';
    char closing = map ? '}' : ']';
    if (!builder_.open(map ? Kind::Mapping : Kind::Sequence, Style::Flow, static_cast<uint32_t>(at_), line_, column())) return false;
    ++at_;
    blanks();
    for (bool first = true; at_line_end() || text_[at_] != closing; first = false) {
      if (at_line_end()) return false;
      if (!first) {
        if (text_[at_] != ',') return false;
        ++at_;
        blanks();
        if (at_line_end()) return false;
      }
      if (map && !flow_key()) return false;
      if (!flow_value(depth)) return false;
      blanks();
    }
    ++at_;
    end_ = static_cast<uint32_t>(at_);
    builder_.close(end_);
    return true;
  }

  bool flow_key() {
    Scalar key;
    if (!read_key(key) || !builder_.scalar(key, true)) return false;
    blanks();
    return !at_line_end();
  }

  bool flow_value(size_t depth) {
    char c = text_[at_];
    if (c == '[' || c == '{') return flow(depth + 1);
    Scalar scalar;
    if (c == '"' || c == '\'') {
      if (!read_quoted(scalar)) return false;
    } else {
      if (!is(c, kFlowWord) || c == '@') return false;
      scalar = begin_scalar(Style::Plain);
      size_t end = at_;
      while (end < text_.size() && (is(text_[end], kFlowWord) || (text_[end] == ':' && end + 1 < text_.size() && is(text_[end + 1], kFlowWord)))) ++end;
      if (text_[at_] == '-' && end == at_ + 1) return false;
      finish(scalar, end, text_.substr(at_, end - at_));
    }
    // What ends it: "a b", "a: b" and "a #" are more than is read here.
    size_t then = at_;
    while (then < text_.size() && text_[then] == ' ') ++then;
    if (then >= text_.size() || (text_[then] != ',' && text_[then] != ']' && text_[then] != '}')) return false;
    return builder_.scalar(scalar, false);
  }

  // "|" or "|-" and the lines below that are deeper than `indent`.
  bool literal(size_t indent) {
    Scalar out = begin_scalar(Style::Literal);
    ++at_;
    bool strip = at_ < text_.size() && text_[at_] == '-';
    at_ += strip;
    while (!at_line_end()) {
      if (text_[at_++] != ' ') return false;
    }
    next_line();
    size_t deep = 0;
    while (at_ + deep < text_.size() && text_[at_ + deep] == ' ') ++deep;
    if (deep <= indent || at_ + deep >= text_.size() || text_[at_ + deep] == '\n') return false;
    literal_.clear();
    size_t last = at_;       // behind the last line that is not empty
    size_t empty_lines = 0;
    while (at_ < text_.size()) {
      size_t end = std::min(text_.find('\n', at_), text_.size()), blank = at_;
      while (blank < end && text_[blank] == ' ') ++blank;
      if (blank == end) {
        if (end > at_) return false;  // blanks alone may belong to the text or not
        ++empty_lines;
      } else {
        if (blank - at_ < deep) break;
        literal_.append(empty_lines, '\n');
        empty_lines = 0;
        literal_ += text_.substr(at_ + deep, end - at_ - deep);
        if (literal_.back() == ' ') return false;  // whose end is worth a thought
        if (end < text_.size()) literal_ += '\n';
        last = end;
      }
      at_ = end;
      next_line();
    }
    if (strip && literal_.ends_with('\n')) literal_.pop_back();
    out.end = end_ = static_cast<uint32_t>(last);
    out.text = literal_;
    if (!builder_.scalar(out, false)) return false;
    return !content_line() || indent_ <= indent;
  }

  std::string_view text_;
  Builder& builder_;
  size_t at_ = 0, line_begin_ = 0, indent_ = 0;
  uint32_t line_ = 1;
  uint32_t end_ = 0;  // of the value read last
  bool at_end_ = false;
  std::string literal_;
};

class TreeBuilder {
 public:
  bool scalar(const Scalar& from, bool) {
    YamlNode& node = add(Kind::Scalar, from.style, from.begin, from.line, from.column);
    node.end = from.end;
    node.text = from.text;
    if (from.style != Style::Plain) return true;
    node.is_string = word_is_string(from.text);
    return node.is_string || resolve_yaml_scalar(from.text);  // NaN has no value
  }

  bool open(Kind kind, Style style, uint32_t begin, uint32_t line, uint32_t column) {
    add(kind, style, begin, line, column);
    open_.push_back(pool_.size() - 1);
    return true;
  }

  void close(uint32_t end) {
    size_t at = open_.back();
    open_.pop_back();
    YamlNode& node = pool_[at];
    node.end = end;
    auto first = pool_.begin() + static_cast<ptrdiff_t>(at) + 1;
    node.children.assign(std::make_move_iterator(first), std::make_move_iterator(pool_.end()));
    pool_.erase(first, pool_.end());
  }

  YamlNode take() { return std::move(pool_.front()); }

 private:
  YamlNode& add(Kind kind, Style style, uint32_t begin, uint32_t line, uint32_t column) {
    YamlNode& node = pool_.emplace_back();
    node.kind = kind;
    node.style = style;
    node.begin = begin;
    node.line = line;
    node.column = column;
    return node;
  }
  std::vector<YamlNode> pool_;  // the open collections, each followed by its members so far
  std::vector<size_t> open_;
};

// Compares while it reads: no value is made. Stops at the first difference.
class Matcher {
 public:
  explicit Matcher(const Json& wanted) : wanted_(wanted) {}
  bool complete() const { return complete_; }

  bool scalar(const Scalar& from, bool is_key) {
    if (is_key) return key(from.text);
    const Json* expected = next();
    return expected && same(from, *expected);
  }

  bool open(Kind kind, Style, uint32_t, uint32_t, uint32_t) {
    const Json* expected = next();
    if (!expected || (kind == Kind::Mapping ? !expected->is_object() : !expected->is_array())) return false;
    open_.push_back({expected});
    return true;
  }

  void close(uint32_t) {
    complete_ = complete_ && open_.back().count == open_.back().value->size();
    open_.pop_back();
  }

 private:
  struct Open {
    const Json* value;
    size_t count = 0;              // of the items or members that were there
    size_t next = 0;               // the member that will probably come
    uint64_t seen = 0;             // of an object of not too many members: those that came
    const Json* member = nullptr;  // whose key was read
  };
  static constexpr size_t kMaxMembers = 64;

  // A key that comes twice is left to others: the last of them counts.
  bool key(std::string_view name) {
    Open& open = open_.back();
    const auto& members = open.value->members();
    size_t at = open.next;
    if (at >= members.size() || members[at].key != name) {
      for (at = 0; at < members.size() && members[at].key != name;) ++at;
      if (at == members.size()) return false;
    }
    if (members.size() > kMaxMembers || (open.seen >> at & 1) != 0) return false;
    open.seen |= uint64_t{1} << at;
    open.next = at + 1;
    ++open.count;
    open.member = &members[at].value;
    return true;
  }

  const Json* next() {
    if (open_.empty()) return &wanted_;
    Open& open = open_.back();
    if (open.value->is_object()) return open.member;
    if (open.count >= open.value->size()) return nullptr;
    return &open.value->items()[open.count++];
  }

  static bool same(const Scalar& from, const Json& expected) {
    if (from.style != Style::Plain || word_is_string(from.text)) return expected.is_string() && expected.string() == from.text;
    if (from.text.empty()) return expected.is_null();
    auto value = resolve_yaml_scalar(from.text);
    return value && *value == expected;
  }

  const Json& wanted_;
  std::vector<Open> open_;
  bool complete_ = true;
};

}  // namespace

std::optional<YamlTreeDocument> read_plain_yaml(std::string_view text) {
  TreeBuilder builder;
  YamlTreeDocument document;
  if (!PlainReader(text, builder).read(document.begin)) return std::nullopt;
  document.end = static_cast<uint32_t>(text.size());
  document.root = builder.take();
  return document;
}

bool plain_yaml_says(std::string_view text, const Json& value) {
  Matcher matcher(value);
  uint32_t begin = 0;
  return PlainReader(text, matcher).read(begin) && matcher.complete();
}

Json plain_yaml_value(const YamlNode& node) {
  if (node.kind == Kind::Sequence) {
    Json array = Json::array();
    array.mutable_items().reserve(node.children.size());
    for (const YamlNode& item : node.children) array.push(plain_yaml_value(item));
    return array;
  }
  if (node.kind == Kind::Mapping) {
    Json object = Json::object();
    object.mutable_members().reserve(node.size());
    for (size_t i = 0; i + 1 < node.children.size(); i += 2) object.set(node.children[i].text, plain_yaml_value(node.children[i + 1]));
    return object;
  }
  if (node.is_string) return Json(node.text);
  auto value = resolve_yaml_scalar(node.text);
  return value ? std::move(*value) : Json(node.text);
}

}  // namespace archway::audit
