#include "admission/server.h"

#include <sys/stat.h>

#include <algorithm>
#include <charconv>
#include <condition_variable>
#include <thread>

#include "admission/cluster_side.h"
#include "admission/metrics.h"
#include "base/sync.h"
#include "base/thread_pool.h"

namespace archway::admission {

namespace {

using SteadyClock = std::chrono::steady_clock;

// Images of one review that are asked for side by side.
constexpr size_t kMaxLookupThreads = 8;

ServerResponse text_response(int status, std::string text, std::string type = "text/plain; charset=utf-8") {
  ServerResponse response;
  response.status = status;
  response.headers.set("Content-Type", std::move(type));
  response.body = std::move(text);
  return response;
}

// When a file was last put there, and as what.
struct FileStamp {
  ino_t inode = 0;
  timespec changed = {};
  off_t size = 0;
  bool operator==(const FileStamp& other) const {
    return inode == other.inode && size == other.size && changed.tv_sec == other.changed.tv_sec && changed.tv_nsec == other.changed.tv_nsec;
  }
};
FileStamp stamp_of(const std::string& path) {
  struct stat status = {};
  if (path.empty() || ::stat(path.c_str(), &status) != 0) return {};
  return {status.st_ino, status.st_mtim, status.st_size};
}

class Webhook final : public WebhookServer {
 public:
  explicit Webhook(WebhookOptions options) : options_(std::move(options)) {}
  ~Webhook() override {
    watcher_ = {};
    stop_.request_stop();  // look-ups that are waited for
    http_.reset();
  }

  Result<void> run();
  uint16_t port() const override { return http_->port(); }
  std::string metrics_text() const override { return metrics_.text(options_.lookup->counters()) + (options_.more_metrics ? options_.more_metrics() : ""); }
  Result<void> reload_certificate() override;

  std::unique_ptr<RequestHandler> route(const ServerRequest& request);
  ServerResponse answer(std::string_view body, std::optional<std::chrono::milliseconds> timeout);
  bool take_bytes(size_t count);
  void give_bytes(size_t count) { bytes_in_flight_ -= count; }
  void count_malformed() { metrics_.count_malformed(); }

 private:
  ImageAnswers look_up(const ReviewRequest& request, const ReviewPlan& plan, SteadyClock::time_point begun, std::optional<std::chrono::milliseconds> timeout);
  void log(const ReviewRequest& request, const Decision& decision, std::chrono::nanoseconds took);
  void say(const Json& line) {
    if (options_.log) options_.log(to_json(line));
  }
  void watch_certificate(std::stop_token stop);

  WebhookOptions options_;
  WebhookMetrics metrics_;
  std::stop_source stop_;
  std::atomic<size_t> bytes_in_flight_ = 0;
  std::unique_ptr<HttpServer> http_;
  std::jthread watcher_;
};

// POST /mutate.
class MutateHandler final : public RequestHandler {
 public:
  MutateHandler(Webhook& webhook, const ServerRequest& request) : webhook_(webhook) {
    if (auto timeout = request.query_value("timeout")) timeout_ = parse_timeout(*timeout);
    size_t length = 0;
    if (const std::string* text = request.headers.find("Content-Length")) {
      auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), length);
      if (error != std::errc()) length = 0;
    }
    // One growth too many would copy it all; what a stranger promises is not believed beyond the usual.
    body_.reserve(std::min(length, kUsualReviewBytes));
  }
  ~MutateHandler() override { webhook_.give_bytes(taken_); }

  Result<void> body(Bytes piece) override {
    if (body_.size() + piece.size() > kMaxReviewBytes) return refuse(413, "the review is too large\n");
    if (!webhook_.take_bytes(piece.size())) return refuse(503, "too many reviews at once\n");
    taken_ += piece.size();
    body_.append(as_text(piece));
    return {};
  }
  ServerResponse finish(bool complete) override {
    if (refusal_) return text_response(refusal_, why_);
    if (!complete) return {};
    return webhook_.answer(body_, timeout_);
  }

 private:
  static constexpr size_t kUsualReviewBytes = 64 * 1024;
  Error refuse(int status, std::string why) {
    refusal_ = status;
    why_ = std::move(why);
    body_ = {};
    return {Code::Invalid, why_};
  }

  Webhook& webhook_;
  std::optional<std::chrono::milliseconds> timeout_;
  std::string body_, why_;
  size_t taken_ = 0;
  int refusal_ = 0;
};

// An answer that is known when the head has come.
class FixedHandler final : public RequestHandler {
 public:
  FixedHandler(ServerResponse response, bool head_only) : response_(std::move(response)) { response_.head_only = head_only; }
  Result<void> body(Bytes) override { return {}; }
  ServerResponse finish(bool) override { return std::move(response_); }

 private:
  ServerResponse response_;
};

Result<void> Webhook::run() {
  // Look-ups wait, so each connection needs a thread of its own.
  options_.http.threads = 0;
  http_ = TRY(HttpServer::start(options_.http, [this](const ServerRequest& request) { return route(request); }));
  if (!options_.http.tls_cert_file.empty()) watcher_ = std::jthread([this](std::stop_token stop) { watch_certificate(stop); });
  return {};
}

bool Webhook::take_bytes(size_t count) {
  if (bytes_in_flight_.fetch_add(count) + count <= kMaxBytesInFlight) return true;
  bytes_in_flight_ -= count;
  return false;
}

std::unique_ptr<RequestHandler> Webhook::route(const ServerRequest& request) {
  if (request.path == "/mutate") {
    if (request.method == "POST") return std::make_unique<MutateHandler>(*this, request);
    auto refused = text_response(405, "POST an AdmissionReview here\n");
    refused.headers.set("Allow", "POST");
    return std::make_unique<FixedHandler>(std::move(refused), request.method == "HEAD");
  }
  bool reads = request.method == "GET" || request.method == "HEAD";
  if (!reads) return nullptr;
  auto fixed = [&](ServerResponse response) { return std::make_unique<FixedHandler>(std::move(response), request.method == "HEAD"); };
  if (request.path == "/healthz" || request.path == "/livez") return fixed(text_response(200, "ok\n"));
  if (request.path == "/readyz") {
    bool ready = !options_.ready || options_.ready();
    return fixed(text_response(ready ? 200 : 503, ready ? "ok\n" : "not ready\n"));
  }
  if (request.path == "/metrics") return fixed(text_response(200, metrics_text(), "text/plain; version=0.0.4; charset=utf-8"));
  return nullptr;
}

ServerResponse Webhook::answer(std::string_view body, std::optional<std::chrono::milliseconds> timeout) {
  auto begun = SteadyClock::now();
  auto request = read_review(body);
  if (!request.ok()) {
    metrics_.count_malformed();
    say(Json::object({{"event", "malformed"}, {"error", request.error().message}}));
    return text_response(400, request.error().message + "\n");
  }
  ReviewPlan plan = plan_review(*request, options_.policy);
  if (plan.subject && !plan.subject->node.empty() && options_.place_of_node) plan.subject->node_place = options_.place_of_node(plan.subject->node);
  ImageAnswers answers;
  if (plan.subject && !plan.images.empty()) answers = look_up(*request, plan, begun, timeout);
  Decision decision = decide_review(plan, answers, options_.policy);
  ServerResponse response = text_response(200, write_response(*request, decision, options_.policy), "application/json");
  auto took = SteadyClock::now() - begun;
  metrics_.count_review(decision.outcome, took);
  log(*request, decision, took);
  if (options_.decided) options_.decided(*request, decision);
  return response;
}

ImageAnswers Webhook::look_up(const ReviewRequest& request, const ReviewPlan& plan, SteadyClock::time_point begun, std::optional<std::chrono::milliseconds> timeout) {
  auto patience = options_.deadline;
  if (timeout) patience = std::min(patience, *timeout / 2);
  auto deadline = begun + patience;
  Keychain keychain;
  if (options_.keychain) {
    const Json* holder = value_at(*plan.subject->object, plan.subject->pointer);
    keychain = options_.keychain(request, (*holder)["spec"], deadline);
  }
  ImageAnswers answers;
  std::vector<std::string> cold;
  for (const std::string& image : plan.images) {
    if (ImageLookup::Facts facts = options_.lookup->peek(image, keychain)) {
      answers.emplace(image, answer_of(std::move(facts)));
    } else {
      cold.push_back(image);
    }
  }
  if (cold.empty()) return answers;
  std::vector<ImageAnswer> found(cold.size());
  auto ask = [&](size_t i) -> Result<void> {
    found[i] = answer_of(options_.lookup->look_up(cold[i], keychain, deadline, stop_.get_token()));
    return {};
  };
  (void)parallel_for(cold.size(), kMaxLookupThreads, ask).ok();
  for (size_t i = 0; i < cold.size(); ++i) answers.emplace(std::move(cold[i]), std::move(found[i]));
  if (SteadyClock::now() >= deadline) metrics_.count_deadline();
  return answers;
}

void Webhook::log(const ReviewRequest& request, const Decision& decision, std::chrono::nanoseconds took) {
  bool quiet = decision.outcome == Outcome::Ignored || decision.outcome == Outcome::Unchanged;
  if (!options_.log || (quiet && !options_.log_all)) return;
  Json line = Json::object({{"event", "review"}, {"uid", request.uid}, {"operation", request.operation}, {"object", request.str()},
                            {"decision", outcome_name(decision.outcome)}, {"summary", decision.summary}});
  if (request.dry_run) line.set("dryRun", true);
  if (options_.policy.mode == Policy::Mode::Report) line.set("mode", "report");
  if (decision.outcome == Outcome::Unknown || decision.outcome == Outcome::Gated) line.set("warnings", Json(decision.warnings));
  line.set("ms", static_cast<double>(took.count() / 1000) / 1000);
  say(line);
}

Result<void> Webhook::reload_certificate() {
  auto reloaded = http_->reload_certificate();
  metrics_.count_reload(reloaded.ok());
  Json line = Json::object({{"event", "certificate"}, {"reloaded", reloaded.ok()}});
  if (!reloaded.ok()) line.set("error", reloaded.error().message);
  say(line);
  return reloaded;
}

// A rotation writes two files, and Kubernetes mounts a Secret by moving a link: what has changed is read when it fits together, and looked
// at again until then.
void Webhook::watch_certificate(std::stop_token stop) {
  auto look = [&] { return std::pair(stamp_of(options_.http.tls_cert_file), stamp_of(options_.http.tls_key_file)); };
  auto served = look();
  std::mutex mutex;
  std::condition_variable_any changed;
  for (;;) {
    std::unique_lock lock(mutex);
    changed.wait_for(lock, stop, options_.certificate_poll, [] { return false; });
    if (stop.stop_requested()) return;
    auto seen = look();
    if (seen != served && reload_certificate().ok()) served = seen;
  }
}

}  // namespace

std::optional<std::chrono::milliseconds> parse_timeout(std::string_view text) {
  constexpr double kMaxSeconds = 3600;
  double seconds = 0;
  if (text.empty()) return std::nullopt;
  while (!text.empty()) {
    double number = 0;
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
    // from_chars would take "nan" and "inf".
    if (error != std::errc() || !(text[0] == '.' || (text[0] >= '0' && text[0] <= '9'))) return std::nullopt;
    text.remove_prefix(static_cast<size_t>(end - text.data()));
    double factor = 0;
    for (auto [unit, is] : {std::pair<std::string_view, double>{"ms", 1e-3}, {"us", 1e-6}, {"ns", 1e-9}, {"h", 3600}, {"m", 60}, {"s", 1}}) {
      if (!text.starts_with(unit)) continue;
      factor = is;
      text.remove_prefix(unit.size());
      break;
    }
    if (factor == 0) return std::nullopt;
    seconds += number * factor;
  }
  if (!(seconds <= kMaxSeconds)) seconds = kMaxSeconds;
  return std::chrono::milliseconds(static_cast<int64_t>(seconds * 1000));
}

Result<std::unique_ptr<WebhookServer>> WebhookServer::start(WebhookOptions options) {
  auto webhook = std::make_unique<Webhook>(std::move(options));
  TRY(webhook->run());
  return std::unique_ptr<WebhookServer>(std::move(webhook));
}

}  // namespace archway::admission
