// Pipelines from outside, read as each system's: no crash, and every finding has a rule, a line of the text and a sentence. The first byte
// says which system.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "ci/check.h"
#include "ci/shell.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace archway;
  if (size == 0) return 0;
  std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  ci::System system = ci::all_systems()[data[0] % ci::all_systems().size()];
  (void)ci::recognize_system("-", text);
  (void)ci::read_shell(text);
  auto findings = ci::check_pipeline(system, text);
  if (!findings.ok()) return 0;
  auto lines = static_cast<size_t>(std::count(text.begin(), text.end(), '\n')) + 2;
  for (const ci::Finding& finding : *findings) {
    if (finding.rule.empty() || finding.message.empty() || finding.line == 0 || finding.line > lines) std::abort();
  }
  return 0;
}
