#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "build/output.h"
#include "cli/build_flags.h"
#include "cli/image_place.h"
#include "image/known_platform.h"

// The small languages of the command line: --output, --cache-size, --platform, places of images.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string text(reinterpret_cast<const char*>(data), size);
  if (auto bytes = archway::cli::parse_size(text); bytes.ok()) CHECK(*bytes < UINT64_C(9'000'000'000'000'000'000));
  if (auto output = archway::build::parse_output(text); output.ok() && output->type != archway::build::Output::Type::Registry) CHECK(!output->dest.empty());
  if (auto platforms = archway::parse_platforms({text}); platforms.ok()) {
    for (const archway::Platform& platform : *platforms) (void)archway::check_known(platform);
  }
  if (auto place = archway::cli::parse_image_place(text); place.ok()) {
    CHECK(place->reference.has_value() == (place->kind == archway::cli::ImagePlace::Kind::Registry));
    CHECK(place->reference || !place->path.empty());
  }
  return 0;
}
