#include <cstdint>
#include <string_view>

#include "audit/collect.h"
#include "audit/written_image.h"
#include "base/check.h"

// Any text, as any file: nothing crashes, and every span is of bytes that are there.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace archway::audit;
  static constexpr const char* kNames[] = {"a.yaml", "Dockerfile", "compose.yaml", ".gitlab-ci.yml", "a.json", "images.txt", "Jenkinsfile", "-"};
  if (size == 0) return 0;
  std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  // A letter chooses the kind, so that seeds are files that people can read.
  Collection found = collect_text(text, kNames[(data[0] - 'a') & 7], {.threads = 1, .run_helm = false});
  for (const ImageUse& use : found.uses) CHECK(use.place.begin <= use.place.end && use.place.end <= text.size());
  for (const Finding& finding : found.findings) {
    CHECK(finding.place.begin <= finding.place.end && finding.place.end <= text.size());
    CHECK(finding.id.size() == 12);
  }
  found.settle();
  for (const ImageUse& use : found.uses) CHECK(!use.workload || *use.workload < found.workloads.size());
  return 0;
}
