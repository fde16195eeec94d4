#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/stream.h"

// The 512-byte tar header block (POSIX.1-1988 ustar, with the GNU and star dialects). Private to the tar reader and writer.
namespace archway {

inline constexpr size_t kTarBlockBytes = 512;

struct TarField {
  size_t offset, size;
};
namespace tar_field {
inline constexpr TarField kName{0, 100}, kMode{100, 8}, kUid{108, 8}, kGid{116, 8}, kSize{124, 12}, kMtime{136, 12}, kChecksum{148, 8},
    kType{156, 1}, kLink{157, 100}, kMagic{257, 6}, kVersion{263, 2}, kUserName{265, 32}, kGroupName{297, 32}, kDevMajor{329, 8},
    kDevMinor{337, 8}, kPrefix{345, 155};
inline constexpr TarField kStarPrefix{345, 131}, kStarTrailer{508, 4};
}  // namespace tar_field

enum class TarDialect { V7, Ustar, Gnu, Star };

class TarBlock {
 public:
  std::array<std::byte, kTarBlockBytes> bytes{};

  std::string_view raw(TarField field) const { return as_text(bytes).substr(field.offset, field.size); }
  std::string_view text(TarField field) const;          // up to the first NUL
  // Octal, or base-256 (GNU) where the first bit is set; blank is 0. nullopt where it is neither or over 63 bits.
  std::optional<int64_t> number(TarField field) const;
  char type() const { return static_cast<char>(bytes[tar_field::kType.offset]); }
  TarDialect dialect() const;
  bool is_zero() const;
  bool checksum_matches() const;  // unsigned as POSIX has it, or signed as some old tars summed it

  void set_text(TarField field, std::string_view text);   // cut to fit; no NUL when it fills the field
  void set_octal(TarField field, uint64_t value);         // 0 where it does not fit
  void set_type(char type) { bytes[tar_field::kType.offset] = static_cast<std::byte>(type); }
  void seal();                                            // the ustar magic and the checksum
};

// Whether the octal digits of a field (one byte is for the NUL) can hold it.
constexpr bool fits_octal(TarField field, int64_t value) {
  return value >= 0 && (field.size >= 22 || value < (int64_t{1} << ((field.size - 1) * 3)));
}
constexpr uint64_t tar_padding(uint64_t size) { return (kTarBlockBytes - size % kTarBlockBytes) % kTarBlockBytes; }

}  // namespace archway
