#include <cstdint>
#include <string_view>

#include "audit/suppress.h"
#include "base/check.h"

// Ignore lists and baselines: what is taken has what it needs.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace archway::audit;
  std::string_view text(reinterpret_cast<const char*>(data), size);
  Finding finding;
  finding.image = std::string(text.substr(0, 200));
  if (auto ignores = parse_ignores(text); ignores.ok()) {
    for (const Ignore& ignore : *ignores) {
      CHECK(!ignore.reason.empty());
      (void)matches(ignore, finding);
    }
  }
  if (auto baseline = parse_baseline(text); baseline.ok()) {
    for (const std::string& id : *baseline) CHECK(!id.empty());
  }
  return 0;
}
