#include "format/yaml.h"

#include <yaml.h>

#include <charconv>
#include <map>
#include <optional>

#include "base/text.h"
#include "format/yaml_scalar.h"

namespace archway {

namespace {

Error error_at(size_t line, size_t column, std::string_view what) {
  return {Code::Invalid, "line " + std::to_string(line) + ", column " + std::to_string(column) + ": " + std::string(what)};
}

std::string_view text_of(const yaml_char_t* text) { return text ? std::string_view(reinterpret_cast<const char*>(text)) : std::string_view(); }

// One libyaml event, freed when gone.
class Event {
 public:
  Event() = default;
  Event(const Event&) = delete;
  ~Event() { clear(); }
  void clear() {
    if (filled_) yaml_event_delete(&event_);
    filled_ = false;
  }
  bool read(yaml_parser_t& parser) {
    clear();
    filled_ = yaml_parser_parse(&parser, &event_) != 0;
    return filled_;
  }
  yaml_event_type_t type() const { return event_.type; }
  size_t line() const { return event_.start_mark.line + 1; }
  size_t column() const { return event_.start_mark.column + 1; }
  const yaml_event_t& get() const { return event_; }

 private:
  yaml_event_t event_{};
  bool filled_ = false;
};

struct Anchor {
  std::optional<YamlDocument> node;  // none while it is being read
  size_t values = 0;
};

class Reader {
 public:
  explicit Reader(std::string_view text) {
    yaml_parser_initialize(&parser_);
    // libyaml asserts that there is a buffer, even for no bytes.
    if (text.empty()) text = "";
    yaml_parser_set_input_string(&parser_, reinterpret_cast<const unsigned char*>(text.data()), text.size());
  }
  Reader(const Reader&) = delete;
  ~Reader() { yaml_parser_delete(&parser_); }

  Result<std::vector<YamlDocument>> read() {
    std::vector<YamlDocument> documents;
    for (;;) {
      TRY(next());
      if (event_.type() == YAML_STREAM_END_EVENT) return documents;
      if (event_.type() != YAML_DOCUMENT_START_EVENT) continue;
      anchors_.clear();
      values_ = alias_values_ = 0;
      TRY(next());
      YamlDocument document = TRY(node(0));
      if (!document.value.is_null()) documents.push_back(std::move(document));
    }
  }

 private:
  Result<void> next() {
    if (event_.read(parser_)) return {};
    std::string what = parser_.problem ? parser_.problem : "not well formed";
    if (parser_.context) what = std::string(parser_.context) + ", " + what;
    return error_at(parser_.problem_mark.line + 1, parser_.problem_mark.column + 1, what);
  }

  Error fail(std::string_view what) const { return error_at(event_.line(), event_.column(), what); }

  // The value that the current event begins; afterwards the current event is its last.
  Result<YamlDocument> node(size_t depth) {
    if (depth > kMaxYamlDepth) return fail("nested deeper than " + std::to_string(kMaxYamlDepth));
    if (++values_ > kMaxYamlValues) return fail("more than " + std::to_string(kMaxYamlValues) + " values");
    switch (event_.type()) {
      case YAML_ALIAS_EVENT: return alias();
      case YAML_SCALAR_EVENT: return anchored(text_of(event_.get().data.scalar.anchor), depth, &Reader::scalar);
      case YAML_SEQUENCE_START_EVENT: return anchored(text_of(event_.get().data.sequence_start.anchor), depth, &Reader::sequence);
      case YAML_MAPPING_START_EVENT: return anchored(text_of(event_.get().data.mapping_start.anchor), depth, &Reader::mapping);
      default: return fail("a value is missing");
    }
  }

  Result<YamlDocument> anchored(std::string_view anchor, size_t depth, Result<YamlDocument> (Reader::*content)(size_t)) {
    if (anchor.empty()) return (this->*content)(depth);
    std::string name(anchor);
    anchors_[name] = {};
    size_t before = values_;
    YamlDocument document = TRY((this->*content)(depth));
    anchors_[name] = {document, values_ - before + 1};
    return document;
  }

  Result<YamlDocument> alias() {
    std::string name(text_of(event_.get().data.alias.anchor));
    auto at = anchors_.find(name);
    if (at == anchors_.end()) return fail("unknown anchor *" + name);
    if (!at->second.node) return fail("anchor *" + name + " contains itself");
    values_ += at->second.values;
    alias_values_ += at->second.values;
    if (alias_values_ > kMaxYamlAliasValues) return fail("aliases repeat more than " + std::to_string(kMaxYamlAliasValues) + " values");
    return *at->second.node;
  }

  Result<YamlDocument> scalar(size_t) {
    const auto& scalar = event_.get().data.scalar;
    std::string_view text(reinterpret_cast<const char*>(scalar.value), scalar.length);
    std::string_view tag = text_of(scalar.tag);
    YamlDocument document;
    document.marks = {event_.line(), event_.column(), {}};
    bool core_tag = tag.starts_with("tag:yaml.org,2002:") && tag != "tag:yaml.org,2002:str";
    if (tag == "tag:yaml.org,2002:binary") {
      auto bytes = base64_decode(text);
      if (!bytes) return fail("!!binary is not base64");
      document.value = Json(std::move(*bytes));
    } else if (scalar.style == YAML_PLAIN_SCALAR_STYLE ? tag.empty() || core_tag : core_tag) {
      auto value = resolve_yaml_scalar(text);
      if (!value) return fail("\"" + std::string(text) + "\" cannot be written as JSON");
      document.value = std::move(*value);
    } else {
      document.value = Json(text);
    }
    return document;
  }

  Result<YamlDocument> sequence(size_t depth) {
    YamlDocument document{Json::array(), {event_.line(), event_.column(), {}}};
    for (;;) {
      TRY(next());
      if (event_.type() == YAML_SEQUENCE_END_EVENT) return document;
      YamlDocument item = TRY(node(depth + 1));
      document.value.push(std::move(item.value));
      document.marks.children.push_back(std::move(item.marks));
    }
  }

  static void put(YamlDocument& mapping, std::string_view key, YamlDocument value) {
    auto& members = mapping.value.mutable_members();
    for (size_t i = 0; i < members.size(); ++i) {
      if (members[i].key != key) continue;
      members[i].value = std::move(value.value);
      mapping.marks.children[i] = std::move(value.marks);
      return;
    }
    members.push_back({std::string(key), std::move(value.value)});
    mapping.marks.children.push_back(std::move(value.marks));
  }

  // "<<": the members of another mapping, or of several of which the first counts, as if they stood here.
  Result<void> merge(YamlDocument& mapping, const YamlDocument& from) {
    if (from.value.is_object()) {
      for (size_t i = 0; i < from.value.size(); ++i) put(mapping, from.value.members()[i].key, {from.value.members()[i].value, from.marks.children[i]});
      return {};
    }
    if (!from.value.is_array()) return fail("<< merges mappings only");
    for (size_t i = from.value.size(); i-- > 0;) {
      if (!from.value.items()[i].is_object()) return fail("<< merges mappings only");
      TRY(merge(mapping, {from.value.items()[i], from.marks.children[i]}));
    }
    return {};
  }

  Result<std::string> key_text(const Json& key) {
    if (key.is_string()) return key.string();
    if (key.is_bool()) return std::string(key.boolean() ? "true" : "false");
    if (key.is_number()) return to_json(key);
    return fail("a key must be a string, a number or a boolean");
  }

  Result<YamlDocument> mapping(size_t depth) {
    YamlDocument document{Json::object(), {event_.line(), event_.column(), {}}};
    for (;;) {
      TRY(next());
      if (event_.type() == YAML_MAPPING_END_EVENT) return document;
      bool merges = event_.type() == YAML_SCALAR_EVENT && event_.get().data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
                    text_of(event_.get().data.scalar.value) == "<<";
      YamlDocument key = TRY(node(depth + 1));
      std::string name = TRY(key_text(key.value));
      TRY(next());
      YamlDocument value = TRY(node(depth + 1));
      if (merges) {
        TRY(merge(document, value));
      } else {
        put(document, name, std::move(value));
      }
    }
  }

  yaml_parser_t parser_;
  Event event_;
  std::map<std::string, Anchor, std::less<>> anchors_;
  size_t values_ = 0, alias_values_ = 0;
};

bool plain_is_safe(std::string_view text) {
  if (text.empty() || text.size() > 1024) return false;
  auto resolved = resolve_yaml_scalar(text);
  if (!resolved || !resolved->is_string()) return false;
  bool starts_well = (text[0] >= 'a' && text[0] <= 'z') || (text[0] >= 'A' && text[0] <= 'Z') || text[0] == '/' || text[0] == '_';
  if (!starts_well || text.back() == ' ' || text.back() == ':') return false;
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c < ' ' || c == 0x7f || static_cast<unsigned char>(c) >= 0x80) return false;
    if (c == '#' && i > 0 && text[i - 1] == ' ') return false;
    if (c == ':' && text[i + 1] == ' ') return false;
    // In flow context, and to some readers at large, these mean something.
    if (c == ',' || c == '[' || c == ']' || c == '{' || c == '}' || c == '&' || c == '*' || c == '!' || c == '|' || c == '>' || c == '%' || c == '`' || c == '"' || c == '\'') return false;
  }
  return true;
}

std::string scalar_text(const Json& value) {
  if (value.is_string()) return plain_is_safe(value.string()) ? value.string() : json_quote(value.string());
  if (value.is_array()) return "[]";
  if (value.is_object()) return "{}";
  return to_json(value);
}

bool holds_something(const Json& value) { return (value.is_array() || value.is_object()) && value.size() > 0; }

// `inline_first`: the first line continues one that is there already ("- ").
void write_block(const Json& value, size_t indent, bool inline_first, std::string& out) {
  bool first = true;
  auto begin_line = [&] {
    if (!first || !inline_first) out += std::string(indent, ' ');
    first = false;
  };
  for (const Json& item : value.items()) {
    begin_line();
    out += "- ";
    if (holds_something(item)) {
      write_block(item, indent + 2, true, out);
    } else {
      out += scalar_text(item) + "\n";
    }
  }
  for (const JsonMember& member : value.members()) {
    begin_line();
    out += scalar_text(Json(member.key)) + ":";
    if (!holds_something(member.value)) {
      out += " " + scalar_text(member.value) + "\n";
      continue;
    }
    out += "\n";
    write_block(member.value, member.value.is_array() ? indent : indent + 2, false, out);
  }
}

}  // namespace

Result<std::vector<YamlDocument>> parse_yaml_documents(std::string_view text) {
  if (text.size() > kMaxYamlBytes) return Error{Code::Invalid, "YAML of more than " + std::to_string(kMaxYamlBytes >> 20) + " MiB"};
  return Reader(text).read();
}

Result<Json> parse_yaml(std::string_view text) {
  auto documents = TRY(parse_yaml_documents(text));
  if (documents.size() != 1) return Error{Code::Invalid, "expected one YAML document, found " + std::to_string(documents.size())};
  return std::move(documents[0].value);
}

std::string to_yaml(const Json& value) {
  if (!holds_something(value)) return scalar_text(value) + "\n";
  std::string out;
  write_block(value, 0, false, out);
  return out;
}

}  // namespace archway
