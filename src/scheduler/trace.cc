#include "scheduler/trace.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>

#include "base/text.h"
#include "scheduler/trace_csv.h"

namespace archway::scheduler {

namespace {

constexpr std::string_view kCardLabel = "alibabacloud.com/gpu-card-model";

void sort_arrivals(Trace& trace) {
  std::stable_sort(trace.arrivals.begin(), trace.arrivals.end(), [](const TraceArrival& a, const TraceArrival& b) {
    return a.at != b.at ? a.at < b.at : a.pod.meta.key() < b.pod.meta.key();
  });
}

Error at_line(const CsvReader& rows, const std::string& what) { return {Code::Invalid, "line " + std::to_string(rows.line()) + ": " + what}; }

// Whole numbers, which the trace also writes as 12.0; nullopt where the field is empty or nan.
Result<std::optional<int64_t>> read_number(const CsvReader& rows, std::string_view column) {
  std::string text = to_lower(trim(rows.field(column)));
  if (text.empty() || text == "nan") return std::optional<int64_t>();
  auto [whole, fraction] = cut(text, '.');
  auto value = parse_uint(whole);
  bool good = value && *value <= static_cast<uint64_t>(INT64_MAX / (1 << 21)) && (!fraction || fraction->find_first_not_of("0123456789") == std::string_view::npos);
  if (!good) return at_line(rows, std::string(column) + ": \"" + rows.field(column) + "\" is no amount");
  return std::optional<int64_t>(static_cast<int64_t>(*value));
}

// The shape of an openb pod; those of one shape share a specification.
struct Shape {
  int64_t milli_cpu = 0, memory_mib = 0, gpus = 0;
  std::string cards;
  auto operator<=>(const Shape&) const = default;
};

Json pod_json(const Shape& shape, const Json* pattern) {
  Json spec = pattern ? (*pattern)["spec"] : Json::object();
  Json requests = Json::object({{"cpu", std::to_string(shape.milli_cpu) + "m"}, {"memory", std::to_string(shape.memory_mib) + "Mi"}});
  if (shape.gpus > 0) requests.set("nvidia.com/gpu", std::to_string(shape.gpus));
  Json container = spec["containers"].size() > 0 ? spec["containers"].items()[0] : Json::object({{"name", "main"}, {"image", "trace"}});
  container.set("resources", Json::object({{"requests", std::move(requests)}}));
  Json containers = Json::array();
  containers.push(std::move(container));
  spec.set("containers", std::move(containers));
  if (!shape.cards.empty()) {
    Json expression = Json::object({{"key", kCardLabel}, {"operator", "In"}, {"values", Json(split(shape.cards, '|'))}});
    Json term = Json::object({{"matchExpressions", Json(Json::Array{std::move(expression)})}});
    spec.set("affinity", Json::object({{"nodeAffinity", Json::object({{"requiredDuringSchedulingIgnoredDuringExecution", Json::object({{"nodeSelectorTerms", Json(Json::Array{std::move(term)})}})}})}}));
  }
  Json metadata = Json::object({{"name", "pattern"}, {"namespace", pattern ? (*pattern)["metadata"]["namespace"].string_or("trace") : "trace"}});
  if (pattern && (*pattern)["metadata"]["labels"].is_object()) metadata.set("labels", (*pattern)["metadata"]["labels"]);
  return Json::object({{"apiVersion", "v1"}, {"kind", "Pod"}, {"metadata", std::move(metadata)}, {"spec", std::move(spec)}});
}

void name_pod(kube::Pod& pod, const std::string& name, const std::string& owner) {
  pod.meta.name = name;
  // Something that would create it again: else it could not be moved when its node goes.
  pod.meta.owners = {{"apps/v1", "ReplicaSet", owner, owner, true}};
  pod.node_name.clear();
  pod.phase = "Pending";
}

}  // namespace

std::optional<int64_t> parse_trace_time(const Json& value) {
  if (value.is_number()) {
    double seconds = value.number();
    if (seconds < 0 || seconds > static_cast<double>(kMaxTraceSeconds) || std::floor(seconds) != seconds) return std::nullopt;
    return static_cast<int64_t>(seconds);
  }
  std::string_view text = trim(value.string());
  if (auto plain = parse_uint(text)) return *plain <= static_cast<uint64_t>(kMaxTraceSeconds) ? std::optional<int64_t>(static_cast<int64_t>(*plain)) : std::nullopt;
  if (text.empty()) return std::nullopt;
  int64_t total = 0;
  while (!text.empty()) {
    size_t digits = 0;
    while (digits < text.size() && text[digits] >= '0' && text[digits] <= '9') ++digits;
    auto number = parse_uint(text.substr(0, digits));
    if (!number || digits == text.size() || *number > static_cast<uint64_t>(kMaxTraceSeconds)) return std::nullopt;
    char unit = text[digits];
    int64_t factor = unit == 'd' ? 86400 : unit == 'h' ? 3600 : unit == 'm' ? 60 : unit == 's' ? 1 : 0;
    if (factor == 0) return std::nullopt;
    total += static_cast<int64_t>(*number) * factor;
    if (total > kMaxTraceSeconds) return std::nullopt;
    text.remove_prefix(digits + 1);
  }
  return total;
}

bool is_openb_trace(std::string_view text) {
  auto [line, rest] = cut(text.substr(0, 4096), '\n');
  return line.find("cpu_milli") != std::string_view::npos && line.find("creation_time") != std::string_view::npos;
}

Result<Trace> read_openb_trace(std::string_view text, const Json* pattern) {
  CsvReader rows = TRY(CsvReader::open(text));
  for (std::string_view column : {"name", "cpu_milli", "memory_mib", "creation_time"}) {
    if (!rows.has(column)) return Error{Code::Invalid, "line 1: the column " + std::string(column) + " is missing"};
  }
  Trace trace;
  std::map<Shape, kube::Pod> shapes;
  size_t sharing = 0;
  while (TRY(rows.next())) {
    if (trace.arrivals.size() >= kMaxTracePods) return at_line(rows, "over " + std::to_string(kMaxTracePods) + " pods");
    Shape shape;
    shape.milli_cpu = TRY(read_number(rows, "cpu_milli")).value_or(0);
    shape.memory_mib = TRY(read_number(rows, "memory_mib")).value_or(0);
    shape.gpus = TRY(read_number(rows, "num_gpu")).value_or(0);
    auto milli = TRY(read_number(rows, "gpu_milli"));
    sharing += shape.gpus == 1 && milli && *milli < 1000;
    std::string cards(trim(rows.field("gpu_spec")));
    if (to_lower(cards) != "nan") shape.cards = cards;
    auto created = TRY(read_number(rows, "creation_time"));
    auto deleted = TRY(read_number(rows, "deletion_time"));
    auto scheduled = TRY(read_number(rows, "scheduled_time"));
    if (!created || *created > kMaxTraceSeconds) return at_line(rows, "creation_time is missing, or over a hundred years");
    auto known = shapes.find(shape);
    if (known == shapes.end()) {
      auto pod = kube::read_pod(pod_json(shape, pattern));
      if (!pod.ok()) return at_line(rows, pod.error().message);
      known = shapes.emplace(shape, std::move(*pod)).first;
    }
    TraceArrival arrival;
    arrival.at = *created;
    int64_t started = scheduled.value_or(*created);
    if (deleted && *deleted >= started) arrival.duration = *deleted - started;
    arrival.pod = known->second;
    std::string name(trim(rows.field("name")));
    if (name.empty()) return at_line(rows, "name is empty");
    name_pod(arrival.pod, name, "trace-" + std::to_string(std::distance(shapes.begin(), known)) + "-" + std::to_string(shape.milli_cpu) + "m-" + std::to_string(shape.memory_mib) + "Mi");
    // Pods of one shape have one owner, whatever was read in between.
    arrival.pod.meta.owners[0].name = arrival.pod.meta.owners[0].uid = "trace-" + std::to_string(shape.milli_cpu) + "m-" + std::to_string(shape.memory_mib) + "mi-" + std::to_string(shape.gpus) + "-" + shape.cards;
    trace.arrivals.push_back(std::move(arrival));
  }
  if (trace.arrivals.empty()) return Error{Code::Invalid, "the trace has no pods"};
  int64_t first = trace.arrivals[0].at;
  for (const TraceArrival& each : trace.arrivals) first = std::min(first, each.at);
  for (TraceArrival& each : trace.arrivals) each.at -= first;
  if (sharing > 0) trace.notes.push_back(std::to_string(sharing) + " pods share a GPU in the trace; here each takes a whole one (nvidia.com/gpu)");
  sort_arrivals(trace);
  return trace;
}

Result<Trace> read_own_trace(const Json& document) {
  if (document["kind"].string() != "Trace") return Error{Code::Invalid, "kind must be Trace"};
  std::map<std::string, kube::Pod, std::less<>> templates;
  for (const JsonMember& member : document["templates"].members()) {
    Json metadata = member.value["metadata"].is_object() ? member.value["metadata"] : Json::object();
    metadata.set("name", member.key);
    if (!metadata.has("namespace")) metadata.set("namespace", "trace");
    Json pod = Json::object({{"apiVersion", "v1"}, {"kind", "Pod"}, {"metadata", std::move(metadata)}, {"spec", member.value["spec"]}});
    templates.emplace(member.key, TRY(kube::read_pod(pod).context("templates." + member.key)));
  }
  Trace trace;
  std::map<std::string, size_t> counts;
  const Json& arrivals = document["arrivals"];
  for (size_t i = 0; i < arrivals.size(); ++i) {
    const Json& each = arrivals.items()[i];
    std::string where = "arrivals[" + std::to_string(i) + "]";
    auto found = templates.find(each["template"].string());
    if (found == templates.end()) return Error{Code::Invalid, where + ": no template is named \"" + each["template"].string() + "\""};
    auto at = parse_trace_time(each["at"]);
    if (!at) return Error{Code::Invalid, where + ": at must be a time such as 90, \"90s\" or \"1h30m\""};
    std::optional<int64_t> duration;
    if (!each["for"].is_null()) {
      duration = parse_trace_time(each["for"]);
      if (!duration) return Error{Code::Invalid, where + ": for must be a time such as \"2h\""};
    }
    int64_t pods = each["pods"].is_null() ? 1 : each["pods"].integer(-1);
    if (pods < 0 || static_cast<size_t>(pods) > kMaxTracePods - trace.arrivals.size()) return Error{Code::Invalid, where + ": pods must be a whole number; a trace has at most " + std::to_string(kMaxTracePods)};
    for (int64_t n = 0; n < pods; ++n) {
      TraceArrival arrival{*at, duration, found->second};
      // Zeros in front keep names in order.
      std::string number = std::to_string(++counts[found->first]);
      name_pod(arrival.pod, found->first + "-" + std::string(number.size() < 6 ? 6 - number.size() : 0, '0') + number, found->first);
      trace.arrivals.push_back(std::move(arrival));
    }
  }
  if (trace.arrivals.empty()) return Error{Code::Invalid, "the trace has no arrivals"};
  sort_arrivals(trace);
  return trace;
}

}  // namespace archway::scheduler
