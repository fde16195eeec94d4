#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>

#include "admission/decision.h"
#include "registry/lookup.h"

namespace archway::admission {

// What the webhook counts, and how Prometheus reads it (exposition format 0.0.4). Thread safe; counting takes no lock.
class WebhookMetrics {
 public:
  void count_review(Outcome outcome, std::chrono::nanoseconds took);
  void count_malformed() { malformed_.fetch_add(1, std::memory_order_relaxed); }
  void count_deadline() { deadlines_.fetch_add(1, std::memory_order_relaxed); }
  void count_reload(bool ok) { (ok ? reloads_ : failed_reloads_).fetch_add(1, std::memory_order_relaxed); }
  std::string text(const LookupCounters& lookups) const;

 private:
  static constexpr size_t kOutcomes = 7;
  static constexpr std::array<double, 12> kBounds = {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1, 2.5, 5};  // seconds
  using Counter = std::atomic<uint64_t>;
  std::array<Counter, kOutcomes> outcomes_ = {};
  std::array<Counter, kBounds.size() + 1> buckets_ = {};
  Counter nanoseconds_ = 0, malformed_ = 0, deadlines_ = 0, reloads_ = 0, failed_reloads_ = 0;
};

}  // namespace archway::admission
