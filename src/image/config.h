#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "format/json.h"
#include "image/digest.h"
#include "image/platform.h"

namespace archway {

struct HistoryEntry {
  std::optional<Time> created = {};
  std::string created_by = {};
  std::string comment = {};
  std::string author = {};
  bool empty_layer = false;
};

struct Healthcheck {  // durations in nanoseconds, 0: not set
  std::vector<std::string> test;
  int64_t interval = 0, timeout = 0, start_period = 0, start_interval = 0;
  int retries = 0;
};

// An image's configuration (image-spec, config.md, and Docker's additions). What archway does not know
// of an inherited configuration stays in `other` and `other_config` and is written out again.
struct ImageConfig {
  Platform platform;
  std::optional<Time> created = {};
  std::string author = {};
  std::vector<Digest> diff_ids = {};
  std::vector<HistoryEntry> history = {};

  std::string user = {};
  std::vector<std::string> env = {};  // "K=V"
  std::optional<std::vector<std::string>> entrypoint = {};
  std::optional<std::vector<std::string>> cmd = {};
  bool args_escaped = false;
  std::string working_dir = {};
  std::map<std::string, std::string> labels = {};
  std::vector<std::string> exposed_ports = {};  // "80/tcp", sorted, unique
  std::vector<std::string> volumes = {};        // sorted, unique
  std::string stop_signal = {};
  std::vector<std::string> shell = {};
  std::optional<Healthcheck> healthcheck = {};
  std::vector<std::string> onbuild = {};

  Json other_config = Json::object();  // unknown members of "config"
  Json other = Json::object();         // unknown members at the top

  // The value of an environment variable, or nullptr.
  const std::string* env_value(std::string_view name, std::string& storage) const;
};

Result<ImageConfig> parse_image_config(std::string_view raw);
// The bytes as BuildKit writes them: compact, keys sorted, Go's escapes. `builder.md` 3.9.
std::string write_image_config(const ImageConfig& config);

}  // namespace archway
