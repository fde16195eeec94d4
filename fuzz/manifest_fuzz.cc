#include "image/manifest.h"

#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "image/layout_index.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view raw(reinterpret_cast<const char*>(data), size);
  (void)archway::detect_media_type(raw).ok();
  auto manifest = archway::parse_manifest(raw, "");
  auto index = archway::parse_index(raw, "");
  CHECK(!(manifest.ok() && index.ok()));  // the same bytes are never both (CVE-2021-41190)
  if (manifest.ok()) {
    std::string written = archway::write_manifest(*manifest);
    CHECK(archway::write_manifest(archway::parse_manifest(written, manifest->media_type).value()) == written);
  }
  if (index.ok()) {
    std::string written = archway::write_index(*index);
    CHECK(archway::write_index(archway::parse_index(written, index->media_type).value()) == written);
  }
  (void)archway::parse_layout_index(raw).ok();
  (void)archway::add_to_layout_index(raw, archway::layout_entry(archway::descriptor_of("a/b", "x"), "n")).ok();
  return 0;
}
