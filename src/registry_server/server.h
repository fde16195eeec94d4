#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace archway {

struct RegistryServerOptions {
  std::string root;                   // a folder of its own; made where it is missing. See registry_server/store.h
  std::string host = "127.0.0.1";     // name or literal address
  uint16_t port = 0;                  // 0: a free one; see port()
  std::string tls_cert_file = {}, tls_key_file = {};
  std::string htpasswd_file = {};     // bcrypt entries; everybody in it may do everything, nobody else anything
  bool allow_anonymous = false;       // lets others than loopback in without htpasswd_file
  // Each answered request as one line, without a newline: "TIME REMOTE METHOD PATH STATUS in=BYTES out=BYTES ms=MILLISECONDS".
  // `in` is what came of the request's body, `out` the length of the answer's; TIME is RFC 3339 in UTC. Written before the
  // answer is sent, so that a client that has its answer finds the line. Called from several threads at once.
  std::function<void(std::string_view line)> access_log = {};
  std::chrono::seconds upload_lifetime = std::chrono::hours(24);  // after which an abandoned upload is removed
  size_t max_connections = 1024;
  std::chrono::milliseconds stop_grace = std::chrono::seconds(10);
};

// A registry by distribution-spec 1.1 over one folder, in which every repository is an OCI image layout. When start()
// returns it takes requests; when it is destroyed it has answered those it took. What was answered 201 is on disk. Errors
// of start(): Invalid (options that do not go together, a bad htpasswd or certificate), Exists (another server uses the
// folder), Unauthorized (beyond loopback without authentication), Io.
class RegistryServer {
 public:
  static Result<std::unique_ptr<RegistryServer>> start(RegistryServerOptions options);
  virtual ~RegistryServer() = default;
  virtual uint16_t port() const = 0;
  virtual std::string url() const = 0;  // "http://127.0.0.1:PORT"
};

// An access_log that appends to a file, made where it is missing, each line with one write.
Result<std::function<void(std::string_view line)>> file_access_log(const std::string& path);

}  // namespace archway
