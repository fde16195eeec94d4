#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "kube/client.h"
#include "kube/exec_credential.h"
#include "net/http_client.h"

// One cluster's HTTP: who we are on each request, retries, and errors from Status objects. Private to the client.
namespace archway::kube {

inline constexpr int kMaxThrottledAttempts = 10;  // the server said when to come back
inline constexpr int kMaxBrokenAttempts = 3;      // it did not
inline constexpr std::chrono::milliseconds kFirstApiBackoff{200};
inline constexpr std::chrono::milliseconds kMaxApiRetryAfter = std::chrono::minutes(2);
inline constexpr uint64_t kMaxStatusBytes = 1 << 20;

struct ApiRequest {
  std::string method = "GET";
  std::string path;
  std::vector<std::pair<std::string, std::string>> query = {};
  std::string body = {}, content_type = "application/json";
  std::string accept = "application/json";
  std::optional<std::chrono::milliseconds> stall_timeout = {};
  uint64_t max_bytes = kMaxObjectBytes;
};

// Thread safe.
class ApiSession {
 public:
  static Result<std::unique_ptr<ApiSession>> open(ClusterAccess access, HttpClientOptions http, ClientTiming timing);

  // Any status may come back, after what retries can do.
  Result<std::unique_ptr<HttpResponse>> send(const ApiRequest& request, std::stop_token stop);
  // The body of a 2xx answer; another status is an error.
  Result<std::string> text(const ApiRequest& request, std::stop_token stop);
  Result<Json> json(const ApiRequest& request, std::stop_token stop);
  void sleep(std::chrono::milliseconds duration, std::stop_token stop) const;
  const ClusterAccess& access() const { return access_; }
  // api_error(), and what is wrong with our own credentials where that is to be seen from here.
  Error error_of(int status, std::string_view body, const std::string& what) const;

 private:
  // Who we are now. `version` tells whether a 401 was about this or about what has been replaced since.
  struct Identity {
    std::shared_ptr<HttpClient> http;
    std::string authorization;
    uint64_t version = 0;
  };
  ApiSession(ClusterAccess access, HttpClientOptions http, ClientTiming timing) : access_(std::move(access)), http_options_(std::move(http)), timing_(std::move(timing)) {}
  Result<Identity> identity(std::stop_token stop);
  Result<void> renew(std::stop_token stop);
  Result<void> read_token_file();
  Result<void> ask_plugin(std::stop_token stop);
  // After a 401: whether another try may go better.
  bool forget(uint64_t version);
  bool expired() const;
  Result<HttpRequest> prepare(const ApiRequest& request, const Identity& identity) const;
  Result<std::unique_ptr<HttpResponse>> send_once(const ApiRequest& request, std::stop_token stop);

  ClusterAccess access_;
  HttpClientOptions http_options_;
  ClientTiming timing_;
  Url base_;

  std::mutex mutex_;  // of what follows; held while the plugin runs, since nobody can go on without its answer
  Identity now_;
  std::optional<ExecCredential> plugin_answer_;
  std::string plugin_certificate_;  // that now_.http shows
  std::string token_file_stamp_;
};

// The error that an answer other than 2xx is: "WHAT: 403 pods is forbidden: ...".
Error api_error(int status, std::string_view body, const std::string& what);

}  // namespace archway::kube
