#include "scheduler/trace_run.h"

#include <algorithm>
#include <limits>
#include <queue>

namespace archway::scheduler {

namespace {

constexpr int64_t kNever = std::numeric_limits<int64_t>::max();
constexpr size_t kMostNamed = 20;

int64_t round_up(int64_t value, int64_t step) { return (value + step - 1) / step * step; }

// The world's clock: what happens next, and all that follows from it.
class Clock {
 public:
  Clock(World& world, Autoscaler& autoscaler, Trace trace, const TraceOptions& options, const std::map<std::string, PodFacts>& facts)
      : world_(world), autoscaler_(autoscaler), trace_(std::move(trace)), options_(options), facts_(facts) {}

  TraceResult run() {
    begin();
    while (true) {
      int64_t next = next_event();
      if (next == kNever) break;
      pass_time(next);
      happen();
      schedule();
      if (now_ % options_.scan_s == 0) scan();
      if (now_ % options_.scan_s != 0 && wants_scan()) next_scan_ = round_up(now_, options_.scan_s);
    }
    return finish();
  }

 private:
  struct Departure {
    int64_t at;
    WorldPod* pod;
    bool operator>(const Departure& other) const { return at != other.at ? at > other.at : pod->pod.meta.name > other.pod->pod.meta.name; }
  };
  struct Arriving {
    std::string group;
    Node node;
  };

  void begin() {
    for (const GroupState& state : autoscaler_.groups()) {
      TraceResult::GroupTotal total;
      total.name = state.group.name;
      total.architecture = architecture_of(state.group, autoscaler_.prices());
      total.type = state.group.first_type();
      total.price = price_of(state.group, autoscaler_.prices());
      if (!total.price) result_.unpriced.push_back(state.group.name + (total.type.empty() ? "" : " (" + total.type + ")"));
      result_.groups.push_back(std::move(total));
    }
    result_.pods = trace_.arrivals.size();
    result_.notes = trace_.notes;
    // Nodes that a group is said to have and the input lacks come at once, so that sizes are true.
    for (GroupState& state : autoscaler_.groups()) {
      for (int64_t have = static_cast<int64_t>(state.nodes.size()); have < state.current; ++have) {
        auto node = autoscaler_.make_node(state.group.name);
        if (!node.ok()) {
          result_.notes.push_back(node.error().message);
          break;
        }
        world_.add_node(std::move(*node));
      }
    }
    row_due_ = 0;
    changed_ = true;
    schedule();
  }

  int64_t next_event() const {
    int64_t next = kNever;
    if (arrived_ < trace_.arrivals.size()) next = std::min(next, trace_.arrivals[arrived_].at);
    if (!departures_.empty()) next = std::min(next, departures_.top().at);
    if (!coming_.empty()) next = std::min(next, coming_.begin()->first);
    if (next_scan_ != kNever) next = std::min(next, next_scan_);
    return next;
  }

  // What ran until now is paid for; rows of the timeline fall due in between.
  void pass_time(int64_t to) {
    while (row_due_ <= to && result_.rows.size() < kMaxTimelineRows) {
      bill(row_due_);
      write_row();
      row_due_ += options_.step_s;
    }
    bill(to);
  }

  void bill(int64_t to) {
    int64_t seconds = to - now_;
    now_ = to;
    if (seconds <= 0) return;
    for (size_t i = 0; i < result_.groups.size(); ++i) {
      int64_t nodes = autoscaler_.groups()[i].current;
      TraceResult::GroupTotal& total = result_.groups[i];
      total.node_seconds += nodes * seconds;
      total.peak = std::max(total.peak, nodes);
    }
  }

  __int128_t spent(const TraceResult::GroupTotal& total) const { return static_cast<__int128_t>(total.price.value_or(0)) * total.node_seconds / 3600; }

  void write_row() {
    TraceRow row;
    row.at = now_;
    for (size_t i = 0; i < result_.groups.size(); ++i) {
      row.nodes[result_.groups[i].name] = autoscaler_.groups()[i].current;
      row.nano_usd += spent(result_.groups[i]);
    }
    row.pending = waiting_.size();
    row.running = running_;
    result_.rows.push_back(std::move(row));
  }

  void happen() {
    while (!departures_.empty() && departures_.top().at <= now_) {
      WorldPod* pod = departures_.top().pod;
      departures_.pop();
      if (pod->gone) continue;
      if (pod->node.empty()) {
        waiting_.erase(pod);
        ++result_.gave_up;
      } else {
        --running_;
      }
      world_.remove_pod(*pod);
      changed_ = true;
    }
    while (!coming_.empty() && coming_.begin()->first <= now_) {
      Arriving arriving = std::move(coming_.begin()->second);
      coming_.erase(coming_.begin());
      --upcoming_[arriving.group];
      world_.add_node(std::move(arriving.node));
      changed_ = true;
    }
    for (; arrived_ < trace_.arrivals.size() && trace_.arrivals[arrived_].at <= now_; ++arrived_) {
      TraceArrival& arrival = trace_.arrivals[arrived_];
      WorldPod& pod = world_.add_pod(std::move(arrival.pod));
      pod.since = now_;
      if (arrival.duration) duration_[&pod] = *arrival.duration;
      waiting_.insert(&pod);
      changed_ = true;
    }
    if (next_scan_ <= now_) next_scan_ = kNever;
  }

  void schedule() {
    if (!changed_ || waiting_.empty()) return;
    for (WorldPod* pod : world_.schedule()) {
      if (!waiting_.erase(pod)) continue;
      ++running_;
      if (!counted_.insert(pod).second) continue;  // moved: it had its place before
      ++result_.placed;
      waits_.push_back(now_ - pod->since);
      auto known = duration_.find(pod);
      if (known != duration_.end()) departures_.push({now_ + known->second, pod});
    }
    // Whoever was preempted waits again.
    for (WorldPod& pod : world_.pods()) {
      if (counted_.contains(&pod) && !pod.gone && pod.node.empty() && waiting_.insert(&pod).second) --running_;
    }
  }

  bool wants_scan() const { return changed_ || look_ || next_removal() != kNever; }

  int64_t next_removal() const {
    int64_t first = kNever;
    for (const auto& [node, since] : unneeded_) first = std::min(first, std::max(since + options_.unneeded_s, last_growth_ + options_.delay_after_add_s));
    return first;
  }

  void scan() {
    if (changed_ && !waiting_.empty()) grow();
    look_ = look_ || changed_;
    changed_ = false;
    shrink();
    // The next reason to look: pods that lost their node, a node that has been unneeded for long enough, a change soon after the last look.
    int64_t next = std::min(next_removal(), changed_ && !waiting_.empty() ? now_ + 1 : kNever);
    if (look_) next = std::min(next, last_look_ + options_.look_down_s);
    if (next != kNever) next_scan_ = std::min(next_scan_, round_up(std::max(next, now_ + 1), options_.scan_s));
  }

  void grow() {
    for (int i = 0; i < 100; ++i) {
      ScaleUp up = autoscaler_.scale_up(world_, upcoming_);
      bool grew = false;
      for (const Growth& growth : up.growth) {
        for (int64_t n = growth.from; n < growth.to; ++n) {
          auto node = autoscaler_.make_node(growth.group);
          if (!node.ok()) continue;
          coming_.emplace(now_ + options_.startup_s, Arriving{growth.group, std::move(*node)});
          ++upcoming_[growth.group];
          ++total_of(growth.group).started;
          grew = true;
        }
      }
      if (!grew) return;
      last_growth_ = now_;
    }
  }

  TraceResult::GroupTotal& total_of(const std::string& name) {
    return *std::find_if(result_.groups.begin(), result_.groups.end(), [&](const TraceResult::GroupTotal& each) { return each.name == name; });
  }

  void shrink() {
    bool soon = now_ - last_look_ < options_.look_down_s;
    if ((!look_ || soon) && next_removal() > now_) return;
    look_ = false;
    last_look_ = now_;
    std::map<std::string, int64_t> still;
    std::vector<ScaleDown> seen = autoscaler_.scale_down(world_, facts_);
    for (const ScaleDown& each : seen) {
      if (!each.removable) continue;
      auto known = unneeded_.find(each.node);
      still[each.node] = known == unneeded_.end() ? now_ : known->second;
    }
    unneeded_ = std::move(still);
    if (now_ - last_growth_ < options_.delay_after_add_s && last_growth_ > kLongAgo) return;
    for (const ScaleDown& each : seen) {
      auto since = unneeded_.find(each.node);
      if (since == unneeded_.end() || now_ - since->second < options_.unneeded_s) continue;
      remove(each);
      unneeded_.erase(since);
    }
    schedule();
  }

  void remove(const ScaleDown& each) {
    for (const WorldPod* pod : world_.pods_on(each.node)) {
      if (pod->daemon || !counted_.contains(const_cast<WorldPod*>(pod))) continue;
      ++result_.evicted;
      --running_;
      waiting_.insert(const_cast<WorldPod*>(pod));
    }
    GroupState& state = *autoscaler_.find(each.group);
    auto model = autoscaler_.template_for(state, world_);
    if (model.ok()) state.remembered = std::move(*model);  // the autoscaler caches it
    world_.remove_node(each.node);
    state.nodes.erase(each.node);
    --state.current;
    ++total_of(each.group).removed;
    changed_ = true;
  }

  TraceResult finish() {
    if (result_.rows.size() < kMaxTimelineRows && (result_.rows.empty() || result_.rows.back().at != now_)) write_row();
    result_.end_s = now_;
    for (TraceResult::GroupTotal& total : result_.groups) {
      total.nano_usd = spent(total);
      result_.nano_usd += total.nano_usd;
    }
    std::vector<const WorldPod*> waiting(waiting_.begin(), waiting_.end());
    std::sort(waiting.begin(), waiting.end(), [](const WorldPod* a, const WorldPod* b) { return a->pod.meta.key() < b->pod.meta.key(); });
    result_.never_count = waiting.size();
    for (const WorldPod* pod : waiting) {
      if (result_.never.size() < kMostNamed) result_.never.push_back({pod->pod.meta.key(), pod->reason});
    }
    std::sort(waits_.begin(), waits_.end());
    if (!waits_.empty()) {
      __int128_t sum = 0;
      for (int64_t wait : waits_) sum += wait;
      result_.wait_mean_s = static_cast<int64_t>(sum / static_cast<int64_t>(waits_.size()));
      result_.wait_median_s = waits_[(waits_.size() - 1) / 2];
      result_.wait_p95_s = waits_[(waits_.size() * 95 + 99) / 100 - 1];
      result_.wait_max_s = waits_.back();
    }
    return std::move(result_);
  }

  static constexpr int64_t kLongAgo = -1'000'000'000;

  World& world_;
  Autoscaler& autoscaler_;
  Trace trace_;
  TraceOptions options_;
  const std::map<std::string, PodFacts>& facts_;
  TraceResult result_;
  int64_t now_ = 0, next_scan_ = kNever, row_due_ = 0, last_growth_ = kLongAgo, last_look_ = kLongAgo;
  size_t arrived_ = 0, running_ = 0;
  bool changed_ = false, look_ = false;
  std::priority_queue<Departure, std::vector<Departure>, std::greater<>> departures_;
  std::multimap<int64_t, Arriving> coming_;
  std::map<std::string, int64_t> upcoming_, unneeded_;
  std::set<WorldPod*> waiting_, counted_;
  std::map<WorldPod*, int64_t> duration_;
  std::vector<int64_t> waits_;
};

}  // namespace

TraceResult run_trace(World& world, Autoscaler& autoscaler, Trace trace, const TraceOptions& options, const std::map<std::string, PodFacts>& facts) {
  return Clock(world, autoscaler, std::move(trace), options, facts).run();
}

}  // namespace archway::scheduler
