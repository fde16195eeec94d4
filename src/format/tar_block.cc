#include "format/tar_block.h"

#include <algorithm>
#include <cstring>

#include "base/text.h"

namespace archway {

using namespace tar_field;

std::string_view TarBlock::text(TarField field) const {
  std::string_view all = raw(field);
  return all.substr(0, std::min(all.find('\0'), all.size()));
}

namespace {

// GNU: the first bit marks it, the second is the sign; big endian two's complement over the whole field.
std::optional<int64_t> base_256(std::string_view field) {
  bool negative = (field[0] & 0x40) != 0;
  uint64_t value = 0;
  for (size_t i = 0; i < field.size(); i++) {
    uint8_t byte = static_cast<uint8_t>(field[i]);
    if (negative) byte = static_cast<uint8_t>(~byte);
    if (i == 0) byte &= 0x7f;
    if ((value >> 56) != 0) return std::nullopt;
    value = value << 8 | byte;
  }
  if ((value >> 63) != 0) return std::nullopt;
  return negative ? ~static_cast<int64_t>(value) : static_cast<int64_t>(value);
}

}  // namespace

std::optional<int64_t> TarBlock::number(TarField field) const {
  std::string_view digits = raw(field);
  if ((static_cast<uint8_t>(digits[0]) & 0x80) != 0) return base_256(digits);
  constexpr std::string_view kBlank(" \0", 2);
  size_t begin = digits.find_first_not_of(kBlank);
  if (begin == digits.npos) return 0;
  digits = digits.substr(begin);
  digits = digits.substr(0, std::min(digits.find_first_of(kBlank), digits.size()));
  std::optional<uint64_t> value = parse_uint(digits, 8);
  if (!value || *value > INT64_MAX) return std::nullopt;
  return static_cast<int64_t>(*value);
}

TarDialect TarBlock::dialect() const {
  std::string_view magic = raw(kMagic);
  if (magic == std::string_view("ustar\0", 6)) return raw(kStarTrailer) == std::string_view("tar\0", 4) ? TarDialect::Star : TarDialect::Ustar;
  if (magic == "ustar ") return TarDialect::Gnu;
  return TarDialect::V7;
}

bool TarBlock::is_zero() const {
  return std::ranges::all_of(bytes, [](std::byte b) { return b == std::byte{0}; });
}

bool TarBlock::checksum_matches() const {
  std::optional<int64_t> stored = number(kChecksum);
  int64_t plain = 0, with_sign = 0;
  for (size_t i = 0; i < bytes.size(); i++) {
    bool inside = i >= kChecksum.offset && i < kChecksum.offset + kChecksum.size;
    uint8_t byte = inside ? uint8_t{' '} : static_cast<uint8_t>(bytes[i]);
    plain += byte;
    with_sign += static_cast<int8_t>(byte);
  }
  return stored && (*stored == plain || *stored == with_sign);
}

void TarBlock::set_text(TarField field, std::string_view text) {
  char* at = reinterpret_cast<char*>(bytes.data()) + field.offset;
  text.copy(at, field.size);
  // Some readers take a regular file for a folder when the cut path ends in a slash.
  if (text.size() > field.size && at[field.size - 1] == '/') {
    size_t end = field.size;
    while (end > 0 && at[end - 1] == '/') end--;
    std::memset(at + end, 0, field.size - end);
  }
}

void TarBlock::set_octal(TarField field, uint64_t value) {
  if (value > INT64_MAX || !fits_octal(field, static_cast<int64_t>(value))) value = 0;
  char* at = reinterpret_cast<char*>(bytes.data()) + field.offset;
  for (size_t i = field.size - 1; i-- > 0; value >>= 3) at[i] = static_cast<char>('0' + (value & 7));
  at[field.size - 1] = '\0';
}

void TarBlock::seal() {
  set_text(kMagic, std::string_view("ustar\0", 6));
  set_text(kVersion, "00");
  std::memset(bytes.data() + kChecksum.offset, ' ', kChecksum.size);
  uint64_t sum = 0;
  for (std::byte b : bytes) sum += static_cast<uint8_t>(b);
  set_octal({kChecksum.offset, 7}, sum);  // six digits, NUL, and the blank that is there already
}

}  // namespace archway
