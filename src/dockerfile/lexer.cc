#include "dockerfile/lexer.h"

#include <optional>

#include "dockerfile/pattern.h"
#include "dockerfile/unicode.h"

namespace archway::dockerfile {
namespace {

constexpr char32_t kEnd = 0xFFFFFFFF;

Error invalid(std::string message) { return Error{Code::Invalid, std::move(message)}; }

// $@, $* and the like: names of one character that never have a value here.
bool is_special_parameter(char32_t rune) { return rune < 0x80 && std::string_view("@*#?-$!0").find(static_cast<char>(rune)) != std::string_view::npos; }

// Gathers words next to the text. A blank ends a word only where it was neither quoted nor escaped.
class Words {
 public:
  void add(char32_t rune) {
    if (!is_space(rune)) return add_raw(rune);
    if (word_.empty()) return;
    words_.push_back(std::move(word_));
    word_.clear();
  }
  void add_raw(char32_t rune) { append_rune(word_, rune); }
  void add(std::string_view text) {
    for (size_t position = 0; position < text.size();) {
      const Rune rune = rune_at(text, position);
      add(rune.value);
      position += rune.width;
    }
  }
  void add_raw(std::string_view text) { word_ += text; }
  std::vector<std::string> take() {
    if (!word_.empty()) words_.push_back(std::move(word_));
    return std::move(words_);
  }

 private:
  std::string word_;
  std::vector<std::string> words_;
};

class Lexer {
 public:
  Lexer(std::string_view source, const Lookup& lookup, const LexOptions& options) : source_(source), lookup_(lookup), options_(options) {}

  Result<Lexed> run() {
    Words words;
    Lexed lexed;
    lexed.text = TRY(text_until(kEnd, options_.raw_escapes, words));
    lexed.words = words.take();
    lexed.unset = std::move(unset_);
    return lexed;
  }

 private:
  char32_t peek() const { return position_ >= source_.size() ? kEnd : rune_at(source_, position_).value; }
  char32_t next() {
    if (position_ >= source_.size()) return kEnd;
    const Rune rune = rune_at(source_, position_);
    position_ += rune.width;
    return rune.value;
  }
  bool at_end() const { return position_ >= source_.size(); }
  char32_t escape() const { return static_cast<unsigned char>(options_.escape); }

  // Up to `stop`, which is consumed and not part of the text. kEnd: all there is.
  Result<std::string> text_until(char32_t stop, bool raw_escapes, Words& words);
  Result<std::string> single_quoted();
  Result<std::string> double_quoted(bool raw_escapes);
  std::string possible_heredoc();
  Result<std::string> dollar();
  Result<std::string> braced();
  Result<std::string> substituted(const std::string& name, char32_t modifier, bool empty_is_unset);
  Result<std::string> replaced(const std::string& name);
  std::string name();
  // A word inside ${...}, ended by `stop`.
  Result<std::string> inner_word(char32_t stop, bool raw_escapes);

  std::optional<std::string> value_of(const std::string& name) {
    std::optional<std::string> value = lookup_ ? lookup_(name) : std::nullopt;
    if (!value) unset_.insert(name);
    return value;
  }
  Result<void> check_size(const std::string& text) const {
    if (text.size() <= kMaxExpandedBytes) return {};
    return invalid("the expanded text is longer than " + std::to_string(kMaxExpandedBytes) + " bytes");
  }

  std::string_view source_;
  const Lookup& lookup_;
  const LexOptions& options_;
  size_t position_ = 0;
  size_t depth_ = 0;
  std::set<std::string> unset_;
};

Result<std::string> Lexer::text_until(char32_t stop, bool raw_escapes, Words& words) {
  std::string text;
  while (!at_end()) {
    const char32_t rune = peek();
    if (rune == stop) {
      next();
      return text;
    }
    if (rune == '$') {
      const std::string value = TRY(dollar());
      text += value;
      words.add(value);
      TRY(check_size(text));
    } else if (rune == '\'' && !options_.plain_quotes) {
      const std::string quoted = TRY(single_quoted());
      text += quoted;
      words.add_raw(quoted);
    } else if (rune == '"' && !options_.plain_quotes) {
      const std::string quoted = TRY(double_quoted(raw_escapes));
      text += quoted;
      words.add_raw(quoted);
      TRY(check_size(text));
    } else if (rune == '<') {
      const std::string opening = possible_heredoc();
      text += opening;
      words.add_raw(opening);
    } else if (rune == escape()) {
      next();
      if (raw_escapes) {
        append_rune(text, rune);
        words.add_raw(rune);
      }
      if (at_end()) break;  // an escape at the very end stands for nothing
      const char32_t escaped = next();
      append_rune(text, escaped);
      words.add_raw(escaped);
    } else {
      next();
      append_rune(text, rune);
      words.add(rune);
    }
  }
  if (stop == kEnd) return text;
  std::string wanted;
  append_rune(wanted, stop);
  return invalid("unexpected end of statement while looking for matching " + wanted);
}

// Everything is literal; there is no escape for the quote itself.
Result<std::string> Lexer::single_quoted() {
  std::string text;
  if (options_.raw_quotes) text += '\'';
  next();
  while (!at_end()) {
    const char32_t rune = next();
    if (rune == '\'') {
      if (options_.raw_quotes) text += '\'';
      return text;
    }
    append_rune(text, rune);
  }
  return invalid("unexpected end of statement while looking for matching single-quote");
}

// Variables are expanded; the escape keeps itself unless it stands before `"`, `$` or another escape.
Result<std::string> Lexer::double_quoted(bool raw_escapes) {
  std::string text;
  if (options_.raw_quotes) text += '"';
  next();
  while (!at_end()) {
    if (peek() == '$') {
      text += TRY(dollar());
      TRY(check_size(text));
      continue;
    }
    char32_t rune = next();
    if (rune == '"') {
      if (options_.raw_quotes) text += '"';
      return text;
    }
    if (rune == escape()) {
      if (raw_escapes) append_rune(text, rune);
      if (at_end()) break;
      if (peek() == '"' || peek() == '$' || peek() == escape()) rune = next();
    }
    append_rune(text, rune);
  }
  return invalid("unexpected end of statement while looking for matching double-quote");
}

// Blanks between << and its delimiter do not end the word.
std::string Lexer::possible_heredoc() {
  next();
  if (peek() != '<') return "<";
  next();
  std::string text = "<<";
  while (peek() == ' ' || peek() == '\t' || peek() == '\r') append_rune(text, next());
  return text;
}

std::string Lexer::name() {
  std::string name;
  if (is_digit(peek())) {
    while (!at_end() && is_digit(peek())) append_rune(name, next());
    return name;
  }
  if (!at_end() && is_special_parameter(peek())) {
    append_rune(name, next());
    return name;
  }
  while (!at_end() && (is_letter(peek()) || is_digit(peek()) || peek() == '_')) append_rune(name, next());
  return name;
}

Result<std::string> Lexer::dollar() {
  next();
  if (peek() == '{') {
    next();
    if (++depth_ > kMaxExpandDepth) return invalid("substitutions are nested deeper than " + std::to_string(kMaxExpandDepth));
    auto text = braced();
    depth_--;
    return text;
  }
  const std::string variable = name();
  if (variable.empty()) return std::string("$");
  auto value = value_of(variable);
  if (!value && options_.keep_unset) return "$" + variable;
  return std::move(value).value_or("");
}

// After `${`.
Result<std::string> Lexer::braced() {
  if (at_end()) return invalid("syntax error: missing '}'");
  if (peek() == '{' || peek() == '}' || peek() == ':') return invalid("syntax error: bad substitution");
  const std::string variable = name();
  const char32_t modifier = next();
  switch (modifier) {
    case '}': {
      auto value = value_of(variable);
      if (!value && options_.keep_unset) return "${" + variable + "}";
      return std::move(value).value_or("");
    }
    case ':': return substituted(variable, next(), true);
    case '+': case '-': case '?': case '#': case '%': return substituted(variable, modifier, false);
    case '/': return replaced(variable);
    default: break;
  }
  if (modifier == kEnd) return invalid("syntax error: missing '}'");
  std::string shown;
  append_rune(shown, modifier);
  return invalid("unsupported modifier (" + shown + ") in substitution");
}

Result<std::string> Lexer::inner_word(char32_t stop, bool raw_escapes) {
  Words ignored;
  auto word = text_until(stop, raw_escapes, ignored);
  if (!word.ok() && at_end() && depth_ <= kMaxExpandDepth) return invalid(std::string("syntax error: missing '") + static_cast<char>(stop) + "'");
  return word;
}

Result<std::string> Lexer::substituted(const std::string& variable, char32_t modifier, bool empty_is_unset) {
  std::string shown = empty_is_unset ? ":" : "";
  if (modifier == kEnd) return invalid("syntax error: missing '}'");
  append_rune(shown, modifier);
  const bool is_pattern = modifier == '#' || modifier == '%';
  const bool known = is_pattern || modifier == '-' || modifier == '+' || modifier == '?';
  if (!known || (is_pattern && empty_is_unset)) return invalid("unsupported modifier (" + shown + ") in substitution");

  std::string word = TRY(inner_word('}', is_pattern));
  const auto value = value_of(variable);
  if (!value && options_.keep_unset) return "${" + variable + shown + word + "}";
  const bool has_value = value && !(empty_is_unset && value->empty());
  switch (modifier) {
    case '-': return has_value ? *value : word;
    case '+': return has_value ? word : std::string();
    case '?':
      if (has_value) return *value;
      if (word.empty()) word = value ? "is not allowed to be empty" : "is not allowed to be unset";
      return invalid(variable + ": " + word);
    default: break;
  }
  const bool doubled = !word.empty() && static_cast<unsigned char>(word[0]) == modifier;
  const Greed greed = doubled ? Greed::Longest : Greed::Shortest;
  const std::string pattern = doubled ? word.substr(1) : word;
  return modifier == '#' ? trim_prefix(value.value_or(""), pattern, greed) : trim_suffix(value.value_or(""), pattern, greed);
}

Result<std::string> Lexer::replaced(const std::string& variable) {
  const Occurrences which = peek() == '/' ? Occurrences::All : Occurrences::First;
  if (which == Occurrences::All) next();
  const std::string pattern = TRY(inner_word('/', true));
  const std::string replacement = TRY(inner_word('}', true));
  const auto value = value_of(variable);
  if (!value && options_.keep_unset) return "${" + variable + "/" + pattern + "/" + replacement + "}";
  return replace_pattern(value.value_or(""), pattern, replacement, which);
}

}  // namespace

Result<Lexed> lex(std::string_view source, const Lookup& lookup, const LexOptions& options) {
  auto lexed = Lexer(source, lookup, options).run();
  if (lexed.ok()) return lexed;
  constexpr size_t kShown = 200;
  std::string shown = go_quote(source.substr(0, kShown));
  if (source.size() > kShown) shown += "...";
  return std::move(lexed).context("failed to process " + shown);
}

}  // namespace archway::dockerfile
