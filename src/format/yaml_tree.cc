#include "format/yaml_tree.h"

#include <yaml.h>

#include <cstring>

#include "format/json_tree.h"
#include "format/yaml.h"
#include "format/yaml_scalar.h"

namespace archway {

namespace {

std::string_view text_of(const yaml_char_t* text) { return text ? std::string_view(reinterpret_cast<const char*>(text)) : std::string_view(); }
bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

bool is_ascii(std::string_view text) {
  size_t i = 0;
  uint64_t seen = 0;
  for (; i + 8 <= text.size(); i += 8) {
    uint64_t word;
    std::memcpy(&word, text.data() + i, 8);
    seen |= word;
  }
  for (; i < text.size(); ++i) seen |= static_cast<unsigned char>(text[i]);
  return (seen & 0x8080808080808080u) == 0;
}

// From libyaml's marks, which count code points, to bytes. Marks come nearly in order, so walking from the last one is cheap.
class ByteMap {
 public:
  explicit ByteMap(std::string_view text) : text_(text), ascii_(is_ascii(text)) {
    // libyaml does not count a byte order mark at the start. One at the start of a later document it does count.
    if (text.starts_with("\xef\xbb\xbf")) byte_ = line_begin_ = 3;
  }

  size_t byte(size_t index) {
    if (ascii_) return std::min(index, text_.size());
    for (; point_ < index && byte_ < text_.size(); ++point_) do ++byte_; while (byte_ < text_.size() && continues(byte_));
    for (; point_ > index && byte_ > 0; --point_) do --byte_; while (byte_ > 0 && continues(byte_));
    return byte_;
  }

  // The first byte of the mark's line. Found once per line: a line may be the whole text.
  size_t line_begin(const yaml_mark_t& mark) {
    if (ascii_) return byte(mark.index - mark.column);
    if (mark.line != line_) {
      line_ = mark.line;
      line_begin_ = byte(mark.index - mark.column);
    }
    return line_begin_;
  }

 private:
  bool continues(size_t at) const { return (static_cast<unsigned char>(text_[at]) & 0xc0) == 0x80; }

  std::string_view text_;
  bool ascii_;
  size_t point_ = 0, byte_ = 0;
  size_t line_ = 0, line_begin_ = 0;
};

// Most words can be told from numbers, booleans and nulls by how they begin.
bool plain_is_string(std::string_view text) {
  if (text.empty()) return false;
  if (std::strchr("yYnNtTfFoO~", text[0]) ? text.size() > 5 : !std::strchr("0123456789+-.", text[0])) return true;
  auto value = resolve_yaml_scalar(text);
  return value && value->is_string();
}

constexpr std::string_view kCoreTag = "tag:yaml.org,2002:";

class TreeReader {
 public:
  explicit TreeReader(std::string_view text) : text_(text), map_(text) {
    yaml_parser_initialize(&parser_);
    // libyaml asserts that there is a buffer, even for no bytes.
    if (text_.empty()) text_ = "";
    yaml_parser_set_encoding(&parser_, YAML_UTF8_ENCODING);
    size_t mark = text_.starts_with("\xef\xbb\xbf") ? 3 : 0;
    after_ = mark;
    // With the encoding given, libyaml would take the mark for a character and count it.
    yaml_parser_set_input_string(&parser_, reinterpret_cast<const unsigned char*>(text_.data()) + mark, text_.size() - mark);
  }
  TreeReader(const TreeReader&) = delete;
  ~TreeReader() { yaml_parser_delete(&parser_); }

  Result<std::vector<YamlTreeDocument>> read() {
    std::vector<YamlTreeDocument> documents;
    for (;;) {
      yaml_event_t event;
      if (!yaml_parser_parse(&parser_, &event)) return syntax_error();
      bool last = event.type == YAML_STREAM_END_EVENT;
      auto taken = take(event, documents);
      yaml_event_delete(&event);
      TRY(std::move(taken));
      if (last) return documents;
    }
  }

 private:
  Result<void> take(const yaml_event_t& event, std::vector<YamlTreeDocument>& documents) {
    switch (event.type) {
      case YAML_DOCUMENT_START_EVENT:
        values_ = 0;
        documents.emplace_back();
        documents.back().begin = static_cast<uint32_t>(event.data.document_start.implicit ? after_ : map_.byte(event.end_mark.index));
        return {};
      case YAML_DOCUMENT_END_EVENT:
        documents.back().end = static_cast<uint32_t>(map_.byte(event.start_mark.index));
        after_ = map_.byte(event.end_mark.index);
        documents.back().root = std::move(pool_.back());
        pool_.clear();
        return {};
      case YAML_SCALAR_EVENT: return scalar(event);
      case YAML_ALIAS_EVENT: {
        YamlNode& node = add_node(event, YamlNode::Kind::Alias);
        node.text = text_of(event.data.alias.anchor);
        node.end = static_cast<uint32_t>(map_.byte(event.end_mark.index));
        return counted();
      }
      case YAML_SEQUENCE_START_EVENT: {
        const auto& start = event.data.sequence_start;
        return open(event, YamlNode::Kind::Sequence, start.anchor, start.tag, start.style == YAML_FLOW_SEQUENCE_STYLE);
      }
      case YAML_MAPPING_START_EVENT: {
        const auto& start = event.data.mapping_start;
        return open(event, YamlNode::Kind::Mapping, start.anchor, start.tag, start.style == YAML_FLOW_MAPPING_STYLE);
      }
      case YAML_SEQUENCE_END_EVENT:
      case YAML_MAPPING_END_EVENT: close(event); return {};
      default: return {};
    }
  }

  YamlNode& add_node(const yaml_event_t& event, YamlNode::Kind kind) {
    YamlNode& node = pool_.emplace_back();
    node.kind = kind;
    size_t begin = map_.byte(event.start_mark.index);
    node.begin = static_cast<uint32_t>(begin);
    node.line = static_cast<uint32_t>(event.start_mark.line + 1);
    node.column = static_cast<uint32_t>(begin - map_.line_begin(event.start_mark) + 1);
    return node;
  }

  Result<void> counted() {
    if (++values_ <= kMaxYamlValues) return {};
    return error_here("more than " + std::to_string(kMaxYamlValues) + " values");
  }

  // libyaml's spans begin with a value's anchor and tag; ours with the value.
  void skip_properties(YamlNode& node, const yaml_char_t* anchor, const yaml_char_t* tag) {
    node.anchor = text_of(anchor);
    size_t at = node.begin;
    for (int left = (anchor ? 1 : 0) + (tag ? 1 : 0);;) {
      at = after_space(at);
      if (left-- == 0 || at >= text_.size()) break;
      at = text_[at] == '&' ? at + 1 + node.anchor.size() : after_tag(at);
    }
    move_begin(node, at);
  }

  size_t after_tag(size_t at) const {
    bool verbatim = text_.substr(at).starts_with("!<");
    while (at < text_.size() && !is_blank(text_[at]) && (verbatim ? text_[at] != '>' : !std::strchr(",[]{}", text_[at]))) ++at;
    return verbatim && at < text_.size() ? at + 1 : at;
  }

  size_t after_space(size_t at) const {
    for (; at < text_.size(); ++at) {
      if (text_[at] == '#' && at > 0 && is_blank(text_[at - 1])) {
        while (at < text_.size() && text_[at] != '\n' && text_[at] != '\r') ++at;
      }
      if (at >= text_.size() || !is_blank(text_[at])) break;
    }
    return at;
  }

  void move_begin(YamlNode& node, size_t to) {
    for (size_t i = node.begin; i < to; ++i) {
      bool breaks = text_[i] == '\n' || (text_[i] == '\r' && (i + 1 >= text_.size() || text_[i + 1] != '\n'));
      node.line += breaks;
      node.column = breaks ? 1 : node.column + 1;
    }
    node.begin = static_cast<uint32_t>(to);
  }

  Result<void> scalar(const yaml_event_t& event) {
    const auto& scalar = event.data.scalar;
    YamlNode& node = add_node(event, YamlNode::Kind::Scalar);
    node.end = static_cast<uint32_t>(map_.byte(event.end_mark.index));
    node.text.assign(reinterpret_cast<const char*>(scalar.value), scalar.length);
    switch (scalar.style) {
      case YAML_SINGLE_QUOTED_SCALAR_STYLE: node.style = YamlNode::Style::SingleQuoted; break;
      case YAML_DOUBLE_QUOTED_SCALAR_STYLE: node.style = YamlNode::Style::DoubleQuoted; break;
      case YAML_LITERAL_SCALAR_STYLE: node.style = YamlNode::Style::Literal; break;
      case YAML_FOLDED_SCALAR_STYLE: node.style = YamlNode::Style::Folded; break;
      default: break;
    }
    bool empty = node.style == YamlNode::Style::Plain && scalar.length == 0;
    if (empty) {
      node.anchor = text_of(scalar.anchor);
      move_begin(node, node.end);
      if (!scalar.anchor && !scalar.tag) place_missing(node);
    } else if (scalar.anchor || scalar.tag) {
      skip_properties(node, scalar.anchor, scalar.tag);
    }
    if (node.style == YamlNode::Style::Literal || node.style == YamlNode::Style::Folded) node.end = static_cast<uint32_t>(block_end(node));
    std::string_view tag = text_of(scalar.tag);
    bool core = tag.starts_with(kCoreTag) && tag != "tag:yaml.org,2002:str" && tag != "tag:yaml.org,2002:binary";
    if (node.style == YamlNode::Style::Plain ? tag.empty() || core : core) node.is_string = plain_is_string(node.text);
    return counted();
  }

  // A value that is not there stands behind its ":" or "-". Where even the ":" is missing ("? key"), libyaml puts it at the next
  // token, which may be pages on: it stands behind its key.
  void place_missing(YamlNode& node) {
    if (open_.empty() || (node.begin > 0 && (text_[node.begin - 1] == ':' || text_[node.begin - 1] == '-'))) return;
    const YamlNode& parent = pool_[open_.back()];
    bool is_value = parent.kind == YamlNode::Kind::Mapping && parent.style == YamlNode::Style::Block && (pool_.size() - open_.back()) % 2 == 1;
    if (!is_value) return;
    const YamlNode& key = pool_[pool_.size() - 2];
    node.begin = node.end = key.end;
    node.line = key.line;
    node.column = key.column + (key.end - key.begin);
  }

  // libyaml ends a block scalar at the next token. Unless its header says "+", the empty lines behind it are not its own;
  // the last line's end never is.
  size_t block_end(const YamlNode& node) const {
    bool keeps = false;
    for (size_t i = node.begin + 1; i < node.end && !is_blank(text_[i]); ++i) keeps = keeps || text_[i] == '+';
    std::string_view value = node.text;
    if (value.ends_with('\n')) value.remove_suffix(1);
    size_t shown = value.find_last_not_of(" \t\n") + 1;
    std::string_view blanks = value.substr(shown);  // that end the last line; a line of nothing else is rare
    size_t end = node.end;
    if (!keeps && blanks.find('\n') == blanks.npos && (shown > 0 || blanks.empty())) {
      while (end > node.begin + 1 && is_blank(text_[end - 1])) --end;
      return end + blanks.size();
    }
    if (end > node.begin + 1 && text_[end - 1] == '\n') --end;
    if (end > node.begin + 1 && text_[end - 1] == '\r') --end;
    return end;
  }

  Result<void> open(const yaml_event_t& event, YamlNode::Kind kind, const yaml_char_t* anchor, const yaml_char_t* tag, bool flow) {
    if (open_.size() >= kMaxYamlDepth) return error_at(event.start_mark, "nested deeper than " + std::to_string(kMaxYamlDepth));
    YamlNode& node = add_node(event, kind);
    node.style = flow ? YamlNode::Style::Flow : YamlNode::Style::Block;
    if (anchor || tag) skip_properties(node, anchor, tag);
    open_.push_back(pool_.size() - 1);
    return counted();
  }

  void close(const yaml_event_t& event) {
    size_t at = open_.back();
    open_.pop_back();
    YamlNode& node = pool_[at];
    auto first = pool_.begin() + static_cast<ptrdiff_t>(at) + 1;
    node.children.assign(std::make_move_iterator(first), std::make_move_iterator(pool_.end()));
    pool_.erase(first, pool_.end());
    // A block collection ends, for libyaml, where the next token begins; so does a pair in a flow sequence, [a: b].
    bool closed = node.style == YamlNode::Style::Flow && event.start_mark.index != event.end_mark.index;
    node.end = closed ? static_cast<uint32_t>(map_.byte(event.end_mark.index)) : node.children.empty() ? node.begin : node.children.back().end;
  }

  Error error_at(size_t line, size_t column, const std::string& what) const {
    return {Code::Invalid, "line " + std::to_string(line) + ", column " + std::to_string(column) + ": " + what};
  }
  Error error_at(const yaml_mark_t& mark, const std::string& what) {
    return error_at(mark.line + 1, map_.byte(mark.index) - map_.line_begin(mark) + 1, what);
  }
  Error error_here(const std::string& what) { return error_at(pool_.back().line, pool_.back().column, what); }

  Error syntax_error() {
    std::string what = parser_.problem ? parser_.problem : "not well formed";
    if (parser_.context) what = std::string(parser_.context) + ", " + what;
    if (parser_.error != YAML_READER_ERROR) return error_at(parser_.problem_mark, what);
    // The reader knows bytes only.
    size_t line = 1, begin = 0, at = std::min(parser_.problem_offset + (text_.starts_with("\xef\xbb\xbf") ? 3 : 0), text_.size());
    for (size_t i = 0; i < at; ++i) {
      if (text_[i] != '\n') continue;
      ++line;
      begin = i + 1;
    }
    return error_at(line, at - begin + 1, what);
  }

  std::string_view text_;
  ByteMap map_;
  yaml_parser_t parser_;
  std::vector<YamlNode> pool_;  // the open collections, each followed by its members so far
  std::vector<size_t> open_;    // where in the pool
  size_t after_ = 0;            // behind the last document
  size_t values_ = 0;
};

}  // namespace

const YamlNode* YamlNode::key_of(std::string_view key) const {
  if (kind != Kind::Mapping) return nullptr;
  for (size_t i = children.size(); i >= 2; i -= 2) {
    const YamlNode& name = children[i - 2];
    if (name.kind == Kind::Scalar && name.text == key) return &name;
  }
  return nullptr;
}

const YamlNode* YamlNode::find(std::string_view key) const {
  const YamlNode* name = key_of(key);
  return name ? name + 1 : nullptr;
}

Result<std::vector<YamlTreeDocument>> parse_yaml_tree(std::string_view text) {
  if (text.size() > kMaxYamlBytes) return Error{Code::Invalid, "YAML of more than " + std::to_string(kMaxYamlBytes >> 20) + " MiB"};
  if (text.starts_with("\xff\xfe") || text.starts_with("\xfe\xff")) {
    return Error{Code::Invalid, "line 1, column 1: this is UTF-16", "save it as UTF-8"};
  }
  if (auto json = parse_json_tree(text)) {
    std::vector<YamlTreeDocument> documents;
    documents.push_back(std::move(*json));
    return documents;
  }
  return TreeReader(text).read();
}

}  // namespace archway
