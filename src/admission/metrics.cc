#include "admission/metrics.h"

#include <algorithm>
#include <cstdio>

namespace archway::admission {

namespace {

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.9g", value);
  return text;
}

void family(std::string& text, std::string_view name, std::string_view kind, std::string_view help) {
  text += "# HELP " + std::string(name) + " " + std::string(help) + "\n# TYPE " + std::string(name) + " " + std::string(kind) + "\n";
}

void sample(std::string& text, const std::string& name_and_labels, const std::string& value) { text += name_and_labels + " " + value + "\n"; }

void counter(std::string& text, std::string_view name, std::string_view help, uint64_t value) {
  family(text, name, "counter", help);
  sample(text, std::string(name), std::to_string(value));
}

}  // namespace

void WebhookMetrics::count_review(Outcome outcome, std::chrono::nanoseconds took) {
  double seconds = std::chrono::duration<double>(took).count();
  size_t bucket = static_cast<size_t>(std::lower_bound(kBounds.begin(), kBounds.end(), seconds) - kBounds.begin());
  outcomes_[static_cast<size_t>(outcome)].fetch_add(1, std::memory_order_relaxed);
  buckets_[bucket].fetch_add(1, std::memory_order_relaxed);
  nanoseconds_.fetch_add(static_cast<uint64_t>(took.count()), std::memory_order_relaxed);
}

std::string WebhookMetrics::text(const LookupCounters& lookups) const {
  std::string text;
  family(text, "archway_admission_reviews_total", "counter", "Reviews by what was decided.");
  for (size_t i = 0; i < kOutcomes; ++i) {
    sample(text, "archway_admission_reviews_total{decision=\"" + std::string(outcome_name(static_cast<Outcome>(i))) + "\"}", std::to_string(outcomes_[i].load()));
  }
  family(text, "archway_admission_review_seconds", "histogram", "From a review's last byte to its answer.");
  uint64_t so_far = 0;
  for (size_t i = 0; i <= kBounds.size(); ++i) {
    so_far += buckets_[i].load();
    std::string bound = i < kBounds.size() ? number(kBounds[i]) : "+Inf";
    sample(text, "archway_admission_review_seconds_bucket{le=\"" + bound + "\"}", std::to_string(so_far));
  }
  sample(text, "archway_admission_review_seconds_sum", number(static_cast<double>(nanoseconds_.load()) / 1e9));
  sample(text, "archway_admission_review_seconds_count", std::to_string(so_far));
  counter(text, "archway_admission_malformed_total", "Requests that were no reviews.", malformed_.load());
  counter(text, "archway_admission_deadlines_total", "Reviews that did not wait longer for a registry.", deadlines_.load());
  family(text, "archway_admission_certificate_reloads_total", "counter", "Certificates that were read again.");
  sample(text, "archway_admission_certificate_reloads_total{result=\"ok\"}", std::to_string(reloads_.load()));
  sample(text, "archway_admission_certificate_reloads_total{result=\"failed\"}", std::to_string(failed_reloads_.load()));
  family(text, "archway_image_lookups_total", "counter", "Images asked for, by where the answer was.");
  for (auto [from, count] : {std::pair<std::string_view, uint64_t>{"known", lookups.from_known}, {"memory", lookups.from_memory}, {"disk", lookups.from_disk}, {"joined", lookups.joined}}) {
    sample(text, "archway_image_lookups_total{from=\"" + std::string(from) + "\"}", std::to_string(count));
  }
  counter(text, "archway_image_lookups_asked_total", "Images asked for.", lookups.asked);
  counter(text, "archway_registry_requests_total", "Requests that registries got.", lookups.registry_requests);
  counter(text, "archway_registry_errors_total", "Requests that registries did not answer as they should.", lookups.registry_errors);
  family(text, "archway_image_cache_entries", "gauge", "Images in memory.");
  sample(text, "archway_image_cache_entries", std::to_string(lookups.entries));
  return text;
}

}  // namespace archway::admission
