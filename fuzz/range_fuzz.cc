#include <cstdint>
#include <cstring>
#include <string_view>

#include "base/check.h"
#include "registry_server/range.h"

// The first eight bytes are the blob's size. A part never leaves the blob; what a chunk claims does not overflow.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace archway::registry_server;
  if (size < 8) return 0;
  uint64_t blob_size = 0;
  std::memcpy(&blob_size, data, 8);
  std::string_view header(reinterpret_cast<const char*>(data) + 8, size - 8);
  for (uint64_t bytes : {blob_size, blob_size % 5000}) {
    RequestedRange range = parse_range(header, bytes);
    if (range.kind != RangeKind::Part) continue;
    CHECK(range.part.length > 0 && range.part.first < bytes && range.part.length <= bytes - range.part.first);
  }
  if (auto chunk = parse_content_range(header)) CHECK(chunk->length > 0 && chunk->first + (chunk->length - 1) >= chunk->first);
  return 0;
}
