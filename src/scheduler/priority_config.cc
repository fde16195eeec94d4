#include "scheduler/priority_config.h"

#include <re2/re2.h>

#include <algorithm>
#include <map>

#include "base/text.h"
#include "format/yaml.h"

namespace archway::scheduler {

struct Pattern::Compiled {
  explicit Compiled(const std::string& text, const RE2::Options& options) : expression(text, options) {}
  RE2 expression;
};

namespace {

// RE2 knows \C, "one byte", which Go's package does not.
bool has_byte_escape(std::string_view text) {
  bool quoted = false;  // within \Q...\E nothing is special
  for (size_t i = 0; i + 1 < text.size(); ++i) {
    if (text[i] != '\\') continue;
    char next = text[i + 1];
    if (quoted ? next == 'E' : next == 'Q') {
      quoted = !quoted;
    } else if (!quoted && next == 'C') {
      return true;
    }
    if (!quoted) ++i;
  }
  return false;
}

// Go takes (?<name>...) since 1.22; Debian 12's RE2 only (?P<name>...).
std::string with_old_names(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 1 < text.size()) {
      out += text[i++];
      out += text[i];
    } else if (text.substr(i).starts_with("(?<") && i + 3 < text.size() && text[i + 3] != '=' && text[i + 3] != '!') {
      out += "(?P<";
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

Error at_line(uint32_t line, const std::string& what) { return {Code::Invalid, "line " + std::to_string(line) + ": " + what}; }

// A key as yaml.v2 makes an int of it: decimal, 0x, 0o and leading-zero octal, 0b, underscores, and floating point cut off.
std::optional<int64_t> key_number(std::string_view text) {
  if (auto plain = parse_int(text)) return plain;
  char* end = nullptr;
  std::string copy(text);
  double value = std::strtod(copy.c_str(), &end);
  bool number = !copy.empty() && *end == '\0' && value > -9e18 && value < 9e18;
  if (!number) return std::nullopt;
  return static_cast<int64_t>(value);
}

// The text of the key whose value stands at `mark`: JSON members only have its value.
bool key_is_quoted(const std::vector<std::string_view>& lines, const std::string& key) {
  for (std::string_view line : lines) {
    std::string_view start = trim(line);
    for (char quote : {'"', '\''}) {
      std::string whole = quote + key + quote;
      if (start.starts_with(whole) && trim(start.substr(whole.size())).starts_with(":")) return true;
    }
  }
  return false;
}

// Where each block key stands, and how often.
std::map<std::string, std::vector<uint32_t>> key_lines(const std::vector<std::string_view>& lines) {
  std::map<std::string, std::vector<uint32_t>> found;
  for (size_t i = 0; i < lines.size(); ++i) {
    if (lines[i].empty() || lines[i][0] == ' ' || lines[i][0] == '-' || lines[i][0] == '#') continue;
    auto [key, rest] = cut(lines[i], ':');
    if (rest) found[std::string(trim(key))].push_back(static_cast<uint32_t>(i + 1));
  }
  return found;
}

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  for (;;) {
    auto [line, rest] = cut(text, '\n');
    lines.push_back(line);
    if (!rest) return lines;
    text = *rest;
  }
}

}  // namespace

Result<Pattern> Pattern::compile(std::string_view text) {
  if (text.size() > kMaxPatternBytes) return Error{Code::Invalid, "the pattern has over " + std::to_string(kMaxPatternBytes) + " bytes"};
  RE2::Options options;
  options.set_log_errors(false);
  std::string wanted = with_old_names(text);
  if (has_byte_escape(text)) return Error{Code::Invalid, "invalid escape sequence: \\C"};
  auto compiled = std::make_shared<Compiled>(wanted, options);
  if (!compiled->expression.ok()) return Error{Code::Invalid, compiled->expression.error()};
  Pattern pattern;
  pattern.text_ = text;
  pattern.compiled_ = std::move(compiled);
  return pattern;
}

bool Pattern::matches(std::string_view id) const { return RE2::PartialMatch(re2::StringPiece(id.data(), id.size()), compiled_->expression); }

Result<PriorityConfig> PriorityConfig::parse(std::string_view text) {
  if (text.empty()) return at_line(1, "it is empty, so the expander lets every option pass");
  if (text.size() > kMaxPriorityBytes) return at_line(1, "it has over " + std::to_string(kMaxPriorityBytes >> 20) + " MiB");
  auto parsed = parse_yaml_documents(text);
  if (!parsed.ok()) return std::move(parsed).error();
  PriorityConfig config;
  // yaml.v2 reads the first document; of none it makes an empty map.
  if (parsed->empty()) return config;
  const Json& map = (*parsed)[0].value;
  const YamlMarks& marks = (*parsed)[0].marks;
  if (!map.is_object()) return at_line(static_cast<uint32_t>(marks.line), "it must be a map of priorities to lists of patterns");
  std::vector<std::string_view> lines = lines_of(text);
  for (const auto& [key, places] : key_lines(lines)) {
    if (places.size() > 1) {
      config.remarks_.push_back({"priority-duplicate", "priority " + key + " is there " + std::to_string(places.size()) + " times, and only the last list counts",
                                 "put all patterns into one list", places[0]});
    }
  }
  for (size_t i = 0; i < map.members().size(); ++i) {
    const JsonMember& member = map.members()[i];
    uint32_t line = i < marks.children.size() ? static_cast<uint32_t>(marks.children[i].line) : 1;
    auto priority = key_number(member.key);
    if (!priority || key_is_quoted(lines, member.key)) return at_line(line, "the priority \"" + member.key + "\" is no whole number");
    if (!parse_int(member.key)) {
      config.remarks_.push_back({"priority-not-whole", "the priority " + member.key + " is cut to " + std::to_string(*priority), "write a whole number", line});
    }
    if (member.value.is_null()) {
      config.remarks_.push_back({"priority-empty", "priority " + member.key + " has no patterns", "list patterns, or remove it", line});
      continue;
    }
    if (!member.value.is_array()) return at_line(line, "priority " + member.key + " must have a list of patterns");
    for (size_t j = 0; j < member.value.size(); ++j) {
      const Json& item = member.value.items()[j];
      uint32_t at = j < marks.children[i].children.size() ? static_cast<uint32_t>(marks.children[i].children[j].line) : line;
      if (item.is_array() || item.is_object()) return at_line(at, "a pattern of priority " + member.key + " is no string");
      std::string expression = item.is_string() ? item.string() : item.is_null() ? "" : to_json(item);
      auto pattern = Pattern::compile(expression);
      if (!pattern.ok()) return at_line(at, "the pattern \"" + expression + "\" is no regular expression: " + pattern.error().message);
      config.entries_.push_back({*priority, std::move(*pattern), at});
    }
  }
  std::stable_sort(config.entries_.begin(), config.entries_.end(), [](const PriorityEntry& a, const PriorityEntry& b) { return a.priority > b.priority; });
  return config;
}

std::optional<int64_t> PriorityConfig::priority_of(std::string_view id) const {
  for (const PriorityEntry& entry : entries_) {
    if (entry.pattern.matches(id)) return entry.priority;
  }
  return std::nullopt;
}

}  // namespace archway::scheduler
