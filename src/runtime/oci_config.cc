#include "runtime/oci_config.h"

#include <algorithm>

#include "runtime/seccomp.h"

namespace archway {

namespace {

using Strings = std::vector<std::string>;

const Strings kCapabilities = {"CAP_CHOWN",  "CAP_DAC_OVERRIDE", "CAP_FSETID",  "CAP_FOWNER",           "CAP_MKNOD",      "CAP_NET_RAW", "CAP_SETGID",
                               "CAP_SETUID", "CAP_SETFCAP",      "CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_KILL",    "CAP_AUDIT_WRITE"};
const Strings kMaskedPaths = {"/proc/asound",     "/proc/acpi",        "/proc/interrupts",  "/proc/kcore", "/proc/keys",    "/proc/latency_stats",
                              "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi",  "/sys/firmware", "/sys/devices/virtual/powercap"};
const Strings kReadOnlyPaths = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"};

Json mount(std::string target, std::string type, std::string source, Strings options) {
  return Json::object({{"destination", std::move(target)}, {"type", std::move(type)}, {"source", std::move(source)}, {"options", Json(options)}});
}

Json mounts(const OciConfigInput& input) {
  Json all = Json::array();
  all.push(mount("/proc", "proc", "proc", {"nosuid", "noexec", "nodev"}));
  all.push(mount("/dev", "tmpfs", "tmpfs", {"nosuid", "nodev", "strictatime", "mode=755", "size=65536k"}));
  Strings pts = {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"};
  if (!input.one_gid) pts.push_back("gid=5");  // tty
  all.push(mount("/dev/pts", "devpts", "devpts", pts));
  all.push(mount("/dev/shm", "tmpfs", "shm", {"nosuid", "noexec", "nodev", "mode=1777", "size=65536k"}));
  all.push(mount("/dev/mqueue", "mqueue", "mqueue", {"nosuid", "noexec", "nodev"}));
  // Bound, not made: on the nodev tmpfs a made one could not be opened. The runtimes leave alone what is there.
  for (const char* device : {"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty"}) {
    if (input.bind_devices) all.push(mount(device, "bind", device, {"bind", "nosuid", "noexec"}));
  }
  if (input.in_user_namespace) {
    // A new sysfs wants a network namespace of ours. The sandbox has made the whole tree read-only.
    all.push(mount("/sys", "none", "/sys", {"rbind", "nosuid", "noexec", "nodev", "ro"}));
  } else {
    all.push(mount("/sys", "sysfs", "sysfs", {"nosuid", "noexec", "nodev", "ro"}));
  }
  // Read-only as BuildKit has them: a program that writes there learns that it will not last.
  for (auto [target, source] : {std::pair{"/etc/resolv.conf", &input.resolv_conf}, std::pair{"/etc/hosts", &input.hosts}}) {
    all.push(mount(target, "bind", *source, {"bind", "nosuid", "noexec", "nodev", "ro"}));
  }
  // In the order of their targets, which puts parents first.
  std::vector<Mount> wanted = input.run.mounts;
  wanted.insert(wanted.end(), input.made_mounts.begin(), input.made_mounts.end());
  std::stable_sort(wanted.begin(), wanted.end(), [](const Mount& a, const Mount& b) { return a.target < b.target; });
  for (const Mount& one : wanted) {
    Strings options = one.options;
    options.push_back("nodev");
    all.push(mount(one.target, one.type, one.source, options));
  }
  return all;
}

Json namespaces(const OciConfigInput& input) {
  Json all = Json::array();
  for (const char* type : {"pid", "ipc", "uts", "mount"}) all.push(Json::object({{"type", type}}));
  if (input.run.network == NetworkMode::None) all.push(Json::object({{"type", "network"}}));
  return all;
}

Strings environment(const OciConfigInput& input) {
  Strings result = input.run.environment;
  auto add_default = [&](const std::string& name, const std::string& value) {
    for (const std::string& one : result) {
      if (one.starts_with(name + "=")) return;
    }
    result.push_back(name + "=" + value);
  };
  add_default("HOME", input.user.home);
  if (input.terminal) add_default("TERM", "xterm");
  return result;
}

Json process(const OciConfigInput& input) {
  Json user = Json::object({{"uid", input.user.uid}, {"gid", input.user.gid}});
  if (!input.one_gid && !input.user.groups.empty()) {
    Json groups = Json::array();
    for (uint32_t group : input.user.groups) groups.push(group);
    user.set("additionalGids", std::move(groups));
  }
  Json capabilities = Json::object();
  for (const char* set : {"bounding", "effective", "permitted"}) capabilities.set(set, Json(kCapabilities));
  return Json::object({{"terminal", input.terminal},
                       {"user", std::move(user)},
                       {"args", Json(input.run.arguments)},
                       {"env", Json(environment(input))},
                       {"cwd", input.run.working_directory.empty() ? "/" : input.run.working_directory},
                       {"capabilities", std::move(capabilities)},
                       {"noNewPrivileges", false}});
}

}  // namespace

Json oci_config(const OciConfigInput& input) {
  Json linux_section = Json::object({{"namespaces", namespaces(input)},
                                     {"seccomp", default_seccomp(input.emulated)},
                                     {"maskedPaths", Json(kMaskedPaths)},
                                     {"readonlyPaths", Json(kReadOnlyPaths)}});
  return Json::object({{"ociVersion", "1.0.2"},
                       {"process", process(input)},
                       {"root", Json::object({{"path", "rootfs"}, {"readonly", input.run.read_only_root}})},
                       {"hostname", input.run.hostname},
                       {"mounts", mounts(input)},
                       {"linux", std::move(linux_section)}});
}

}  // namespace archway
