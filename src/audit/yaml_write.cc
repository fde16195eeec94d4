#include "audit/yaml_write.h"

#include <algorithm>
#include <optional>

#include "base/text.h"
#include "format/yaml_scalar.h"

namespace archway::audit {

namespace {

bool holds_something(const Json& value) { return (value.is_array() || value.is_object()) && value.size() > 0; }

// Readers of YAML 1.1 take these for dates and for numbers in base 60, Kubernetes for strings. Quotes end the argument.
bool looks_like_time(std::string_view text) {
  bool digits = std::all_of(text.begin(), text.end(), [](char c) { return (c >= '0' && c <= '9') || c == ':' || c == '-' || c == '.' || c == '_'; });
  return digits && text.find_first_of(":-", 1) != text.npos;
}

bool plain_is_safe(std::string_view text, Around around) {
  if (text.empty() || text == "<<" || text == "=" || looks_like_time(text)) return false;
  auto resolved = resolve_yaml_scalar(text);
  if (!resolved || !resolved->is_string()) return false;
  bool argument = text.size() > 1 && text[0] == '-' && text[1] != ' ' && text[1] != '\t' && text != "---";  // "--image=x"
  if (!argument && std::string_view("-?:,[]{}#&*!|>'\"%@` \t").find(text.front()) != std::string_view::npos) return false;
  if (text.back() == ' ' || text.back() == '\t' || text.back() == ':') return false;
  for (size_t i = 0; i < text.size(); ++i) {
    unsigned char c = static_cast<unsigned char>(text[i]);
    if (c < ' ' || c == 0x7f) return false;
    if (c == '#' && text[i - 1] == ' ') return false;
    if (c == ':' && i + 1 < text.size() && (text[i + 1] == ' ' || text[i + 1] == '\t')) return false;
    if (around == Around::Flow && (c == ',' || c == '[' || c == ']' || c == '{' || c == '}')) return false;
  }
  return true;
}

class HabitReader {
 public:
  explicit HabitReader(std::string_view text) { habit_.eol = line_end_of(text); }

  void look(const YamlNode& node, const YamlNode* key) {
    if (node.kind == YamlNode::Kind::Scalar && !quote_) {
      if (node.style == YamlNode::Style::DoubleQuoted) quote_ = '"';
      if (node.style == YamlNode::Style::SingleQuoted) quote_ = '\'';
    }
    bool below = key && node.style == YamlNode::Style::Block && node.line > key->line && node.column >= key->column;
    if (below && node.kind == YamlNode::Kind::Mapping && !step_ && node.column > key->column) step_ = node.column - key->column;
    if (below && node.kind == YamlNode::Kind::Sequence && !sequence_step_) sequence_step_ = node.column - key->column;
    if (quote_ && step_ && sequence_step_) return;
    for (size_t i = 0; i < node.children.size(); ++i) {
      look(node.children[i], node.kind == YamlNode::Kind::Mapping && i % 2 == 1 ? &node.children[i - 1] : nullptr);
    }
  }

  YamlHabit habit() {
    habit_.step = step_.value_or(2);
    habit_.sequence_step = sequence_step_.value_or(0);
    habit_.quote = quote_.value_or('"');
    return habit_;
  }

 private:
  static std::string line_end_of(std::string_view text) {
    size_t end = text.find('\n');
    return end != std::string_view::npos && end > 0 && text[end - 1] == '\r' ? "\r\n" : "\n";
  }
  YamlHabit habit_;
  std::optional<size_t> step_, sequence_step_;
  std::optional<char> quote_;
};

class BlockWriter {
 public:
  explicit BlockWriter(const YamlHabit& habit) : habit_(habit) {}

  void write(const Json& value, size_t indent, bool inline_first) {
    begun_ = inline_first;
    for (const Json& item : value.items()) {
      begin_line(indent);
      out += "- ";
      if (holds_something(item)) {
        write(item, indent + 2, true);
      } else {
        out += scalar_text(item, Around::Block, habit_.quote);
      }
    }
    for (const JsonMember& member : value.members()) {
      begin_line(indent);
      out += scalar_text(Json(member.key), Around::Block, habit_.quote) + ":";
      if (holds_something(member.value)) {
        write(member.value, indent + (member.value.is_array() ? habit_.sequence_step : habit_.step), false);
      } else {
        out += " " + scalar_text(member.value, Around::Block, habit_.quote);
      }
    }
  }

  std::string out;

 private:
  void begin_line(size_t indent) {
    if (!begun_) {
      if (!out.empty()) out += habit_.eol;
      out.append(indent, ' ');
    }
    begun_ = false;
  }
  const YamlHabit& habit_;
  bool begun_ = false;
};

}  // namespace

YamlHabit habit_of(std::string_view text, const YamlNode& root) {
  HabitReader reader(text);
  reader.look(root, nullptr);
  return reader.habit();
}

std::string quoted_text(std::string_view text, char quote) {
  bool single = quote == '\'' && std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) >= ' ' && c != 0x7f; });
  return single ? "'" + replace_all(std::string(text), "'", "''") + "'" : json_quote(text);
}

std::string scalar_text(const Json& value, Around around, char quote) {
  if (value.is_array()) return "[]";
  if (value.is_object()) return "{}";
  if (!value.is_string()) return to_json(value);
  if (around == Around::Json) return json_quote(value.string());
  return plain_is_safe(value.string(), around) ? value.string() : quoted_text(value.string(), quote);
}

std::string flow_text(const Json& value, Around around, char quote) {
  if (!holds_something(value)) return scalar_text(value, around, quote);
  std::string out(1, value.is_array() ? '[' : '{');
  auto next = [&] { if (out.size() > 1) out += ", "; };
  for (const Json& item : value.items()) {
    next();
    out += flow_text(item, around, quote);
  }
  for (const JsonMember& member : value.members()) {
    next();
    out += scalar_text(Json(member.key), around, quote) + ": " + flow_text(member.value, around, quote);
  }
  return out + (value.is_array() ? ']' : '}');
}

std::string json_lines(const Json& value, const std::string& blanks, const std::string& step, std::string_view eol) {
  if (!holds_something(value)) return scalar_text(value, Around::Json, '"');
  std::string out(1, value.is_array() ? '[' : '{'), inner = blanks + step;
  auto next = [&] { out += (out.size() > 1 ? "," : "") + std::string(eol) + inner; };
  for (const Json& item : value.items()) {
    next();
    out += json_lines(item, inner, step, eol);
  }
  for (const JsonMember& member : value.members()) {
    next();
    out += json_quote(member.key) + ": " + json_lines(member.value, inner, step, eol);
  }
  return out + std::string(eol) + blanks + (value.is_array() ? ']' : '}');
}

std::string block_text(const Json& value, size_t indent, bool inline_first, const YamlHabit& habit) {
  if (!holds_something(value)) return scalar_text(value, Around::Block, habit.quote);
  BlockWriter writer(habit);
  writer.write(value, indent, inline_first);
  return std::move(writer.out);
}

}  // namespace archway::audit
