// The process between archway and the OCI runtime. Two of them, in fact:
//   keeper   enters the namespaces, and waits
//   init     process 1 of a pid namespace: mounts, writes the bundle, runs the runtime, reports
// Each dies with its parent; when init dies the kernel kills everything in its pid namespace, and with the last process the
// mount and user namespaces go, and all that was mounted and registered in them. So nothing is ever cleaned up by hand.
#include "runtime/sandbox.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/mount.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>

#include "base/fd.h"
#include "base/text.h"
#include "format/json.h"
#include "runtime/emulator.h"
#include "runtime/oci_config.h"
#include "runtime/root_mount.h"
#include "runtime/tree_mount.h"
#include "runtime/user_namespace.h"

namespace archway {

namespace {

constexpr uint64_t kMaxRuntimeLogBytes = 1 << 20;
constexpr uint64_t kMaxResolvConfBytes = 1 << 20;

Result<void> mount_at(const char* type, const std::string& target, unsigned long flags, const char* options = nullptr) {
  if (::mount(type, target.c_str(), type, flags, options) != 0) return errno_error("mounting " + std::string(type) + " on " + target);
  return {};
}

Result<void> write_text(const std::string& path, std::string_view text) {
  Fd fd = TRY(open_file(path, O_WRONLY | O_CREAT | O_EXCL, 0644));
  return write_all(fd.get(), as_bytes(text));
}

// What the runtimes need to see of the system, in our own mount namespace.
Result<void> prepare_system_mounts(bool in_user_namespace) {
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return errno_error("making mounts private");
  TRY(mount_at("proc", "/proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
          .context("preparing the container"));
  if (in_user_namespace) {
    // The container's /sys will be a bind of ours, with what is mounted below it: make all of it read-only first.
    mount_attr attributes = {};
    attributes.attr_set = MOUNT_ATTR_RDONLY;
    (void)::syscall(SYS_mount_setattr, AT_FDCWD, "/sys", AT_RECURSIVE, &attributes, sizeof attributes);
  }
  // A read-only cgroup2 over whatever is there. crun 1.8 refuses hybrid hierarchies, and both runtimes would make cgroups in all
  // of the v1 ones: slow, and left behind when killed. A RUN step has no limits to set; the pid namespace kills it.
  (void)mount_at("cgroup2", "/sys/fs/cgroup", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC).ok();
  return {};
}

struct Bundle {
  std::string folder;
  std::string rootfs() const { return folder + "/rootfs"; }
  std::string log() const { return folder + "/log"; }
  std::string state() const { return folder + "/state"; }
  std::string resolv_conf() const { return folder + "/resolv.conf"; }
  std::string hosts() const { return folder + "/hosts"; }
};

Result<Bundle> make_bundle(const SandboxSpec& spec) {
  TRY(mount_at("tmpfs", spec.private_dir, MS_NOSUID | MS_NODEV, "mode=0711,size=64m"));
  Bundle bundle{spec.private_dir};
  for (const std::string& path : {bundle.rootfs(), bundle.state(), bundle.folder + "/links"}) {
    if (::mkdir(path.c_str(), 0711) != 0) return errno_error("creating " + path);
  }
  auto resolv = read_file("/etc/resolv.conf", kMaxResolvConfBytes);
  TRY(write_text(bundle.resolv_conf(), resolv.ok() ? *resolv : ""));
  TRY(write_text(bundle.hosts(), "127.0.0.1\tlocalhost " + spec.run.hostname + "\n::1\tlocalhost ip6-localhost ip6-loopback\n"));
  return bundle;
}

std::vector<std::string> runtime_command(const OciRuntime& runtime, const Bundle& bundle) {
  std::vector<std::string> words = {runtime.program, "--root", bundle.state(), "--log-format", "json"};
  if (runtime.kind == RuntimeKind::Crun) {
    words.insert(words.end(), {"--log", "file:" + bundle.log(), "--cgroup-manager", "disabled"});
  } else {
    // "rootless" is about cgroups only: those that cannot be made (ours are read-only) are done without.
    words.insert(words.end(), {"--log", bundle.log(), "--rootless", "true"});
  }
  words.insert(words.end(), {"run", "--bundle", bundle.folder, "archway"});
  return words;
}

// The program's exit status as the runtime passes it on.
Result<int> run_runtime(const std::vector<std::string>& words, const Bundle& bundle) {
  std::vector<std::string> environment = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "XDG_RUNTIME_DIR=" + bundle.state()};
  auto pointers = [](const std::vector<std::string>& strings) {
    std::vector<char*> result;
    for (const std::string& one : strings) result.push_back(const_cast<char*>(one.c_str()));
    result.push_back(nullptr);
    return result;
  };
  pid_t pid = -1;
  int failed = ::posix_spawn(&pid, words[0].c_str(), nullptr, nullptr, pointers(words).data(), pointers(environment).data());
  if (failed != 0) return errno_error("running " + words[0], failed);
  // As process 1 we inherit what the runtime leaves, and reap it.
  for (;;) {
    int status = 0;
    pid_t ended = ::waitpid(-1, &status, 0);
    if (ended < 0 && errno != EINTR) return errno_error("waiting for " + words[0]);
    if (ended == pid) return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
}

// The last error in a runtime's log (JSON lines); nullopt where the runtime had none and the exit status is the program's.
std::optional<std::string> logged_error(const Bundle& bundle) {
  auto text = read_file(bundle.log(), kMaxRuntimeLogBytes);
  if (!text.ok()) return std::nullopt;
  std::optional<std::string> last;
  for (const std::string& line : split(*text, '\n')) {
    auto entry = parse_json(line);
    if (!entry.ok()) continue;
    const std::string& level = (*entry)["level"].string();
    if (level == "error" || level == "fatal" || level == "panic") last = (*entry)["msg"].string();
  }
  return last;
}

Error runtime_error(const SandboxSpec& spec, const std::string& message) {
  std::string lower = to_lower(message);
  auto says = [&](const char* words) { return lower.find(words) != std::string::npos; };
  Code code = Code::Io;
  if (says("exec") && (says("not found") || says("no such file"))) code = Code::NotFound;
  if (says("exec") && (says("permission denied") || says("format error") || says("is a directory") || says("operation not permitted"))) code = Code::Invalid;
  return Error{code, "starting " + spec.run.arguments[0] + ": " + message};
}

Result<int> run_contained(const SandboxSpec& spec) {
  bool in_user_namespace = !in_initial_user_namespace();
  TRY(prepare_system_mounts(in_user_namespace));
  Bundle bundle = TRY(make_bundle(spec));
  TRY(mount_root(spec.run.root, spec.skeleton_dir, bundle.folder + "/links", bundle.rootfs()));
  if (spec.emulator) {
    const MachineArchitecture* architecture = find_machine_architecture(spec.emulator->goarch);
    if (!architecture) return Error{Code::Unsupported, "no emulator is known for " + spec.emulator->goarch};
    TRY(register_privately(*architecture, spec.emulator->interpreter));
  }
  Fd root = TRY(open_file(bundle.rootfs(), O_PATH | O_DIRECTORY));
  auto user = resolve_user_in(root.get(), spec.run.user);
  if (!user.ok()) {
    // NotFound is kept for the program.
    Error error = std::move(user).error();
    error.code = Code::Unsupported;
    return error;
  }
  std::vector<Mount> made = TRY(mount_trees(spec, bundle.folder));
  TRY(mount_memory(spec.run, bundle.folder, made));
  TRY(write_memory_files(spec.run, bundle.folder, made));
  ExtraMountPoints extra = TRY(ExtraMountPoints::make(root.get(), needed_mount_points(spec.run)));
  OciConfigInput input{spec.run, std::move(*user), bundle.resolv_conf(), bundle.hosts(), std::move(made)};
  input.emulated = spec.emulator.has_value();
  input.terminal = spec.has_terminal;
  input.in_user_namespace = in_user_namespace;
  // In a user namespace runc binds devices by itself, and opening /dev/tty for that fails where we have bound one.
  input.bind_devices = !(in_user_namespace && spec.runtime.kind == RuntimeKind::Runc);
  input.one_gid = single_id_namespace();
  TRY(write_text(bundle.folder + "/config.json", to_json(oci_config(input))));
  int status = TRY(run_runtime(runtime_command(spec.runtime, bundle), bundle));
  extra.remove();
  forget_volatile(spec.run.root);
  if (status != 0) {
    if (auto problem = logged_error(bundle)) return runtime_error(spec, *problem);
  }
  return status;
}

void report(const Result<int>& outcome) {
  SandboxReport result;
  if (outcome.ok()) result.exit_code = *outcome;
  else result.error = outcome.error();
  (void)write_all(kSandboxReportFd, as_bytes(encode_sandbox_report(result))).ok();
}

// Forks init and waits for it. Returns only in the keeper.
Result<void> run_init(const SandboxSpec& spec) {
  int lifeline[2];
  if (::pipe2(lifeline, O_CLOEXEC) != 0) return errno_error("creating a pipe");
  pid_t init = ::fork();
  if (init < 0) return errno_error("forking the container's first process");
  if (init == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    // In a new pid namespace getppid() is 0 whether the parent lives or not; the pipe tells.
    ::close(lifeline[1]);
    pollfd hung_up = {lifeline[0], POLLIN, 0};
    if (::poll(&hung_up, 1, 0) != 0) ::_exit(1);
    report(run_contained(spec));
    ::_exit(0);
  }
  ::close(lifeline[0]);
  // The report ends when init ends, not when we do.
  ::close(kSandboxReportFd);
  int status = 0;
  while (::waitpid(init, &status, 0) < 0 && errno == EINTR) {
  }
  return {};
}

Result<SandboxSpec> read_spec() {
  ::lseek(kSandboxSpecFd, 0, SEEK_SET);
  FdSource source(Fd(kSandboxSpecFd), "the description of what to run");
  std::string text = TRY(read_all(source, kMaxSandboxSpecBytes, "the description of what to run"));
  return decode_sandbox_spec(text);
}

Result<void> keep(const SandboxSpec& spec) {
  // A change of credentials may clear the death signal: set it after each.
  auto die_with_parent = [&] {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != spec.parent_pid) ::_exit(1);
  };
  die_with_parent();
  ::umask(022);
  if (::chdir("/") != 0) return errno_error("entering /");
  if (spec.emulator) {
    // binfmt_misc registrations belong to a user namespace (Linux 6.7): this one is the container's alone.
    TRY(enter_identity_user_namespace());
    die_with_parent();
  }
  if (::unshare(CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWCGROUP) != 0) {
    return errno_error("creating mount and pid namespaces").with_hint("containers need root, or user namespaces; `archway doctor` tells more");
  }
  return run_init(spec);
}

}  // namespace

std::optional<int> sandbox_main(int argc, char** argv) {
  if (argc < 2 || std::string_view(argv[1]) != kSandboxVerb) return std::nullopt;
  if (::fcntl(kSandboxReportFd, F_SETFD, FD_CLOEXEC) != 0 || ::fcntl(kSandboxSpecFd, F_SETFD, FD_CLOEXEC) != 0) {
    constexpr std::string_view kText = "archway: internal-sandbox is started by archway itself\n";
    (void)write_all(2, as_bytes(kText)).ok();
    return 64;
  }
  (void)::syscall(SYS_close_range, kSandboxFirstHeldFd + static_cast<int>(kMaxHeldFds), ~0U, 0);
  (void)::syscall(SYS_close_range, kSandboxFirstHeldFd, ~0U, CLOSE_RANGE_CLOEXEC);
  auto spec = read_spec();
  // What we are to hold, we and our child hold by having it open; the runtime does not get it.
  if (spec.ok()) (void)::syscall(SYS_close_range, kSandboxFirstHeldFd + static_cast<int>(spec->run.held.size()), ~0U, 0);
  auto done = spec.ok() ? keep(*spec) : Result<void>(spec.error());
  if (!done.ok()) report(done.error());
  // Not by way of exit(): a leak checker would want to fork, which a process whose pid namespace is gone cannot.
  ::_exit(0);
}

}  // namespace archway
