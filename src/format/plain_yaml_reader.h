#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "format/yaml.h"

// YAML as most manifests are written: block mappings and sequences, words, quotes, flow collections, `|` texts; ASCII, no tabs, no
// anchors, no tags, nothing but a `|` text on more than one line. Such a document is read here in one pass, ten times as quickly as
// libyaml reads it. Whatever is written in another way, or not quite right, is refused, and the caller has libyaml read it: so what is
// an error, and why, is said in one place. What is read here is read as libyaml reads it, mark by mark, and its fuzz targets hold the two
// against each other (the rules are libyaml's, where they differ from the specification's: YAML 1.1 with its scanner's limits).
namespace archway {

inline constexpr size_t kMaxPlainYamlDepth = 64;
// libyaml takes no key that is longer than 1,024 without "?".
inline constexpr size_t kMaxPlainYamlKeyBytes = 1000;

template <class Style>
struct PlainYamlScalar {
  size_t begin = 0, end = 0;      // bytes, quotes included; of a `|` text to the end of its last line that is not empty
  size_t end_mark = 0;            // where libyaml says that it ends: behind the empty lines that follow a `|` text
  uint32_t line = 0, column = 0;  // from 1
  Style style = {};
  std::string_view text = {};
  bool kept = true;               // the text stands so in the document; else it is only there until the builder returns
};

namespace plain_yaml {

// What a byte may be part of.
enum Class : uint8_t {
  kKey = 1,        // in a key without quotes
  kFlowWord = 2,   // in a word in a flow collection
  kFlowFirst = 4,  // where such a word begins
  kIndicator = 8,  // means something where a word begins
  kWordEnd = 16,   // may end a line's words
  kQuoteEnd = 32,  // may end a quoted text
};

constexpr std::array<uint8_t, 256> classes() {
  std::array<uint8_t, 256> table{};
  auto add = [&table](std::string_view bytes, uint8_t what) {
    for (char c : bytes) table[static_cast<unsigned char>(c)] |= what;
  };
  add("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._/", kKey | kFlowWord | kFlowFirst);
  add("-", kKey | kFlowWord);
  add("$+=()~^;<", kFlowWord | kFlowFirst);
  add("@*&!%|>", kFlowWord);
  add("-?:,[]{}#&*!|>'\"%@`", kIndicator);
  add(":#\n", kWordEnd);
  add("\"'\\\n", kQuoteEnd);
  return table;
}
inline constexpr std::array<uint8_t, 256> kClasses = classes();

inline bool is(char c, uint8_t wanted) { return (kClasses[static_cast<unsigned char>(c)] & wanted) != 0; }

// Nothing but what can be seen, blanks and line ends; eight bytes at a time.
inline bool all_plain(std::string_view text) {
  constexpr uint64_t kOnes = 0x0101010101010101u, kHigh = 0x80 * kOnes, kLow = 0x7f * kOnes;
  uint64_t bad = 0;
  auto look = [&](uint64_t word) {
    uint64_t low = word & kLow, line_end = low ^ ('\n' * kOnes);
    uint64_t seen = low + (0x80 - ' ') * kOnes;     // its high bit: not below the blank
    uint64_t other = line_end + kLow;               // its high bit: no line end
    uint64_t erased = low + kOnes;                  // its high bit: 0x7f
    bad |= (word | erased | (~seen & other)) & kHigh;
  };
  size_t at = 0;
  uint64_t word = 0;
  for (; at + 8 <= text.size(); at += 8) {
    std::memcpy(&word, text.data() + at, 8);
    look(word);
  }
  for (; at < text.size(); ++at) look(' ' * kOnes - ' ' + static_cast<unsigned char>(text[at]));
  return bad == 0;
}

}  // namespace plain_yaml

// Reads one document, "---" above it or not, and tells a builder of its keys and values in order:
//     bool open(Kind, Style, size_t begin, uint32_t line, uint32_t column)
//     bool scalar(const PlainYamlScalar<Style>&, bool is_key)    an empty one where there is no value
//     void close(size_t end)
// which go on while they answer true. Kind and Style are the builder's.
template <class Builder>
class PlainYamlReader {
  using Kind = typename Builder::Kind;
  using Style = typename Builder::Style;
  using Scalar = PlainYamlScalar<Style>;

 public:
  PlainYamlReader(std::string_view text, Builder& builder, size_t lines_before = 0)
      : text_(text), at_(text.data()), end_(at_ + text.size()), line_begin_(at_), line_(static_cast<uint32_t>(lines_before + 1)), builder_(builder) {}

  // False: refused, or the builder had enough; what it was told until then means nothing.
  bool read() {
    if (text_.size() > kMaxYamlBytes || !plain_yaml::all_plain(text_)) return false;
    if (text_.starts_with("---")) {
      at_ += 3;
      content_ = 3;
      if (!rest_of_line()) return false;
    }
    if (!content_line()) return false;
    if (*at_ != '{' && *at_ != '[') return block(0) && done_;
    return flow(0) && rest_of_line() && !content_line();
  }

  // Where the document begins: behind its "---".
  size_t begin() const { return content_; }

 private:
  static bool is(char c, uint8_t wanted) { return plain_yaml::is(c, wanted); }
  bool at_line_end() const { return at_ == end_ || *at_ == '\n'; }
  bool is_at(const char* at, char c) const { return at != end_ && *at == c; }
  // A blank or a line's end, which is what stands behind an indicator.
  bool is_apart(const char* at) const { return at == end_ || *at == ' ' || *at == '\n'; }
  bool is_dash() const { return *at_ == '-' && is_apart(at_ + 1); }
  size_t offset(const char* at) const { return static_cast<size_t>(at - text_.data()); }
  uint32_t column() const { return static_cast<uint32_t>(at_ - line_begin_ + 1); }
  size_t indent() const { return static_cast<size_t>(at_ - line_begin_); }
  const char* line_end(const char* from) const {
    const void* found = from == end_ ? nullptr : std::memchr(from, '\n', static_cast<size_t>(end_ - from));
    return found ? static_cast<const char*>(found) : end_;
  }
  void blanks() {
    while (at_ != end_ && *at_ == ' ') ++at_;
  }

  void next_line() {
    if (at_ != end_) {
      ++at_;
      ++line_;
    }
    line_begin_ = at_;
  }

  // Nothing but blanks and a comment; afterwards the next line begins.
  bool rest_of_line() {
    const char* from = at_;
    blanks();
    if (!at_line_end()) {
      if (*at_ != '#' || at_ == from) return false;
      at_ = line_end(at_);
    }
    next_line();
    return true;
  }

  // To the first byte of the next line that says something. False: there is none.
  bool content_line() {
    for (;;) {
      blanks();
      if (at_ != end_ && *at_ == '#') at_ = line_end(at_);
      if (at_ == end_) {
        done_ = true;
        return false;
      }
      if (*at_ != '\n') break;
      next_line();
    }
    indent_ = indent();
    return true;
  }

  // What the current line begins with, or continues with behind "- ".
  bool block(size_t depth) {
    if (depth > kMaxPlainYamlDepth) return false;
    return is_dash() ? sequence(depth) : mapping(depth);
  }

  bool mapping(size_t depth) {
    const size_t column_of_keys = indent();
    if (!builder_.open(Kind::Mapping, Style::Block, offset(at_), line_, column())) return false;
    for (;;) {
      Scalar key;
      if (!read_key(key) || !is_apart(at_) || !builder_.scalar(key, true) || !value(column_of_keys, depth, true)) return false;
      if (done_ || indent_ < column_of_keys) break;
      if (indent_ > column_of_keys || is_dash()) return false;
    }
    builder_.close(value_end_);
    return true;
  }

  bool sequence(size_t depth) {
    const size_t column_of_dashes = indent();
    if (!builder_.open(Kind::Sequence, Style::Block, offset(at_), line_, column())) return false;
    for (;;) {
      ++at_;
      if (!value(column_of_dashes, depth, false)) return false;
      if (done_ || indent_ < column_of_dashes || (indent_ == column_of_dashes && !is_dash())) break;
      if (indent_ > column_of_dashes) return false;
    }
    builder_.close(value_end_);
    return true;
  }

  // Behind the ":" of a key, or the dash, that stands in the column `outer`. Afterwards at the next line of content.
  bool value(size_t outer, size_t depth, bool of_key) {
    const char* mark = at_;
    blanks();
    if (at_line_end() || *at_ == '#') return value_below(mark, outer, depth, of_key);
    if (!of_key && (is_dash() || is_key())) return block(depth + 1);
    if (*at_ == '|') return literal(outer);
    bool good = *at_ == '[' || *at_ == '{' ? flow(depth + 1) : *at_ == '"' || *at_ == '\'' ? quoted() : words();
    if (!good || !rest_of_line()) return false;
    // A deeper line would go on with what stands here.
    return !content_line() || indent_ <= outer;
  }

  bool value_below(const char* mark, size_t outer, size_t depth, bool of_key) {
    at_ = mark;
    Scalar nothing = begin_scalar(Style::Plain);
    if (!rest_of_line()) return false;
    // A mapping's sequence may stand in its own column.
    if (content_line() && (indent_ > outer || (of_key && indent_ == outer && is_dash()))) return block(depth + 1);
    nothing.end = nothing.end_mark = value_end_ = nothing.begin;
    return builder_.scalar(nothing, false);
  }

  Scalar begin_scalar(Style style) const { return {offset(at_), 0, 0, line_, column(), style, {}, true}; }

  void finish(Scalar& out, const char* end, std::string_view text) {
    out.end = out.end_mark = value_end_ = offset(end);
    out.text = text;
    at_ = end;
  }

  // Words to the end of the line, or to a comment.
  bool words() {
    if (is(*at_, plain_yaml::kIndicator) && (*at_ != '-' || is_apart(at_ + 1))) return false;
    Scalar out = begin_scalar(Style::Plain);
    const char* end = at_;
    for (;; ++end) {
      while (end != end_ && !is(*end, plain_yaml::kWordEnd)) ++end;
      if (end == end_ || *end == '\n') break;
      if (*end == ':' && is_apart(end + 1)) return false;
      if (*end == '#' && end[-1] == ' ') break;
    }
    while (end[-1] == ' ') --end;
    finish(out, end, {at_, static_cast<size_t>(end - at_)});
    return builder_.scalar(out, false);
  }

  bool quoted() {
    Scalar out;
    return read_quoted(out) && builder_.scalar(out, false);
  }

  bool read_quoted(Scalar& out) {
    const char quote = *at_;
    out = begin_scalar(quote == '"' ? Style::DoubleQuoted : Style::SingleQuoted);
    const char* from = at_ + 1;
    const char* end = from;
    made_.clear();
    for (;; ++end) {
      while (end != end_ && !is(*end, plain_yaml::kQuoteEnd)) ++end;
      if (end == end_ || *end == '\n') return false;
      bool escape = quote == '"' ? *end == '\\' : *end == quote && is_at(end + 1, quote);
      if (*end == quote && !escape) break;
      if (!escape) continue;
      made_.append(from, end);
      if (++end == end_ || !unescape(quote, *end)) return false;
      from = end + 1;
      out.kept = false;
    }
    if (!out.kept) made_.append(from, end);
    finish(out, end + 1, out.kept ? std::string_view(from, static_cast<size_t>(end - from)) : std::string_view(made_));
    return true;
  }

  bool unescape(char quote, char c) {
    if (quote == '\'') {
      made_ += quote;
      return true;
    }
    switch (c) {
      case 'n': made_ += '\n'; return true;
      case 't': made_ += '\t'; return true;
      case 'r': made_ += '\r'; return true;
      case '\\':
      case '"':
      case '/': made_ += c; return true;
      default: return false;
    }
  }

  // Where a key's word ends, if one stands here: before its ":". Else null.
  const char* key_end() const {
    if (*at_ == '-') return nullptr;
    const char* end = at_;
    while (end != end_ && is(*end, plain_yaml::kKey)) ++end;
    return end != at_ && is_at(end, ':') && is_apart(end + 1) ? end : nullptr;
  }

  bool is_key() {
    if (*at_ != '"' && *at_ != '\'') return key_end() != nullptr;
    const char* from = at_;
    Scalar scalar;
    bool good = read_quoted(scalar) && is_at(at_, ':');
    at_ = from;
    return good;
  }

  // Its ":" too.
  bool read_key(Scalar& out) {
    if (*at_ == '"' || *at_ == '\'') {
      if (!read_quoted(out) || !is_at(at_, ':')) return false;
    } else {
      const char* end = key_end();
      if (!end) return false;
      out = begin_scalar(Style::Plain);
      finish(out, end, {at_, static_cast<size_t>(end - at_)});
    }
    ++at_;
    return out.end - out.begin <= kMaxPlainYamlKeyBytes;
  }

  // Between the tokens of a flow collection, over line ends too. Lines that may be a document's end or a comment are refused.
  bool flow_blanks() {
    for (;;) {
      blanks();
      if (at_ == end_ || *at_ == '#') return false;
      if (*at_ != '\n') return true;
      next_line();
      if (is_at(at_, '-') || is_at(at_, '.')) return false;
    }
  }

  // [a, "b"] and {a: b}.
  bool flow(size_t depth) {
    if (depth > kMaxPlainYamlDepth) return false;
    const bool map = *at_ == '{';
    const char closing = map ? '}' : ']';
    if (!builder_.open(map ? Kind::Mapping : Kind::Sequence, Style::Flow, offset(at_), line_, column())) return false;
    ++at_;
    if (!flow_blanks()) return false;
    for (bool first = true; *at_ != closing; first = false) {
      if (!first) {
        if (*at_ != ',') return false;
        ++at_;
        if (!flow_blanks()) return false;
      }
      if ((map && !flow_key()) || !flow_value(depth) || !flow_blanks()) return false;
    }
    ++at_;
    value_end_ = offset(at_);
    builder_.close(value_end_);
    return true;
  }

  // A word's ":" is apart from what follows; that of a quoted key need not be.
  bool flow_key() {
    Scalar key;
    return read_key(key) && builder_.scalar(key, true) && flow_blanks();
  }

  bool flow_value(size_t depth) {
    if (*at_ == '[' || *at_ == '{') return flow(depth + 1);
    if (*at_ == '"' || *at_ == '\'') return quoted() && ends_flow_value();
    if (!is(*at_, plain_yaml::kFlowFirst) && !(*at_ == '-' && at_ + 1 != end_ && is(at_[1], plain_yaml::kFlowWord))) return false;
    Scalar out = begin_scalar(Style::Plain);
    const char* end = at_;
    while (end != end_ && (is(*end, plain_yaml::kFlowWord) || *end == ' ' || (*end == ':' && end + 1 != end_ && is(end[1], plain_yaml::kFlowWord)))) ++end;
    while (end[-1] == ' ') --end;
    finish(out, end, {at_, static_cast<size_t>(end - at_)});
    return builder_.scalar(out, false) && ends_flow_value();
  }

  // "a: b", "a #" and words on two lines are more than is read here.
  bool ends_flow_value() { return flow_blanks() && (*at_ == ',' || *at_ == ']' || *at_ == '}'); }

  // "|" or "|-", and the lines below that are deeper than `outer`.
  bool literal(size_t outer) {
    Scalar out = begin_scalar(Style::Literal);
    ++at_;
    const bool strip = is_at(at_, '-');
    at_ += strip ? 1 : 0;
    blanks();
    if (!at_line_end()) return false;
    next_line();
    blanks();
    const size_t deep = indent();
    at_ = line_begin_;
    if (deep <= outer || is_apart(at_ + deep)) return false;
    if (!literal_lines(deep, out)) return false;
    if (strip && made_.ends_with('\n')) made_.pop_back();
    out.text = made_;
    out.kept = false;
    value_end_ = out.end;
    return builder_.scalar(out, false) && (!content_line() || indent_ <= outer);
  }

  // Lines that end in blanks, or are nothing else, are left to libyaml: they may belong to the text or not.
  bool literal_lines(size_t deep, Scalar& out) {
    made_.clear();
    size_t empty_lines = 0;
    while (at_ != end_) {
      const char* from = at_;
      const char* end = line_end(from);
      blanks();
      if (at_ == end) {
        if (at_ != from) return false;
        ++empty_lines;
      } else {
        if (indent() < deep) {
          at_ = from;
          break;
        }
        if (end[-1] == ' ') return false;
        made_.append(empty_lines, '\n');
        empty_lines = 0;
        made_.append(from + deep, end);
        if (end != end_) made_ += '\n';
        out.end = offset(end);
      }
      at_ = end;
      next_line();
      out.end_mark = offset(at_);
    }
    return true;
  }

  std::string_view text_;
  const char* at_;
  const char* end_;
  const char* line_begin_;
  uint32_t line_;
  Builder& builder_;
  size_t content_ = 0;
  size_t indent_ = 0;         // of the line of content that was come to last
  size_t value_end_ = 0;      // of the value read last
  bool done_ = false;         // no more lines of content
  std::string made_;          // a text that does not stand in the document as it is
};

}  // namespace archway
