#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace archway {

// USER, looked up in an image's /etc/passwd and /etc/group (builder.md 3.5).
struct ContainerUser {
  uint32_t uid = 0;
  uint32_t gid = 0;
  std::vector<uint32_t> groups = {};  // supplementary, sorted, without gid
  std::string home = "/";             // passwd's, "/" where the user is in none
  bool operator==(const ContainerUser&) const = default;
};
inline constexpr uint64_t kMaxAccountFileBytes = 10 << 20;

// Pure part: `passwd` and `group` are the files' texts. "", "name", "uid", "name:group", "uid:gid" and mixtures. A name that is
// not there is NotFound; a number need not be.
Result<ContainerUser> resolve_user(std::string_view user, std::string_view passwd, std::string_view group);
// Reads both files with `root_fd` as the root, so that no symlink in the image leads out.
Result<ContainerUser> resolve_user_in(int root_fd, std::string_view user);

}  // namespace archway
