#include "dockerfile/json_words.h"

#include <optional>

#include "dockerfile/unicode.h"

namespace archway::dockerfile {
namespace {

// Each method passes over one thing, or says false and leaves the position anywhere.
class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  JsonWords words(std::vector<std::string>& words) {
    bool only_strings = true;
    blanks();
    if (!take('[')) return JsonWords::NotJson;
    blanks();
    if (!take(']')) {
      do {
        blanks();
        std::string word;
        if (peek() == '"') {
          if (!string(word)) return JsonWords::NotJson;
          words.push_back(std::move(word));
        } else {
          if (!value(1)) return JsonWords::NotJson;
          only_strings = false;
        }
        blanks();
      } while (take(','));
      if (!take(']')) return JsonWords::NotJson;
    }
    blanks();
    if (position_ != text_.size()) return JsonWords::NotJson;
    return only_strings ? JsonWords::Words : JsonWords::NotStrings;
  }

 private:
  char peek() const { return position_ < text_.size() ? text_[position_] : '\0'; }
  bool take(char c) {
    if (position_ >= text_.size() || text_[position_] != c) return false;
    position_++;
    return true;
  }
  bool take(std::string_view word) {
    if (!text_.substr(position_).starts_with(word)) return false;
    position_ += word.size();
    return true;
  }
  void blanks() {
    while (peek() == ' ' || peek() == '\t' || peek() == '\n' || peek() == '\r') position_++;
  }

  bool value(size_t depth) {
    if (depth > kMaxJsonWordsDepth) return false;
    std::string ignored;
    switch (peek()) {
      case '"': return string(ignored);
      case '[': return sequence(']', depth, false);
      case '{': return sequence('}', depth, true);
      case 't': return take("true");
      case 'f': return take("false");
      case 'n': return take("null");
      default: return number();
    }
  }

  bool sequence(char end, size_t depth, bool members) {
    position_++;
    blanks();
    if (take(end)) return true;
    do {
      blanks();
      if (members) {
        std::string key;
        if (peek() != '"' || !string(key)) return false;
        blanks();
        if (!take(':')) return false;
        blanks();
      }
      if (!value(depth + 1)) return false;
      blanks();
    } while (take(','));
    return take(end);
  }

  bool digits() {
    const size_t start = position_;
    while (peek() >= '0' && peek() <= '9') position_++;
    return position_ > start;
  }
  bool number() {
    take('-');
    if (!take('0') && !digits()) return false;
    if (take('.') && !digits()) return false;
    if (take('e') || take('E')) {
      if (!take('+')) take('-');
      return digits();
    }
    return true;
  }

  std::optional<char32_t> hex4() {
    char32_t value = 0;
    for (int i = 0; i < 4; i++, position_++) {
      const char c = peek();
      if (c >= '0' && c <= '9') value = value * 16 + static_cast<char32_t>(c - '0');
      else if (c >= 'a' && c <= 'f') value = value * 16 + static_cast<char32_t>(c - 'a' + 10);
      else if (c >= 'A' && c <= 'F') value = value * 16 + static_cast<char32_t>(c - 'A' + 10);
      else return std::nullopt;
    }
    return value;
  }

  // After `\u`. The second half of a pair is taken along only where it is one.
  bool unicode_escape(std::string& into) {
    auto unit = hex4();
    if (!unit) return false;
    if (*unit >= 0xD800 && *unit <= 0xDBFF) {
      const size_t before = position_;
      if (take("\\u")) {
        auto low = hex4();
        if (!low) return false;
        if (*low >= 0xDC00 && *low <= 0xDFFF) {
          append_rune(into, 0x10000 + ((*unit - 0xD800) << 10) + (*low - 0xDC00));
          return true;
        }
        position_ = before;
      }
    }
    append_rune(into, *unit >= 0xD800 && *unit <= 0xDFFF ? kReplacement : *unit);
    return true;
  }

  bool string(std::string& into) {
    position_++;
    while (position_ < text_.size()) {
      const Rune rune = rune_at(text_, position_);
      position_ += rune.width;
      if (rune.value == '"') return true;
      if (rune.value < 0x20) return false;
      if (rune.value != '\\') {
        append_rune(into, rune.value);
        continue;
      }
      static constexpr std::string_view kEscapes = "\"\\/bfnrt";
      const char escape = peek();
      position_++;
      if (escape == 'u') {
        if (!unicode_escape(into)) return false;
        continue;
      }
      const size_t which = escape == '\0' ? std::string_view::npos : kEscapes.find(escape);
      if (which == std::string_view::npos) return false;
      into += "\"\\/\b\f\n\r\t"[which];
    }
    return false;
  }

  std::string_view text_;
  size_t position_ = 0;
};

}  // namespace

JsonWords parse_json_words(std::string_view text, std::vector<std::string>& words) {
  words.clear();
  return Reader(trim_space_left(text)).words(words);
}

}  // namespace archway::dockerfile
