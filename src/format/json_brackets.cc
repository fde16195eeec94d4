#include "format/json_brackets.h"

#include <bit>
#include <cstring>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace archway {

namespace {

// Sixty-four bytes; each question is answered with one bit per byte, the first byte's the lowest.
#ifdef __SSE2__
class Block {
 public:
  explicit Block(const char* bytes) {
    for (int i = 0; i < 4; ++i) parts_[i] = _mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes) + i);
  }
  uint64_t equal(char c) const {
    __m128i wanted = _mm_set1_epi8(c);
    return gather([&](__m128i part) { return _mm_cmpeq_epi8(part, wanted); });
  }
  // Opening brackets differ in one bit, and so do closing ones.
  uint64_t equal_without_bit_5(char c) const {
    __m128i wanted = _mm_set1_epi8(c), bit = _mm_set1_epi8(0x20);
    return gather([&](__m128i part) { return _mm_cmpeq_epi8(_mm_or_si128(part, bit), wanted); });
  }

 private:
  uint64_t gather(const auto& ask) const {
    uint64_t mask = 0;
    for (int i = 0; i < 4; ++i) mask |= static_cast<uint64_t>(static_cast<uint32_t>(_mm_movemask_epi8(ask(parts_[i])))) << (16 * i);
    return mask;
  }
  __m128i parts_[4];
};
#else
class Block {
 public:
  explicit Block(const char* bytes) : bytes_(bytes) {}
  uint64_t equal(char c) const { return gather(c, 0); }
  uint64_t equal_without_bit_5(char c) const { return gather(c, 0x20); }

 private:
  // Eight bytes in one word: a byte that is equal becomes zero, and only such a byte keeps its high bit here.
  uint64_t gather(char c, uint8_t bits) const {
    constexpr uint64_t kOnes = 0x0101010101010101, kLow = 0x7f7f7f7f7f7f7f7f;
    uint64_t mask = 0;
    for (int i = 0; i < 8; ++i) {
      uint64_t word = 0;
      for (int k = 0; k < 8; ++k) word |= static_cast<uint64_t>(static_cast<uint8_t>(bytes_[8 * i + k])) << (8 * k);
      word = (word | kOnes * bits) ^ (kOnes * static_cast<uint8_t>(c));
      uint64_t zero = ~(((word & kLow) + kLow) | word | kLow);
      mask |= (((zero >> 7) * 0x0102040810204080) >> 56) << (8 * i);
    }
    return mask;
  }
  const char* bytes_;
};
#endif

// Each bit becomes the sum, without carry, of itself and all below: ones from one quote up to the next.
uint64_t between_pairs(uint64_t bits) {
  for (int shift = 1; shift < 64; shift *= 2) bits ^= bits << shift;
  return bits;
}

}  // namespace

size_t JsonBrackets::scan_block(const char* bytes) {
  Block block(bytes);
  uint64_t backslashes = block.equal('\\'), quotes = block.equal('"');
  // A backslash that is not escaped itself escapes what follows.
  uint64_t escaped = escaped_;
  uint64_t active = backslashes & ~escaped;
  escaped_ = 0;
  while (active != 0) {
    int at = std::countr_zero(active);
    if (at == 63) {
      escaped_ = 1;
      break;
    }
    escaped |= uint64_t(2) << at;
    active &= ~(uint64_t(3) << at);
  }
  uint64_t inside = between_pairs(quotes & ~escaped) ^ inside_string_;
  inside_string_ = inside >> 63 ? ~uint64_t(0) : 0;
  uint64_t opening = block.equal_without_bit_5('{') & ~inside, closing = block.equal_without_bit_5('}') & ~inside;
  if (closing == 0) {
    depth_ += static_cast<uint64_t>(std::popcount(opening));
    return kNotHere;
  }
  for (uint64_t brackets = opening | closing; brackets != 0; brackets &= brackets - 1) {
    uint64_t lowest = brackets & -brackets;
    if (opening & lowest) {
      ++depth_;
    } else if (--depth_ == 0) {
      return static_cast<size_t>(std::countr_zero(lowest)) + 1;
    }
  }
  return kNotHere;
}

size_t JsonBrackets::scan(std::string_view text, bool last) {
  consumed_ = 0;
  for (; text.size() - consumed_ >= kBlockBytes; consumed_ += kBlockBytes) {
    size_t end = scan_block(text.data() + consumed_);
    if (end != kNotHere) return consumed_ + end;
  }
  if (!last || consumed_ == text.size()) return kNotHere;
  char rest[kBlockBytes];
  std::memset(rest, ' ', sizeof rest);
  std::memcpy(rest, text.data() + consumed_, text.size() - consumed_);
  size_t end = scan_block(rest);
  if (end == kNotHere) return kNotHere;
  return consumed_ + end;
}

uint64_t count_newlines(std::string_view text) {
  uint64_t count = 0;
  size_t at = 0;
  for (; text.size() - at >= JsonBrackets::kBlockBytes; at += JsonBrackets::kBlockBytes) {
    count += static_cast<uint64_t>(std::popcount(Block(text.data() + at).equal('\n')));
  }
  for (; at < text.size(); ++at) count += text[at] == '\n';
  return count;
}

}  // namespace archway
