#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace archway {

struct IdRange {
  uint32_t inside = 0, outside = 0, count = 0;
  bool operator==(const IdRange&) const = default;
};

// /proc/PID/uid_map or gid_map.
std::vector<IdRange> parse_id_map(std::string_view text);
// The ranges of /etc/subuid or /etc/subgid that belong to a user, by name or by number. `inside` is not set.
std::vector<IdRange> subordinate_ranges(std::string_view text, std::string_view user_name, uint32_t uid);
inline constexpr size_t kMaxIdRanges = 300;  // the kernel takes 340 lines

// Are we outside of every user namespace, as far as ids tell?
bool in_initial_user_namespace();
// Maps each id of ours to itself, in two lines or more, so that runtimes see that they are in a user namespace (one line
// "0 0 4294967295" is how they tell that they are not).
std::string identity_map(const std::vector<IdRange>& ours);

// Makes the calling process, which has one thread and is root here, enter a new user namespace with the ids it has now.
Result<void> enter_identity_user_namespace();

}  // namespace archway
