#include "image/platform.h"

#include <cstddef>
#include <cstdint>

#include "base/check.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const archway::Platform host = {"linux", "arm64"};
  auto platform = archway::parse_platform({reinterpret_cast<const char*>(data), size}, host);
  if (!platform.ok()) return 0;
  CHECK(archway::normalize_platform(*platform) == *platform);
  CHECK(archway::platform_matches(*platform, *platform));
  (void)archway::platform_matches(host, *platform);
  (void)archway::explain_no_match(host, {*platform, host});
  if (!platform->os_version.empty()) return 0;
  CHECK(archway::parse_platform(platform->str(), host).value() == *platform);
  return 0;
}
