#include <cstdint>

#include "base/check.h"
#include "format/json.h"

// What parses is written and parsed again to the same value.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace archway;
  Result<Json> value = parse_json({reinterpret_cast<const char*>(data), size});
  if (!value.ok()) return 0;
  for (bool pretty : {false, true}) {
    std::string text = to_json(*value, {.indent = pretty ? 2 : 0, .go_escapes = pretty});
    Result<Json> again = parse_json(text);
    CHECK(again.ok());
    CHECK(to_json(*again) == to_json(*value));
  }
  return 0;
}
