#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

// RUN --mount=type=cache,target=/root/.cache. BuildKit's instructions/commands_runmount.go.
namespace archway::dockerfile {

enum class MountType { Bind, Cache, Tmpfs, Secret, Ssh };
enum class CacheSharing { Shared, Private, Locked };

struct RunMount {
  MountType type = MountType::Bind;
  std::string from;                   // stage or image; bind and cache
  std::string source, target, id;
  bool read_only = true;              // by default for all but cache and tmpfs
  int64_t size_bytes = 0;             // tmpfs; 0: no limit
  std::optional<CacheSharing> sharing;
  bool required = false;              // secret and ssh
  std::optional<std::string> env;     // secret: the variable that gets it; "" stands for the default name
  std::optional<uint32_t> mode, uid, gid;
};

// How the value of a field is expanded, with the environment of the instruction. Not asked for `from`'s sake: check_run_mount refuses
// a variable there.
using ExpandField = std::function<Result<std::string>(const std::string& value)>;

// What can be known before variables are: that the fields can be told apart, and that `from` holds no variable.
Result<void> check_run_mount(std::string_view text);
Result<RunMount> parse_run_mount(std::string_view text, const ExpandField& expand);

// The fields of one line of CSV, quotes taken away.
Result<std::vector<std::string>> csv_fields(std::string_view line);

}  // namespace archway::dockerfile
