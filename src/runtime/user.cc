#include "runtime/user.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>

#include "base/fd.h"
#include "base/text.h"

namespace archway {

namespace {

// Calls `visit` with the colon-separated fields of each line, until it says true.
template <class Visit>
bool any_record(std::string_view text, size_t least_fields, Visit visit) {
  while (!text.empty()) {
    size_t end = text.find('\n');
    std::string_view line = trim(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (line.empty() || line[0] == '#') continue;
    std::vector<std::string> fields = split(line, ':');
    if (fields.size() >= least_fields && visit(fields)) return true;
  }
  return false;
}

std::optional<uint32_t> parse_id(std::string_view text) {
  auto number = parse_uint(text);
  // -1 means "no id" to the kernel.
  if (!number || *number >= UINT32_MAX) return std::nullopt;
  return static_cast<uint32_t>(*number);
}

Result<std::string> account_file(int root_fd, const std::string& path) {
  auto fd = open_in_root(root_fd, path, O_RDONLY | O_NONBLOCK);
  if (!fd.ok()) {
    // An image without accounts (scratch) knows numbers only.
    if (fd.error().code == Code::NotFound) return std::string();
    return std::move(fd).error();
  }
  struct stat st = {};
  if (::fstat(fd->get(), &st) != 0 || !S_ISREG(st.st_mode)) return Error{Code::Invalid, path + " in the image is no regular file"};
  FdSource source(std::move(*fd), path);
  return read_all(source, kMaxAccountFileBytes, path + " in the image");
}

}  // namespace

Result<ContainerUser> resolve_user(std::string_view user, std::string_view passwd, std::string_view group) {
  auto [user_part, group_part] = cut(user, ':');
  if (user_part.empty()) user_part = "0";
  ContainerUser result;
  std::string name;  // of the user, where passwd has one
  auto number = parse_id(user_part);
  auto take = [&](const std::vector<std::string>& fields) {
    auto uid = parse_id(fields[2]), gid = parse_id(fields[3]);
    if (!uid || !gid) return false;
    name = fields[0];
    result.uid = *uid;
    result.gid = *gid;
    if (fields.size() > 5 && !fields[5].empty()) result.home = fields[5];
    return true;
  };
  // A name that is all digits is still a name first, as in BuildKit and runc.
  bool found = any_record(passwd, 4, [&](const auto& fields) { return fields[0] == user_part && take(fields); });
  if (!found && number) found = any_record(passwd, 4, [&](const auto& fields) { return parse_id(fields[2]) == number && take(fields); });
  if (!found) {
    if (!number) return Error{Code::NotFound, "no user " + std::string(user_part) + " in the image's /etc/passwd", "create the user first, or use a number"};
    result.uid = *number;
  }
  if (group_part && !group_part->empty()) {
    auto group_number = parse_id(*group_part);
    bool have = any_record(group, 3, [&](const auto& fields) {
      auto gid = parse_id(fields[2]);
      if (!gid || fields[0] != *group_part) return false;
      result.gid = *gid;
      return true;
    });
    if (!have && !group_number) return Error{Code::NotFound, "no group " + std::string(*group_part) + " in the image's /etc/group", "create the group first, or use a number"};
    if (!have) result.gid = *group_number;
    return result;  // with an explicit group there are no others
  }
  if (!name.empty()) {
    any_record(group, 4, [&](const auto& fields) {
      auto gid = parse_id(fields[2]);
      std::vector<std::string> members = split(fields[3], ',');
      if (gid && *gid != result.gid && std::find(members.begin(), members.end(), name) != members.end()) result.groups.push_back(*gid);
      return false;
    });
  }
  std::sort(result.groups.begin(), result.groups.end());
  result.groups.erase(std::unique(result.groups.begin(), result.groups.end()), result.groups.end());
  return result;
}

Result<ContainerUser> resolve_user_in(int root_fd, std::string_view user) {
  std::string passwd = TRY(account_file(root_fd, "/etc/passwd"));
  std::string group = TRY(account_file(root_fd, "/etc/group"));
  return resolve_user(user, passwd, group);
}

}  // namespace archway
