#pragma once

#include <map>
#include <string>
#include <vector>

#include "scheduler/autoscaler.h"
#include "scheduler/trace.h"

// Scheduler and autoscaler over the hours of a trace: nodes per group, how long pods wait, and what it costs.
namespace archway::scheduler {

struct TraceOptions {
  int64_t scan_s = 10;               // --scan-interval
  int64_t startup_s = 90;            // from the decision to a node that takes pods
  int64_t unneeded_s = 600;          // --scale-down-unneeded-time
  int64_t delay_after_add_s = 600;   // --scale-down-delay-after-add
  int64_t look_down_s = 60;          // least time between two looks at what could go
  int64_t step_s = 3600;             // of the timeline
};

inline constexpr size_t kMaxTimelineRows = 10'000;

struct TraceRow {
  int64_t at = 0;
  std::map<std::string, int64_t> nodes;   // by group; started ones, ready or not
  size_t pending = 0, running = 0;
  __int128_t nano_usd = 0;                // spent until then
};

struct TraceResult {
  std::vector<TraceRow> rows;
  struct GroupTotal {
    std::string name, architecture, type;
    int64_t peak = 0, node_seconds = 0, started = 0, removed = 0;
    std::optional<int64_t> price;
    __int128_t nano_usd = 0;
  };
  std::vector<GroupTotal> groups;
  size_t pods = 0, placed = 0, evicted = 0, gave_up = 0;  // gave up: gone, by the trace, before they were placed
  std::vector<std::pair<std::string, std::string>> never;  // pods that wait at the end, why; the first of them
  size_t never_count = 0;
  int64_t wait_mean_s = 0, wait_median_s = 0, wait_p95_s = 0, wait_max_s = 0;
  int64_t end_s = 0;
  __int128_t nano_usd = 0;
  std::vector<std::string> unpriced, notes;
};

TraceResult run_trace(World& world, Autoscaler& autoscaler, Trace trace, const TraceOptions& options, const std::map<std::string, PodFacts>& facts);

Json trace_json(const TraceResult& result);
std::string trace_text(const TraceResult& result);

}  // namespace archway::scheduler
