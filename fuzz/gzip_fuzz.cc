#include <cstdint>

#include "base/check.h"
#include "format/compress.h"

// Every codec over the same bytes, then there and back.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace archway;
  Bytes bytes = std::as_bytes(std::span(data, size));
  detect_codec(bytes);
  for (Codec codec : {Codec::Gzip, Codec::Zstd, Codec::Xz, Codec::Bzip2}) {
    MemorySource packed(bytes);
    (void)read_all(*decompress(codec, packed), 4 << 20, "data").ok();
  }
  StringSink packed;
  GzipSink sink(packed, {.level = 1 + static_cast<int>(size % 6)});
  CHECK(sink.write(bytes).ok() && sink.finish().ok());
  MemorySource source(packed.text);
  Result<std::string> back = read_all(*decompress(Codec::Gzip, source), size, "data");
  CHECK(back.ok() && *back == as_text(bytes));
  return 0;
}
