#include "runtime/user_namespace.h"

#include <fcntl.h>
#include <pwd.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <functional>
#include <optional>

#include "base/fd.h"
#include "base/process.h"
#include "base/text.h"
#include "runtime/runtime.h"

namespace archway {

namespace {

constexpr uint64_t kMaxIdFileBytes = 4 << 20;
constexpr uint64_t kAllIds = 4294967295;  // -1 is no id

std::vector<IdRange> own_map(const char* path) {
  auto text = read_file(path, kMaxIdFileBytes);
  return text.ok() ? parse_id_map(*text) : std::vector<IdRange>{};
}

Result<void> write_proc_file(const std::string& path, std::string_view text) {
  Fd fd = TRY(open_file(path, O_WRONLY));
  // The kernel wants a map in one write.
  if (::write(fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) return errno_error("writing " + path);
  return {};
}

// Runs `work` in a child that stays in the namespace we leave, once we have entered a new one; maps can only be written from there.
Result<void> unshare_user_with(const std::function<Result<void>(pid_t)>& work) {
  int go[2];
  if (::pipe2(go, O_CLOEXEC) != 0) return errno_error("creating a pipe");
  Fd go_read(go[0]), go_write(go[1]);
  pid_t self = ::getpid();
  pid_t child = ::fork();
  if (child < 0) return errno_error("forking");
  if (child == 0) {
    go_write.reset();
    char byte = 0;
    if (::read(go_read.get(), &byte, 1) != 1) ::_exit(1);
    ::_exit(work(self).ok() ? 0 : 1);
  }
  go_read.reset();
  int failed = ::unshare(CLONE_NEWUSER) == 0 ? 0 : errno;
  if (failed == 0) (void)write_all(go_write.get(), as_bytes("x")).ok();
  go_write.reset();
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (failed != 0) return errno_error("creating a user namespace", failed);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) return Error{Code::Unsupported, "the ids of a user namespace could not be mapped"};
  return {};
}

}  // namespace

std::vector<IdRange> parse_id_map(std::string_view text) {
  std::vector<IdRange> ranges;
  for (const std::string& line : split(text, '\n')) {
    std::vector<uint32_t> numbers;
    for (const std::string& word : split(line, ' ')) {
      if (word.empty()) continue;
      auto number = parse_uint(word);
      if (!number || *number > kAllIds) break;
      numbers.push_back(static_cast<uint32_t>(*number));
    }
    if (numbers.size() == 3) ranges.push_back({numbers[0], numbers[1], numbers[2]});
  }
  return ranges;
}

std::vector<IdRange> subordinate_ranges(std::string_view text, std::string_view user_name, uint32_t uid) {
  std::vector<IdRange> ranges;
  for (const std::string& line : split(text, '\n')) {
    std::vector<std::string> fields = split(trim(line), ':');
    if (fields.size() != 3 || (fields[0] != user_name && fields[0] != std::to_string(uid))) continue;
    auto start = parse_uint(fields[1]), count = parse_uint(fields[2]);
    if (!start || !count || *count == 0 || *start > kAllIds || *count > kAllIds - *start) continue;
    if (ranges.size() < kMaxIdRanges) ranges.push_back({0, static_cast<uint32_t>(*start), static_cast<uint32_t>(*count)});
  }
  return ranges;
}

bool in_initial_user_namespace() {
  auto map = own_map("/proc/self/uid_map");
  return map.size() == 1 && map[0] == IdRange{0, 0, static_cast<uint32_t>(kAllIds)};
}

bool single_id_namespace() {
  auto map = own_map("/proc/self/uid_map");
  return map.size() == 1 && map[0].count == 1;
}

std::string identity_map(const std::vector<IdRange>& ours) {
  std::string text;
  auto line = [&](uint64_t first, uint64_t count) { text += std::to_string(first) + " " + std::to_string(first) + " " + std::to_string(count) + "\n"; };
  bool split_first = ours.size() == 1 && ours[0].count > 1;
  for (const IdRange& range : ours) {
    if (!split_first) {
      line(range.inside, range.count);
      continue;
    }
    line(range.inside, 1);
    line(uint64_t{range.inside} + 1, range.count - 1);
  }
  return text;
}

Result<void> enter_identity_user_namespace() {
  std::string uids = identity_map(own_map("/proc/self/uid_map")), gids = identity_map(own_map("/proc/self/gid_map"));
  return unshare_user_with([&](pid_t pid) -> Result<void> {
    std::string folder = "/proc/" + std::to_string(pid);
    TRY(write_proc_file(folder + "/uid_map", uids));
    return write_proc_file(folder + "/gid_map", gids);
  });
}

namespace {

Error namespace_refused(Error error) {
  error.code = Code::Unsupported;
  std::string hint = "run archway as root, or allow user namespaces: sysctl user.max_user_namespaces=15000";
  if (path_exists("/proc/sys/kernel/unprivileged_userns_clone")) hint += " kernel.unprivileged_userns_clone=1";
  if (path_exists("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")) hint += " kernel.apparmor_restrict_unprivileged_userns=0";
  return std::move(error).with_hint(hint);
}

std::vector<std::string> map_arguments(const std::string& tool, pid_t pid, uint32_t own, const std::vector<IdRange>& ranges) {
  std::vector<std::string> words = {tool, std::to_string(pid), "0", std::to_string(own), "1"};
  uint64_t inside = 1;
  for (const IdRange& range : ranges) {
    for (uint64_t number : {inside, uint64_t{range.outside}, uint64_t{range.count}}) words.push_back(std::to_string(number));
    inside += range.count;
  }
  return words;
}

Result<void> run_map_tool(const std::vector<std::string>& words) {
  ProcessResult result = TRY(run_process(words));
  if (result.exit_code != 0) return Error{Code::Unsupported, words[0] + ": " + std::string(trim(result.err))};
  return {};
}

// Our uid becomes root; the subordinate ids follow from 1 on.
Result<void> map_with_tools(pid_t pid, uint32_t uid, uint32_t gid, const std::vector<IdRange>& uids, const std::vector<IdRange>& gids) {
  TRY(run_map_tool(map_arguments("newuidmap", pid, uid, uids)));
  return run_map_tool(map_arguments("newgidmap", pid, gid, gids));
}

// Without subordinate ids a process may map itself, and only itself, if it gives up setgroups.
Result<void> map_one_id(pid_t pid, uint32_t uid, uint32_t gid) {
  std::string folder = "/proc/" + std::to_string(pid);
  TRY(write_proc_file(folder + "/setgroups", "deny"));
  TRY(write_proc_file(folder + "/uid_map", "0 " + std::to_string(uid) + " 1"));
  return write_proc_file(folder + "/gid_map", "0 " + std::to_string(gid) + " 1");
}

std::string own_name(uint32_t uid) {
  const passwd* entry = ::getpwuid(uid);
  return entry ? entry->pw_name : "";
}

}  // namespace

Result<void> enter_user_namespace(int, char** argv) {
  if (::geteuid() == 0) return {};
  uint32_t uid = ::geteuid(), gid = ::getegid();
  std::string name = own_name(uid);
  auto ranges = [&](const char* path) {
    auto text = read_file(path, kMaxIdFileBytes);
    return text.ok() ? subordinate_ranges(*text, name, uid) : std::vector<IdRange>{};
  };
  std::vector<IdRange> uids = ranges("/etc/subuid"), gids = ranges("/etc/subgid");
  bool many = !uids.empty() && !gids.empty() && find_program("newuidmap") && find_program("newgidmap");
  auto entered = unshare_user_with([&](pid_t pid) -> Result<void> {
    if (many && map_with_tools(pid, uid, gid, uids, gids).ok()) return {};
    // Tools that refuse (ranges that overlap, no setuid bit) leave the map unwritten; one id still works.
    return map_one_id(pid, uid, gid);
  });
  if (!entered.ok()) return namespace_refused(std::move(entered).error());
  // Capabilities in the new namespace come with becoming its root, and last through exec as root's do.
  if (::setresgid(0, 0, 0) != 0 || ::setresuid(0, 0, 0) != 0) return errno_error("becoming root of a user namespace");
  ::execv("/proc/self/exe", argv);
  return errno_error("running this program again in a user namespace");
}

}  // namespace archway
