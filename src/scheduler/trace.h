#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "format/json.h"
#include "kube/pod.h"

// Pods that come and go over hours: from the openb trace (alibaba/clusterdata, cluster-trace-gpu-v2023, csv/openb_pod_list*.csv), or in
// archway's own form, {kind: Trace, templates: {NAME: POD TEMPLATE}, arrivals: [{at, template, pods, for}]} (docs/autoscaler.md).
namespace archway::scheduler {

inline constexpr size_t kMaxTracePods = 200'000;
inline constexpr int64_t kMaxTraceSeconds = 100LL * 365 * 86400;

struct TraceArrival {
  int64_t at = 0;                       // seconds from the trace's beginning
  std::optional<int64_t> duration;      // that it runs, from when it is placed; none: to the end
  kube::Pod pod;
};

struct Trace {
  std::vector<TraceArrival> arrivals;   // by time, then name
  std::vector<std::string> notes;       // what the form has and this does not model
};

bool is_openb_trace(std::string_view text);
// `pattern`: a Pod whose spec and labels every pod gets, with the trace's own requests; null for none. Invalid with "line N: ".
Result<Trace> read_openb_trace(std::string_view text, const Json* pattern);
// Invalid with the arrival or template at fault.
Result<Trace> read_own_trace(const Json& document);

// "90", 90, "1h30m", "2d": seconds. nullopt for what is none, negative, or over a hundred years.
std::optional<int64_t> parse_trace_time(const Json& value);

}  // namespace archway::scheduler
