#include "net/url.h"

#include "base/check.h"
#include "net/http.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  auto url = archway::parse_url(text);
  if (url.ok()) {
    // What was accepted prints as something that reads the same.
    auto again = archway::parse_url(url->str());
    CHECK(again.ok() && again->str() == url->str() && again->same_origin(*url));
  }
  static const archway::Url base = *archway::parse_url("https://registry.example.org:5000/v2/a/blobs/uploads/?_state=x");
  auto resolved = archway::resolve_url(base, text);
  if (resolved.ok()) CHECK(archway::parse_url(resolved->str()).ok());
  if (auto decoded = archway::percent_decode(text)) CHECK(archway::percent_decode(archway::percent_encode(*decoded)) == decoded);
  return 0;
}
