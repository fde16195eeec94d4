#include "format/value_tree.h"

#include <yaml.h>

#include <algorithm>
#include <cstring>

#include "format/yaml.h"
#include "format/yaml_scalar.h"

namespace archway {

namespace {

constexpr size_t kChunkBytes = 1 << 20;

std::string_view text_of(const yaml_char_t* text) { return text ? std::string_view(reinterpret_cast<const char*>(text)) : std::string_view(); }

// libyaml counts code points, and not the byte order mark; this turns its counts into bytes. Counts come in rising order, but for the
// ends of block collections, which nobody asks for.
class ByteCount {
 public:
  // Of the part of `text` that begins at `begin`.
  ByteCount(std::string_view text, size_t begin) : text_(text), begin_(begin), byte_(begin) {
    if (text.substr(begin).starts_with("\xef\xbb\xbf")) byte_ += 3;
    ascii_ = byte_ == begin && std::all_of(text.begin() + static_cast<long>(begin), text.end(), [](char c) { return static_cast<signed char>(c) >= 0; });
  }
  uint32_t at(size_t index) {
    if (ascii_) return static_cast<uint32_t>(begin_ + index);
    while (index_ < index && byte_ < text_.size()) {
      ++byte_;
      while (byte_ < text_.size() && (static_cast<unsigned char>(text_[byte_]) & 0xc0) == 0x80) ++byte_;
      ++index_;
    }
    return static_cast<uint32_t>(byte_);
  }

 private:
  std::string_view text_;
  size_t begin_, index_ = 0, byte_;
  bool ascii_ = false;
};

Value::Style scalar_style(yaml_scalar_style_t style) {
  switch (style) {
    case YAML_SINGLE_QUOTED_SCALAR_STYLE: return Value::Style::SingleQuoted;
    case YAML_DOUBLE_QUOTED_SCALAR_STYLE: return Value::Style::DoubleQuoted;
    case YAML_LITERAL_SCALAR_STYLE: return Value::Style::Literal;
    case YAML_FOLDED_SCALAR_STYLE: return Value::Style::Folded;
    default: return Value::Style::Plain;
  }
}

class TreeReader {
 public:
  // `text` ends where the part does.
  TreeReader(std::string_view text, const TextPart& part, ValueArena& arena) : text_(text), arena_(arena), bytes_(text, part.begin), lines_before_(part.lines_before), address_(part.address) {
    yaml_parser_initialize(&parser_);
    text.remove_prefix(part.begin);
    if (text.empty()) text = "";  // libyaml asserts that there is a buffer, even for no bytes
    yaml_parser_set_input_string(&parser_, reinterpret_cast<const unsigned char*>(text.data()), text.size());
  }
  TreeReader(const TreeReader&) = delete;
  ~TreeReader() { yaml_parser_delete(&parser_); }

  Result<std::vector<ValueDocument>> read() {
    for (;;) {
      yaml_event_t event;
      if (!yaml_parser_parse(&parser_, &event)) return broken();
      bool end = event.type == YAML_STREAM_END_EVENT;
      auto taken = take(event);
      yaml_event_delete(&event);
      if (!taken.ok()) return std::move(taken).error();
      if (end) return std::move(documents_);
    }
  }

 private:
  struct Open {
    Value* collection;
    Value* last = nullptr;  // child
  };
  struct Anchor {
    std::string name;
    Value* value;
  };

  Error error_at(size_t line, size_t column, std::string_view what) const {
    return {Code::Invalid, "line " + std::to_string(lines_before_ + line + 1) + ", column " + std::to_string(column + 1) + ": " + std::string(what)};
  }

  Error broken() const {
    std::string what = parser_.problem ? parser_.problem : "not well formed";
    if (parser_.context) what = std::string(parser_.context) + ", " + what;
    return error_at(parser_.problem_mark.line, parser_.problem_mark.column, what);
  }

  Result<void> take(const yaml_event_t& event) {
    switch (event.type) {
      case YAML_DOCUMENT_START_EVENT:
        documents_.push_back({});
        anchors_.clear();
        values_ = 0;
        return {};
      case YAML_ALIAS_EVENT: return alias(event);
      case YAML_SCALAR_EVENT: return scalar(event);
      case YAML_SEQUENCE_START_EVENT:
        return open(event, Value::Kind::Sequence, event.data.sequence_start.style == YAML_FLOW_SEQUENCE_STYLE, event.data.sequence_start.anchor);
      case YAML_MAPPING_START_EVENT:
        return open(event, Value::Kind::Mapping, event.data.mapping_start.style == YAML_FLOW_MAPPING_STYLE, event.data.mapping_start.anchor);
      case YAML_SEQUENCE_END_EVENT:
      case YAML_MAPPING_END_EVENT: close(event); return {};
      default: return {};
    }
  }

  Result<Value*> add(const yaml_event_t& event) {
    if (++values_ > kMaxYamlValues) return error_at(event.start_mark.line, event.start_mark.column, "more than " + std::to_string(kMaxYamlValues) + " values");
    Value* value = arena_.make();
    value->begin = value->end = address_ + bytes_.at(event.start_mark.index);
    value->line = static_cast<uint32_t>(lines_before_ + event.start_mark.line + 1);
    value->column = static_cast<uint32_t>(event.start_mark.column + 1);
    if (open_.empty()) {
      documents_.back().root = value;
      return value;
    }
    Open& parent = open_.back();
    (parent.last ? parent.last->next : parent.collection->first) = value;
    parent.last = value;
    ++parent.collection->size;
    return value;
  }

  void anchor(const yaml_char_t* name, Value* value) {
    if (name) anchors_.push_back({std::string(text_of(name)), value});
  }

  Result<void> scalar(const yaml_event_t& event) {
    Value* value = TRY(add(event));
    value->style = scalar_style(event.data.scalar.style);
    value->end = address_ + bytes_.at(event.end_mark.index);
    std::string_view text(reinterpret_cast<const char*>(event.data.scalar.value), event.data.scalar.length);
    // Most scalars stand in the text just as they are: no copy.
    std::string_view written = text_.substr(std::min<size_t>(value->begin - address_, text_.size()), value->end - value->begin);
    bool quoted = value->style == Value::Style::SingleQuoted || value->style == Value::Style::DoubleQuoted;
    if (quoted && written.size() >= 2) written = written.substr(1, written.size() - 2);
    value->text = written == text ? written : arena_.keep(text);
    anchor(event.data.scalar.anchor, value);
    return {};
  }

  Result<void> alias(const yaml_event_t& event) {
    std::string_view name = text_of(event.data.alias.anchor);
    Value* value = TRY(add(event));
    value->end = address_ + bytes_.at(event.end_mark.index);
    value->alias = true;
    for (auto at = anchors_.rbegin(); at != anchors_.rend(); ++at) {
      if (at->name != name) continue;
      bool inside = std::any_of(open_.begin(), open_.end(), [&](const Open& open) { return open.collection == at->value; });
      if (inside) return error_at(event.start_mark.line, event.start_mark.column, "anchor *" + std::string(name) + " contains itself");
      value->first = at->value;
      ++documents_.back().aliases;
      return {};
    }
    return error_at(event.start_mark.line, event.start_mark.column, "unknown anchor *" + std::string(name));
  }

  Result<void> open(const yaml_event_t& event, Value::Kind kind, bool flow, const yaml_char_t* name) {
    if (open_.size() >= kMaxYamlDepth) return error_at(event.start_mark.line, event.start_mark.column, "nested deeper than " + std::to_string(kMaxYamlDepth));
    Value* value = TRY(add(event));
    value->kind = kind;
    value->style = flow ? Value::Style::Flow : Value::Style::Block;
    anchor(name, value);
    open_.push_back({value});
    return {};
  }

  void close(const yaml_event_t& event) {
    Value* value = open_.back().collection;
    const Value* last = open_.back().last;
    open_.pop_back();
    if (value->kind == Value::Kind::Mapping) value->size /= 2;
    // libyaml puts the end of a block collection at the next token, lines further down.
    value->end = value->style == Value::Style::Flow ? address_ + bytes_.at(event.end_mark.index) : (last ? last->end : value->begin);
  }

  std::string_view text_;
  ValueArena& arena_;
  ByteCount bytes_;
  size_t lines_before_;
  uint32_t address_;
  yaml_parser_t parser_;
  std::vector<ValueDocument> documents_;
  std::vector<Open> open_;
  std::vector<Anchor> anchors_;
  size_t values_ = 0;
};

const Value& nothing() {
  static const Value value;
  return value;
}

constexpr int kMaxMergeDepth = 16;

const Value* find_member(const Value& mapping, std::string_view key, bool want_key, int depth) {
  const Value& self = mapping.followed();
  if (self.kind != Value::Kind::Mapping || depth > kMaxMergeDepth) return nullptr;
  const Value* found = nullptr;
  const Value* merged = nullptr;
  for (const Value* each = self.first; each && each->next; each = each->next->next) {
    const Value& name = each->followed();
    if (name.kind != Value::Kind::Scalar) continue;
    if (name.text.size() == key.size() && name.text == key) found = want_key ? each : each->next;
    if (name.text.size() == 2 && name.text == "<<" && name.style == Value::Style::Plain) merged = each->next;
  }
  if (found || !merged) return found;
  if (merged->is_mapping()) return find_member(*merged, key, want_key, depth + 1);
  merged->each_item([&](const Value& item) {
    if (!found) found = find_member(item, key, want_key, depth + 1);
  });
  return found;
}

class JsonMaker {
 public:
  explicit JsonMaker(size_t left) : left_(left) {}
  Json make(const Value& value, size_t depth = 0) {
    // Aliases of aliases nest as deep as the text is long.
    if (left_ == 0 || depth > kMaxYamlDepth) return {};
    --left_;
    const Value& self = value.followed();
    switch (self.kind) {
      case Value::Kind::Scalar: return scalar(self);
      case Value::Kind::Sequence: {
        Json array = Json::array();
        self.each_item([&](const Value& item) {
          if (left_ > 0) array.push(make(item, depth + 1));
        });
        return array;
      }
      case Value::Kind::Mapping: break;
    }
    Json object = Json::object();
    merge(self, object, depth, 0);
    return object;
  }

 private:
  static Json scalar(const Value& self) {
    if (self.style != Value::Style::Plain) return Json(self.text);
    auto resolved = resolve_yaml_scalar(self.text);
    return resolved ? std::move(*resolved) : Json(self.text);
  }
  // First what is merged, so that the mapping's own members replace it.
  void merge(const Value& self, Json& object, size_t depth, int merges) {
    if (merges > kMaxMergeDepth) return;
    self.each_member([&](const Value& key, const Value& value) {
      if (key.scalar() != "<<" || key.style != Value::Style::Plain) return;
      std::vector<const Value*> from;
      if (value.is_mapping()) from.push_back(&value);
      value.each_item([&](const Value& item) { from.insert(from.begin(), &item); });
      for (const Value* each : from) merge(each->followed(), object, depth, merges + 1);
    });
    self.each_member([&](const Value& key, const Value& value) {
      if (left_ > 0 && (key.scalar() != "<<" || key.style != Value::Style::Plain)) object.set(key.scalar(), make(value, depth + 1));
    });
  }
  size_t left_;
};

}  // namespace

bool Value::is_null() const {
  const Value& self = followed();
  return self.kind == Kind::Scalar && self.style == Style::Plain && (self.text.empty() || self.text == "~" || self.text == "null" || self.text == "Null" || self.text == "NULL");
}

bool Value::is_string() const {
  const Value& self = followed();
  if (self.kind != Kind::Scalar) return false;
  if (self.style != Style::Plain) return true;
  auto resolved = resolve_yaml_scalar(self.text);
  return !resolved || resolved->is_string();
}

const Value* Value::find(std::string_view key) const { return find_member(*this, key, false, 0); }
const Value* Value::key_of(std::string_view key) const { return find_member(*this, key, true, 0); }

const Value& Value::operator[](std::string_view key) const {
  const Value* found = find(key);
  return found ? *found : nothing();
}

void ValueArena::next_chunk(size_t bytes) {
  left_ = std::max(bytes, kChunkBytes);
  chunks_.push_back({std::make_unique_for_overwrite<std::byte[]>(left_), left_});
  free_ = chunks_.back().bytes.get();
}

std::string_view ValueArena::keep(std::string_view text) {
  if (text.empty()) return {};
  char* at = static_cast<char*>(take(text.size()));
  std::memcpy(at, text.data(), text.size());
  return {at, text.size()};
}

void ValueArena::clear() {
  // One chunk stays; a huge document's memory goes back.
  while (chunks_.size() > 1 || (chunks_.size() == 1 && chunks_[0].size > kChunkBytes)) chunks_.pop_back();
  free_ = chunks_.empty() ? nullptr : chunks_[0].bytes.get();
  left_ = chunks_.empty() ? 0 : chunks_[0].size;
}

Result<std::vector<ValueDocument>> parse_value_trees(std::string_view text, ValueArena& arena) { return parse_value_trees(text, arena, {0, 0, text.size(), 0}); }

Result<std::vector<ValueDocument>> parse_value_trees(std::string_view text, ValueArena& arena, TextPart part) {
  if (const Value* root = read_plain_values(text, arena, part)) return std::vector<ValueDocument>{{root, 0}};
  return parse_value_trees_by_events(text, arena, part);
}

Result<std::vector<ValueDocument>> parse_value_trees_by_events(std::string_view text, ValueArena& arena, TextPart part) {
  if (text.size() > kMaxYamlBytes) return Error{Code::Invalid, "YAML of more than " + std::to_string(kMaxYamlBytes >> 20) + " MiB"};
  if (text.starts_with("\xff\xfe") || text.starts_with("\xfe\xff")) return Error{Code::Invalid, "line 1, column 1: UTF-16 text; expected UTF-8"};
  return TreeReader(text.substr(0, part.begin + part.size), part, arena).read();
}

const Value* value_of_json(const Json& json, ValueArena& arena) {
  Value* value = arena.make();
  if (json.is_string()) {
    value->style = Value::Style::DoubleQuoted;
    value->text = json.string();
    return value;
  }
  if (json.is_array() || json.is_object()) {
    value->kind = json.is_array() ? Value::Kind::Sequence : Value::Kind::Mapping;
    value->style = Value::Style::Flow;
    value->size = static_cast<uint32_t>(json.size());
    const Value** at = &value->first;
    auto append = [&](const Value* child) {
      *at = child;
      at = &const_cast<Value*>(child)->next;
    };
    for (const Json& item : json.items()) append(value_of_json(item, arena));
    for (const JsonMember& member : json.members()) {
      Value* key = arena.make();
      key->style = Value::Style::DoubleQuoted;
      key->text = member.key;
      append(key);
      append(value_of_json(member.value, arena));
    }
    return value;
  }
  value->text = json.is_null() ? std::string_view("null") : arena.keep(to_json(json));
  return value;
}

Json json_of_value(const Value& value, size_t max_values) { return JsonMaker(max_values).make(value); }

}  // namespace archway
