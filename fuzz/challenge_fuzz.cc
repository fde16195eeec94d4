#include "registry/challenge.h"

#include "base/check.h"
#include "registry/response_headers.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const archway::Challenge& challenge : archway::parse_challenges(text)) CHECK(!challenge.scheme.empty());
  (void)archway::parse_retry_after(text, archway::Time::from_seconds(0));
  if (auto warning = archway::parse_warning(text)) CHECK(warning->size() <= archway::kMaxWarningBytes);
  if (auto range = archway::parse_content_range(text)) CHECK(range->first <= range->last);
  (void)archway::parse_upload_range(text);
  return 0;
}
