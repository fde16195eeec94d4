#include "image/config.h"

#include <cstddef>
#include <cstdint>

#include "base/check.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto config = archway::parse_image_config({reinterpret_cast<const char*>(data), size});
  if (!config.ok()) return 0;
  std::string written = archway::write_image_config(*config);
  CHECK(archway::write_image_config(archway::parse_image_config(written).value()) == written);
  return 0;
}
