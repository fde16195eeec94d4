#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "base/text.h"
#include "runtime/user.h"
#include "runtime/user_namespace.h"

// What an image says about users, and the system about ids: a line with the user, then the text of a file (/etc/passwd and
// /etc/group at once, /etc/subuid, /proc/self/uid_map).
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto [user, file] = archway::cut(std::string_view(reinterpret_cast<const char*>(data), size), '\n');
  std::string_view text = file.value_or("");
  if (auto found = archway::resolve_user(user, text, text); found.ok()) {
    CHECK(found->uid != UINT32_MAX && found->gid != UINT32_MAX);  // "no id" to the kernel
    CHECK(!found->home.empty());
    for (uint32_t group : found->groups) CHECK(group != UINT32_MAX);
  }
  for (const archway::IdRange& range : archway::subordinate_ranges(text, user, 1000)) {
    CHECK(range.count > 0 && uint64_t{range.outside} + range.count <= UINT32_MAX);
  }
  // An identity map of what was read covers the same ids.
  auto map = archway::parse_id_map(text);
  uint64_t ids = 0, mapped = 0;
  for (const archway::IdRange& range : map) ids += range.count;
  for (const archway::IdRange& range : archway::parse_id_map(archway::identity_map(map))) mapped += range.count;
  CHECK(ids >= mapped);
  return 0;
}
