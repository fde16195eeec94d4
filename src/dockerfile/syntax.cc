#include "dockerfile/syntax.h"

#include <algorithm>
#include <array>
#include <optional>
#include <set>

#include "base/text.h"
#include "dockerfile/json_words.h"
#include "dockerfile/lexer.h"
#include "dockerfile/unicode.h"

namespace archway::dockerfile {
namespace {

constexpr std::string_view kBlanks = "\t\v\f\r ";  // between a keyword and its arguments, and between words
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

// How an instruction's arguments are cut.
enum class Shape { OneText, Words, WordsOrJson, TextOrJson, NamesAndValues, QuotedWords, Health, Trigger, Unknown };

Shape shape_of(std::string_view keyword) {
  static constexpr std::array<std::pair<std::string_view, Shape>, 18> kShapes{{
      {"add", Shape::WordsOrJson},       {"arg", Shape::QuotedWords},      {"cmd", Shape::TextOrJson},
      {"copy", Shape::WordsOrJson},      {"entrypoint", Shape::TextOrJson}, {"env", Shape::NamesAndValues},
      {"expose", Shape::Words},          {"from", Shape::Words},           {"healthcheck", Shape::Health},
      {"label", Shape::NamesAndValues},  {"maintainer", Shape::OneText},   {"onbuild", Shape::Trigger},
      {"run", Shape::TextOrJson},        {"shell", Shape::TextOrJson},     {"stopsignal", Shape::OneText},
      {"user", Shape::OneText},          {"volume", Shape::WordsOrJson},   {"workdir", Shape::OneText},
  }};
  const std::string lower = to_lower(keyword);
  for (const auto& [name, shape] : kShapes) {
    if (lower == name) return shape;
  }
  return Shape::Unknown;
}

bool may_hold_heredocs(const Node& node) {
  const Node& inner = to_lower(node.keyword) == "onbuild" && !node.trigger.empty() ? node.trigger[0] : node;
  const std::string keyword = to_lower(inner.keyword);
  return (keyword == "add" || keyword == "copy" || keyword == "run") && !inner.json;
}

bool is_comment(std::string_view line) { return trim_space_left(line).starts_with('#'); }

std::string_view without_line_end(std::string_view line) {
  while (line.ends_with('\n') || line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

// Takes the escape at the end away, and the blanks after it. An escape before it makes it an ordinary character.
bool take_continuation(std::string_view& line, char escape) {
  std::string_view rest = line;
  while (rest.ends_with(' ') || rest.ends_with('\t')) rest.remove_suffix(1);
  if (!rest.ends_with(escape)) return false;
  rest.remove_suffix(1);
  if (rest.ends_with(escape)) return false;
  line = rest;
  return true;
}

std::vector<std::string> split_words(std::string_view text) {
  std::vector<std::string> words;
  while (!text.empty()) {
    const size_t end = std::min(text.find_first_of(kBlanks), text.size());
    words.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(text.find_first_not_of(kBlanks, end), text.size()));
  }
  return words;
}

// Words that may hold quotes, with blanks in the quotes; quotes and escapes stay as they are.
std::vector<std::string> split_quoted_words(std::string_view text, char escape) {
  std::vector<std::string> words;
  size_t position = 0;
  while (true) {
    text = trim_space_left(text.substr(position));
    position = 0;
    if (text.empty()) return words;
    std::string word;
    char quote = '\0';
    while (position < text.size()) {
      const Rune rune = rune_at(text, position);
      if (quote == '\0' && is_space(rune.value)) break;
      if (rune.value == static_cast<unsigned char>(escape) && quote != '\'') {
        if (position + 1 == text.size()) {
          position++;  // at the very end it stands for nothing
          break;
        }
        const size_t escaped = rune_at(text, position + 1).width;
        word += text.substr(position, 1 + escaped);
        position += 1 + escaped;
        continue;
      }
      if (quote == '\0' && (rune.value == '"' || rune.value == '\'')) {
        quote = static_cast<char>(rune.value);
      } else if (quote != '\0' && rune.value == static_cast<unsigned char>(quote)) {
        quote = '\0';
      }
      word += text.substr(position, rune.width);
      position += rune.width;
    }
    if (!word.empty()) words.push_back(std::move(word));
  }
}

// The leading `--words` of the arguments; quotes and escapes are taken away. Leaves what follows them in `text`.
std::vector<std::string> take_flags(std::string_view& text, char escape) {
  std::vector<std::string> flags;
  while (true) {
    text = trim_space_left(text);
    if (!text.starts_with("--")) return flags;
    std::string word;
    char quote = '\0';
    size_t i = 0;
    for (; i < text.size(); i++) {
      const char c = text[i];
      if (quote == '\0' && is_space(static_cast<unsigned char>(c) < 0x80 ? static_cast<char32_t>(c) : kReplacement)) break;
      if (quote == '\0' && (c == '"' || c == '\'')) {
        quote = c;
      } else if (quote != '\0' && c == quote) {
        quote = '\0';
      } else if (c == escape) {
        if (++i == text.size()) break;
        word += text[i];
      } else {
        word += c;
      }
    }
    text.remove_prefix(std::min(i, text.size()));
    if (word == "--") return flags;
    if (!word.empty()) flags.push_back(std::move(word));
  }
}

Error invalid(std::string message) { return Error{Code::Invalid, std::move(message)}; }

Result<void> read_json_or(Node& node, std::string_view text, Shape otherwise) {
  switch (parse_json_words(text, node.arguments)) {
    case JsonWords::Words: node.json = true; return {};
    case JsonWords::NotStrings: return invalid("when using JSON array syntax, arrays must be comprised of strings only");
    case JsonWords::NotJson: break;
  }
  node.arguments.clear();
  if (otherwise == Shape::Words) {
    node.arguments = split_words(text);
  } else if (!text.empty()) {
    node.arguments.emplace_back(text);
  }
  return {};
}

// ENV and LABEL. Whether the first word holds a `=` decides between `NAME=VALUE ...` and the older `NAME VALUE`.
Result<void> read_names_and_values(Node& node, std::string_view text, char escape) {
  const std::vector<std::string> words = split_quoted_words(text, escape);
  if (words.empty()) return {};
  std::string keyword = node.keyword;
  for (char& c : keyword) c = static_cast<char>(c >= 'a' && c <= 'z' ? c - 32 : c);
  if (words[0].find('=') == std::string::npos) {
    const size_t end = text.find_first_of(kBlanks);
    if (end == std::string_view::npos) return invalid(keyword + " must have two arguments");
    node.arguments = {std::string(text.substr(0, end)), std::string(text.substr(text.find_first_not_of(kBlanks, end))), ""};
    return {};
  }
  for (const std::string& word : words) {
    const auto [name, value] = cut(word, '=');
    if (!value) return invalid("Syntax error - can't find = in " + go_quote(word) + ". Must be of the form: name=value");
    node.arguments.emplace_back(name);
    node.arguments.emplace_back(*value);
    node.arguments.emplace_back("=");
  }
  return {};
}

Result<void> read_health(Node& node, std::string_view text) {
  if (text.empty()) return {};
  constexpr std::string_view kSpaces = "\t\n\v\f\r ";
  const size_t end = std::min(text.find_first_of(kSpaces), text.size());
  const std::string type(text.substr(0, end));
  text.remove_prefix(std::min(text.find_first_not_of(kSpaces, end), text.size()));
  TRY(read_json_or(node, text, Shape::OneText));
  node.arguments.insert(node.arguments.begin(), type);
  return {};
}

// `inside`: the instruction is an ONBUILD's; there, ONBUILD itself is not opened any further.
Result<Node> read_line(std::string_view line, char escape, bool inside = false) {
  Node node;
  node.original = line;
  line = trim_space(line);
  const size_t end = std::min(line.find_first_of(kBlanks), line.size());
  node.keyword = line.substr(0, end);
  line.remove_prefix(std::min(line.find_first_not_of(kBlanks, end), line.size()));
  node.flags = take_flags(line, escape);
  line = trim_space(line);

  switch (shape_of(node.keyword)) {
    case Shape::OneText:
      if (!line.empty()) node.arguments.emplace_back(line);
      break;
    case Shape::Words: node.arguments = split_words(line); break;
    case Shape::QuotedWords: node.arguments = split_quoted_words(line, escape); break;
    case Shape::WordsOrJson: TRY(read_json_or(node, line, Shape::Words)); break;
    case Shape::TextOrJson: TRY(read_json_or(node, line, Shape::OneText)); break;
    case Shape::NamesAndValues: TRY(read_names_and_values(node, line, escape)); break;
    case Shape::Health: TRY(read_health(node, line)); break;
    case Shape::Trigger:
      if (inside) {
        if (!line.empty()) node.arguments.emplace_back(line);
      } else if (!line.empty()) {
        node.trigger.push_back(TRY(read_line(line, escape, true)));
      }
      break;
    case Shape::Unknown: break;
  }
  return node;
}

// `# name=value` lines at the very top. The first line that is none ends them.
class Directives {
 public:
  // Whether the line was one; or what is wrong with it.
  Result<bool> read(std::string_view line, Tree& tree) {
    if (done_) return false;
    done_ = true;
    if (!line.starts_with('#')) return false;
    line = trim_space_left(line.substr(1));
    const auto [left, right] = cut(line, '=');
    const std::string name = to_lower(trim(left));
    const std::string value(trim_space(right.value_or("")));
    if (value.empty() || (name != "escape" && name != "syntax" && name != "check")) return false;
    done_ = false;
    if (!seen_.insert(name).second) return invalid("only one " + name + " parser directive can be used");
    if (name == "syntax") tree.syntax = value;
    if (name == "check") tree.check = value;
    if (name == "escape") {
      if (value != "\\" && value != "`") return invalid("invalid escape token '" + value + "' does not match ` or \\");
      tree.escape = value[0];
    }
    return true;
  }

 private:
  bool done_ = false;
  std::set<std::string> seen_;
};

Result<std::optional<Heredoc>> read_heredoc(std::string_view word) {
  const std::optional<Heredoc> none;
  word.remove_prefix(std::min(word.find_first_not_of("0123456789"), word.size()));  // a file descriptor: the shell's business
  if (!word.starts_with("<<")) return none;
  word.remove_prefix(2);
  Heredoc heredoc;
  heredoc.chomp = word.starts_with('-');
  if (heredoc.chomp) word.remove_prefix(1);
  word.remove_prefix(std::min(word.find_first_not_of("\t\n\f\r "), word.size()));
  if (word.empty() || word.find('<') != std::string_view::npos) return none;

  // Read with and without its quotes: if there are fewer in the one than in the other, some of the delimiter was quoted.
  LexOptions options;
  options.keep_unset = true;
  const Lexed plain = TRY(lex(word, nullptr, options));
  if (plain.words.size() != 1) return none;
  options.raw_quotes = true;
  const Lexed raw = TRY(lex(word, nullptr, options));
  auto quotes = [](const std::string& text) { return std::count_if(text.begin(), text.end(), [](char c) { return c == '\'' || c == '"'; }); };
  heredoc.name = plain.words[0];
  heredoc.expand = raw.words.size() == 1 && quotes(plain.words[0]) == quotes(raw.words[0]);
  return std::optional<Heredoc>(std::move(heredoc));
}

Result<std::vector<Heredoc>> heredocs_in(std::string_view line) {
  LexOptions options;
  options.raw_quotes = options.raw_escapes = options.keep_unset = true;
  std::vector<Heredoc> heredocs;
  auto lexed = lex(line, nullptr, options);
  if (!lexed.ok()) return heredocs;  // the shell may know better what to do with the line
  for (const std::string& word : lexed->words) {
    auto heredoc = TRY(read_heredoc(word));
    if (heredoc) heredocs.push_back(std::move(*heredoc));
  }
  return heredocs;
}

class Parser {
 public:
  Parser(std::string_view text, Tree& tree, Complaint& complaint) : rest_(text), tree_(tree), complaint_(complaint) {}

  bool run() {
    if (rest_.size() > kMaxDockerfileBytes) return fail(1, "the file is longer than " + std::to_string(kMaxDockerfileBytes) + " bytes");
    if (rest_.starts_with(kByteOrderMark)) rest_.remove_prefix(kByteOrderMark.size());
    for (std::string_view text = rest_; !text.empty();) tree_.lines.emplace_back(without_line_end(take_line(text)));
    std::string_view line;
    while (next_line(line)) {
      if (!statement(line)) return false;
    }
    if (too_long_) return fail(line_ + 1, "dockerfile line greater than max allowed size of " + std::to_string(kMaxLineBytes));
    if (tree_.nodes.empty()) return fail(std::max(line_, 1), "file with no instructions");
    return true;
  }

 private:
  static std::string_view take_line(std::string_view& text) {
    const size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end == std::string_view::npos ? text.size() : end + 1);
    text.remove_prefix(line.size());
    return line;
  }
  bool next_line(std::string_view& line) {
    if (rest_.empty() || too_long_) return false;
    line = take_line(rest_);
    too_long_ = line.size() - (line.ends_with('\n') ? 1 : 0) > kMaxLineBytes;
    if (too_long_) return false;
    line_++;
    return true;
  }
  bool fail(int line, std::string message) {
    complaint_.where = {line, std::max(line, line_), 1};
    if (line >= 1 && static_cast<size_t>(line) <= tree_.lines.size()) {
      const std::string& text = tree_.lines[static_cast<size_t>(line) - 1];
      complaint_.where.column = static_cast<int>(text.size() - trim_space_left(text).size()) + 1;
    }
    complaint_.message = std::move(message);
    return false;
  }

  // From a first line on: directive, comment, blank line, or an instruction with its continuation lines and heredocs.
  bool statement(std::string_view line) {
    line = trim_space_left(without_line_end(line));
    auto directive = directives_.read(line, tree_);
    if (!directive.ok()) return fail(line_, directive.error().message);
    if (is_comment(line)) return true;
    const int first_line = line_;
    bool more = take_continuation(line, tree_.escape);
    if (!more && line.empty()) return true;
    std::string joined(line);
    if (!join_continuations(joined, more)) return false;

    auto node = read_line(joined, tree_.escape);
    if (!node.ok()) return fail(first_line, node.error().message);
    if (may_hold_heredocs(*node) && joined.find("<<") != std::string::npos) {
      auto heredocs = heredocs_in(joined);
      if (!heredocs.ok()) return fail(first_line, heredocs.error().message);
      for (Heredoc& heredoc : *heredocs) {
        if (!read_body(heredoc)) return too_long_ ? true : fail(first_line, "unterminated heredoc: no line " + go_quote(heredoc.name) + " follows");
      }
      node->heredocs = std::move(*heredocs);
    }
    if (tree_.nodes.size() == kMaxInstructions) return fail(first_line, "more than " + std::to_string(kMaxInstructions) + " instructions");
    const std::string& shown = tree_.lines[static_cast<size_t>(first_line) - 1];
    node->where = {first_line, line_, static_cast<int>(shown.size() - trim_space_left(shown).size()) + 1};
    tree_.nodes.push_back(std::move(*node));
    return true;
  }

  bool join_continuations(std::string& joined, bool more) {
    bool had_empty_line = false;
    std::string_view line;
    while (more && next_line(line)) {
      line = without_line_end(line);
      auto directive = directives_.read(line, tree_);
      if (!directive.ok()) return fail(line_, directive.error().message);
      if (is_comment(line)) continue;
      if (trim_space_left(line).empty()) {
        had_empty_line = true;
        continue;
      }
      more = take_continuation(line, tree_.escape);
      joined += line;
    }
    if (had_empty_line) tree_.empty_continuations.push_back(line_);
    return true;
  }

  bool read_body(Heredoc& heredoc) {
    std::string_view line;
    while (next_line(line)) {
      std::string_view candidate = without_line_end(line);
      while (heredoc.chomp && candidate.starts_with('\t')) candidate.remove_prefix(1);
      if (candidate == heredoc.name) return true;
      heredoc.content += line;
    }
    return false;
  }

  std::string_view rest_;
  Tree& tree_;
  Complaint& complaint_;
  Directives directives_;
  int line_ = 0;
  bool too_long_ = false;
};

std::string dump_node(const Node& node) {
  std::string out = to_lower(node.keyword);
  if (!node.flags.empty()) {
    out += " [";
    for (size_t i = 0; i < node.flags.size(); i++) out += (i == 0 ? "" : " ") + go_quote(node.flags[i]);
    out += "]";
  }
  for (const Node& trigger : node.trigger) out += " (" + dump_node(trigger) + ")";
  for (const std::string& argument : node.arguments) out += " " + go_quote(argument);
  return std::string(trim_space(out));
}

// A terminal is not to be steered by somebody's Dockerfile, nor flooded.
std::string showable(std::string_view line, size_t max_bytes) {
  std::string out;
  for (char c : line.substr(0, max_bytes)) out += (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7F ? '?' : c;
  return line.size() > max_bytes ? out + "..." : out;
}

}  // namespace

std::string Tree::dump() const {
  std::string out;
  for (const Node& node : nodes) out += "(" + dump_node(node) + ")\n";
  return out;
}

bool parse_syntax(std::string_view text, char escape, Tree& tree, Complaint& complaint) {
  tree = {};
  tree.escape = escape;
  return Parser(text, tree, complaint).run();
}

Error complain(const std::vector<std::string>& lines, std::string_view name, const Complaint& complaint) {
  int line = std::max(complaint.where.first_line, 1), column = complaint.where.column;
  auto text_of = [&](int number) { return static_cast<size_t>(number) <= lines.size() ? std::string_view(lines[static_cast<size_t>(number) - 1]) : ""; };
  if (!complaint.word.empty()) {
    for (int candidate = line; candidate <= complaint.where.last_line; candidate++) {
      const size_t found = text_of(candidate).find(complaint.word);
      if (found == std::string_view::npos) continue;
      line = candidate;
      column = static_cast<int>(found) + 1;
      break;
    }
  }
  constexpr size_t kMaxMessageBytes = 1000, kMaxShownLineBytes = 240;
  std::string message = std::string(name) + ":" + std::to_string(line) + ":" + std::to_string(column) + ": ";
  message += showable(complaint.message, kMaxMessageBytes);
  message += "\n>>> " + showable(text_of(line), kMaxShownLineBytes);
  return Error{Code::Invalid, std::move(message)};
}

std::optional<Heredoc> parse_heredoc(std::string_view word) {
  auto heredoc = read_heredoc(word);
  return heredoc.ok() ? std::move(*heredoc) : std::nullopt;
}

std::string chomp_heredoc(std::string_view content) {
  std::string out;
  bool at_start = true;
  for (char c : content) {
    if (at_start && c == '\t') continue;
    out += c;
    at_start = c == '\n';
  }
  return out;
}

}  // namespace archway::dockerfile
