#include "image/reference.h"

#include <cstddef>
#include <cstdint>

#include "base/check.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto reference = archway::Reference::parse({reinterpret_cast<const char*>(data), size});
  if (!reference.ok()) return 0;
  CHECK(archway::Reference::parse(reference->str()).value() == *reference);
  CHECK(archway::Reference::parse(reference->familiar()).value() == *reference);
  return 0;
}
