#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>

#include "admission/policy.h"
#include "admission/review.h"
#include "net/http_server.h"
#include "registry/lookup.h"

// The webhook: POST /mutate, GET /healthz, /readyz and /metrics.
namespace archway::admission {

// What all reviews that are being read may hold together; beyond that they are told to come back.
inline constexpr size_t kMaxBytesInFlight = 256u << 20;

struct WebhookOptions {
  HttpServerOptions http = {};  // threads 0: a thread per connection, since a look-up may wait
  Policy policy = {};
  std::shared_ptr<ImageLookup> lookup = {};
  // How long a review may wait for registries, where the API server's own timeout (the query's "timeout") does not say less: half of that
  // is ours at most.
  std::chrono::milliseconds deadline = std::chrono::milliseconds(1800);
  // The credentials that the node would pull with. Empty: none but the look-up's own. It has to keep what it learns, and the deadline.
  std::function<Keychain(const ReviewRequest&, const Json& pod_spec, std::chrono::steady_clock::time_point deadline)> keychain = {};
  // How often the certificate's files are looked at.
  std::chrono::milliseconds certificate_poll = std::chrono::seconds(10);
  std::function<void(std::string_view)> log = {};  // a JSON object per line: reviews that were not simply let through, and what else happens
  bool log_all = false;                            // those that were, too
  std::function<bool()> ready = {};                // besides ourselves
  // What a node is, where that is known; asked for pods that name theirs. It must not block.
  std::function<std::optional<Place>(const std::string& node)> place_of_node = {};
  // Told of each review after it has been decided on. It must not block.
  std::function<void(const ReviewRequest&, const Decision&)> decided = {};
  std::function<std::string()> more_metrics = {};  // appended to ours
};

// Ends when destroyed: takes no more connections, answers what is in flight.
class WebhookServer {
 public:
  static Result<std::unique_ptr<WebhookServer>> start(WebhookOptions options);
  virtual ~WebhookServer() = default;
  virtual uint16_t port() const = 0;
  virtual std::string metrics_text() const = 0;
  // At once, not at the next look.
  virtual Result<void> reload_certificate() = 0;
};

// Of the API server's "?timeout=10s", which is a Go duration. Nullopt where it is none.
std::optional<std::chrono::milliseconds> parse_timeout(std::string_view text);

}  // namespace archway::admission
