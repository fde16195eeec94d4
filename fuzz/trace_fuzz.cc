#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "format/yaml.h"
#include "scheduler/trace.h"

// Both forms. Arrivals are in order, and none is before the beginning.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  auto check = [](const archway::scheduler::Trace& trace) {
    int64_t last = 0;
    for (const auto& each : trace.arrivals) {
      CHECK(each.at >= last && each.duration.value_or(0) >= 0);
      last = each.at;
    }
  };
  if (archway::scheduler::is_openb_trace(text)) {
    auto trace = archway::scheduler::read_openb_trace(text, nullptr);
    if (trace.ok()) check(*trace);
    return 0;
  }
  auto document = archway::parse_yaml(text);
  if (!document.ok()) return 0;
  // A single line may ask for the most pods that there may be; that is not what is looked for here.
  for (const archway::Json& each : (*document)["arrivals"].items()) {
    if (each["pods"].integer() > 100) return 0;
  }
  auto trace = archway::scheduler::read_own_trace(*document);
  if (trace.ok()) check(*trace);
  return 0;
}
