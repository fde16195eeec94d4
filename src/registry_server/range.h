#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

// The two kinds of byte ranges in the registry's protocol.
namespace archway::registry_server {

// Part of a blob: `length` bytes (at least one) from `first`.
struct ByteRange {
  uint64_t first = 0, length = 0;
  bool operator==(const ByteRange&) const = default;
};

enum class RangeKind {
  Whole,          // no range, one in a unit we do not know, malformed, or several: the whole is the answer (RFC 9110 14.2)
  Part,
  Unsatisfiable,  // 416
};
struct RequestedRange {
  RangeKind kind = RangeKind::Whole;
  ByteRange part = {};
};
// A Range header for a blob of `size` bytes (RFC 9110 14.1.2). A range that ends before it begins is answered 416, as
// the conformance suite of distribution-spec asks, though RFC 9110 would let us ignore it.
RequestedRange parse_range(std::string_view header, uint64_t size);

// What a chunk of an upload says it is: "0-1023", both ends included (distribution-spec 1.1, "Pushing a blob in
// chunks"); "bytes 0-1023/*" as in RFC 9110 is taken too. nullopt: malformed.
std::optional<ByteRange> parse_content_range(std::string_view header);

}  // namespace archway::registry_server
