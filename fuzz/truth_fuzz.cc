#include "image/truth.h"

#include <cstddef>
#include <cstdint>

#include "base/check.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto truths = archway::parse_truths({reinterpret_cast<const char*>(data), size});
  if (!truths.ok()) return 0;
  std::string written = archway::write_truths(*truths);
  CHECK(archway::write_truths(archway::parse_truths(written).value()) == written);
  return 0;
}
