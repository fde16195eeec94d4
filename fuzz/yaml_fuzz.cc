#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "format/yaml.h"

// Whatever parses is written and read back as the same value.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto documents = archway::parse_yaml_documents({reinterpret_cast<const char*>(data), size});
  if (!documents.ok()) return 0;
  for (const archway::YamlDocument& document : *documents) {
    auto back = archway::parse_yaml(archway::to_yaml(document.value));
    CHECK(back.ok() && *back == document.value);
  }
  return 0;
}
