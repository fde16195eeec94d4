#include "format/json_tree.h"

#include "format/json.h"
#include "format/yaml.h"

namespace archway {

namespace {

// Walks a text that is known to be JSON, so that it looks for ends only.
class Walker {
 public:
  explicit Walker(std::string_view text) : text_(text) {}

  YamlNode value() {
    skip_blanks();
    YamlNode node;
    node.begin = static_cast<uint32_t>(at_);
    node.line = line_;
    node.column = static_cast<uint32_t>(at_ - line_begin_ + 1);
    if (text_[at_] == '{' || text_[at_] == '[') {
      collection(node);
    } else {
      scalar(node);
    }
    node.end = static_cast<uint32_t>(at_);
    return node;
  }

 private:
  void skip_blanks() {
    for (; at_ < text_.size(); ++at_) {
      char c = text_[at_];
      if (c == '\n') {
        ++line_;
        line_begin_ = at_ + 1;
      } else if (c != ' ' && c != '\t' && c != '\r' && c != ',' && c != ':') {
        return;
      }
    }
  }

  void collection(YamlNode& node) {
    node.kind = text_[at_] == '{' ? YamlNode::Kind::Mapping : YamlNode::Kind::Sequence;
    node.style = YamlNode::Style::Flow;
    ++at_;
    for (skip_blanks(); text_[at_] != '}' && text_[at_] != ']'; skip_blanks()) node.children.push_back(value());
    ++at_;
  }

  void scalar(YamlNode& node) {
    size_t begin = at_;
    if (text_[at_] != '"') {
      node.is_string = false;
      while (at_ < text_.size() && std::string_view(" \t\r\n,]}").find(text_[at_]) == std::string_view::npos) ++at_;
      node.text = text_.substr(begin, at_ - begin);
      return;
    }
    node.style = YamlNode::Style::DoubleQuoted;
    bool escapes = false;
    for (++at_; text_[at_] != '"'; ++at_) {
      if (text_[at_] != '\\') continue;
      escapes = true;
      ++at_;
    }
    ++at_;
    std::string_view quoted = text_.substr(begin, at_ - begin);
    node.text = escapes ? parse_json(quoted).value_or(Json()).string() : std::string(quoted.substr(1, quoted.size() - 2));
  }

  std::string_view text_;
  size_t at_ = 0, line_begin_ = 0;
  uint32_t line_ = 1;
};

}  // namespace

std::optional<YamlTreeDocument> parse_json_tree(std::string_view text) {
  static_assert(kMaxJsonDepth <= kMaxYamlDepth);
  size_t first = text.find_first_not_of(" \t\r\n");
  if (first == text.npos || (text[first] != '{' && text[first] != '[') || !parse_json(text).ok()) return std::nullopt;
  YamlTreeDocument document;
  document.root = Walker(text).value();
  document.end = static_cast<uint32_t>(text.size());
  return document;
}

}  // namespace archway
