#pragma once

#include <map>
#include <optional>
#include <stop_token>
#include <string>

#include "base/result.h"
#include "format/json.h"

namespace archway {

struct Credentials {
  std::string username = {}, password = {};
  std::string identity_token = {};  // an OAuth2 refresh token, in place of a password
};

// ~/.docker/config.json: auths, credsStore, credHelpers (docker-credential-* over its exec protocol).
// Docker Hub is kept under "https://index.docker.io/v1/". Never logs a secret.
class DockerConfig {
 public:
  static Result<DockerConfig> load(const std::string& path);  // a missing file is an empty configuration
  static Result<DockerConfig> parse(std::string text);        // in memory: store() and erase() have nowhere to write
  static DockerConfig of(const std::string& host, const Credentials& credentials);  // these for that host, nothing else
  // What would be looked at to find credentials for `host`: the entry's text or the helper's name, "" where there is neither. Equal
  // text is equal credentials. Holds secrets: for hashing.
  std::string fingerprint(const std::string& host) const;
  Result<std::optional<Credentials>> credentials_for(const std::string& host, std::stop_token stop = {}) const;
  // Stores into the helper that the configuration names for the host, else into the file (mode 0600). The rest of the file stays as it is.
  Result<void> store(const std::string& host, const Credentials& credentials);
  Result<bool> erase(const std::string& host);  // false: there were none
  // What was stored in plain text, so that login can warn as docker does.
  bool stores_in_plain_text(const std::string& host) const;

 private:
  std::string path_;
  std::string raw_;
};

// One member of "auths". `key` is for the message, which has no secret in it.
Result<std::optional<Credentials>> read_docker_credentials(const Json& entry, const std::string& key);

}  // namespace archway
