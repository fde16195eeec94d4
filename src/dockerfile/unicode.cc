#include "dockerfile/unicode.h"

#include <algorithm>
#include <iterator>

namespace archway::dockerfile {
namespace {

struct Range {
  char32_t first, last;
};
#include "dockerfile/unicode_tables.inc"

template <size_t N>
bool contains(const Range (&table)[N], char32_t rune) {
  auto after = std::upper_bound(std::begin(table), std::end(table), rune, [](char32_t r, const Range& range) { return r < range.first; });
  return after != std::begin(table) && rune <= std::prev(after)->last;
}

bool is_continuation(unsigned char byte) { return (byte & 0xC0) == 0x80; }

// Without control characters, surrogates, the blanks that are not U+0020, and what cannot be seen: close to Go's IsPrint.
bool is_printable(char32_t rune) {
  if (rune < 0x20 || rune == 0x7F) return false;
  if (rune < 0x7F) return true;
  if (rune < 0xA1 || rune == 0xAD || is_space(rune)) return false;
  if (rune >= 0x200B && rune <= 0x200F) return false;
  if (rune >= 0x202A && rune <= 0x202E) return false;
  if (rune >= 0x2060 && rune <= 0x206F) return false;
  if (rune >= 0xE000 && rune <= 0xF8FF) return false;
  if (rune == 0xFEFF || (rune & 0xFFFE) == 0xFFFE) return false;
  return rune < 0xE0000;
}

void append_hex(std::string& out, char32_t value, int digits) {
  for (int shift = 4 * (digits - 1); shift >= 0; shift -= 4) out += "0123456789abcdef"[(value >> shift) & 0xF];
}

}  // namespace

Rune rune_at(std::string_view text, size_t position) {
  if (position >= text.size()) return {};
  auto byte = [&](size_t i) { return static_cast<unsigned char>(text[position + i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return {first, 1};
  const size_t width = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || text.size() - position < width) return {kReplacement, 1};
  char32_t value = first & (0xFF >> (width + 1));
  for (size_t i = 1; i < width; i++) {
    if (!is_continuation(byte(i))) return {kReplacement, 1};
    value = (value << 6) | (byte(i) & 0x3F);
  }
  const bool overlong = (width == 3 && value < 0x800) || (width == 4 && value < 0x10000);
  const bool surrogate = value >= 0xD800 && value <= 0xDFFF;
  if (overlong || surrogate || value > 0x10FFFF) return {kReplacement, 1};
  return {value, width};
}

void append_rune(std::string& text, char32_t rune) {
  if (rune < 0x80) {
    text += static_cast<char>(rune);
  } else if (rune < 0x800) {
    text += static_cast<char>(0xC0 | (rune >> 6));
    text += static_cast<char>(0x80 | (rune & 0x3F));
  } else if (rune < 0x10000) {
    text += static_cast<char>(0xE0 | (rune >> 12));
    text += static_cast<char>(0x80 | ((rune >> 6) & 0x3F));
    text += static_cast<char>(0x80 | (rune & 0x3F));
  } else {
    text += static_cast<char>(0xF0 | (rune >> 18));
    text += static_cast<char>(0x80 | ((rune >> 12) & 0x3F));
    text += static_cast<char>(0x80 | ((rune >> 6) & 0x3F));
    text += static_cast<char>(0x80 | (rune & 0x3F));
  }
}

bool is_space(char32_t rune) {
  if (rune < 0x80) return rune == ' ' || (rune >= '\t' && rune <= '\r');
  return rune == 0x85 || rune == 0xA0 || rune == 0x1680 || (rune >= 0x2000 && rune <= 0x200A) || rune == 0x2028 || rune == 0x2029 ||
         rune == 0x202F || rune == 0x205F || rune == 0x3000;
}

bool is_letter(char32_t rune) {
  if (rune < 0x80) return (rune >= 'a' && rune <= 'z') || (rune >= 'A' && rune <= 'Z');
  return contains(kLetters, rune);
}

bool is_digit(char32_t rune) {
  if (rune < 0x80) return rune >= '0' && rune <= '9';
  return contains(kDigits, rune);
}

std::string_view trim_space_left(std::string_view text) {
  for (Rune rune = rune_at(text, 0); rune.width != 0 && is_space(rune.value); rune = rune_at(text, 0)) text.remove_prefix(rune.width);
  return text;
}

std::string_view trim_space(std::string_view text) {
  text = trim_space_left(text);
  while (!text.empty()) {
    // Backwards to the start of the last character; a stray continuation byte is no blank.
    size_t start = text.size() - 1;
    while (start > 0 && text.size() - start < 4 && is_continuation(static_cast<unsigned char>(text[start]))) start--;
    const Rune rune = rune_at(text, start);
    if (rune.width != text.size() - start || !is_space(rune.value)) break;
    text.remove_suffix(rune.width);
  }
  return text;
}

std::string go_quote(std::string_view text) {
  std::string out = "\"";
  for (size_t position = 0; position < text.size();) {
    const Rune rune = rune_at(text, position);
    const auto byte = static_cast<unsigned char>(text[position]);
    position += rune.width;
    static constexpr std::string_view kNamed = "\a\b\f\n\r\t\v";
    if (rune.value == kReplacement && rune.width == 1) {
      out += "\\x";
      append_hex(out, byte, 2);
    } else if (rune.value == '"' || rune.value == '\\') {
      out += '\\';
      out += static_cast<char>(rune.value);
    } else if (rune.value < 0x20 && kNamed.find(static_cast<char>(rune.value)) != std::string_view::npos) {
      out += '\\';
      out += "abfnrtv"[kNamed.find(static_cast<char>(rune.value))];
    } else if (is_printable(rune.value)) {
      append_rune(out, rune.value);
    } else if (rune.value < 0x80) {
      out += "\\x";
      append_hex(out, rune.value, 2);
    } else {
      out += rune.value < 0x10000 ? "\\u" : "\\U";
      append_hex(out, rune.value, rune.value < 0x10000 ? 4 : 8);
    }
  }
  return out + '"';
}

}  // namespace archway::dockerfile
