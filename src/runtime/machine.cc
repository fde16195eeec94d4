// What `archway doctor` looks at.
#include <netdb.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/process.h"
#include "base/text.h"
#include "runtime/emulator.h"
#include "runtime/runtime.h"
#include "runtime/user_namespace.h"

namespace archway {

namespace {

using State = Capability::State;

constexpr uint64_t kComfortableDiskBytes = 5'000'000'000;
constexpr uint64_t kMaxSystemFileBytes = 1 << 20;

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

Capability kernel() {
  utsname names = {};
  ::uname(&names);
  auto parts = split(names.release, '.');
  auto number = [&](size_t i) {
    if (i >= parts.size()) return 0;
    std::string digits = parts[i].substr(0, parts[i].find_first_not_of("0123456789"));
    return static_cast<int>(parse_uint(digits).value_or(0));
  };
  int version = number(0) * 1000 + number(1);
  Capability result{"kernel", State::Ok, std::string(names.sysname) + " " + names.release + " " + names.machine};
  if (version < 6007) {
    result.state = State::Limited;
    result.advice = "Linux 6.7 or newer lets a build bring its own emulators; before, register QEMU on the host";
  }
  if (version < 5011) {
    result.state = State::Missing;
    result.advice = "Linux 5.11 or newer is needed for overlayfs with user.* attributes";
  }
  return result;
}

Capability user_namespaces() {
  if (!in_initial_user_namespace()) return {"user namespaces", State::Ok, single_id_namespace() ? "in one, with one id" : "in one"};
  auto most = read_file("/proc/sys/user/max_user_namespaces", kMaxSystemFileBytes);
  if (!most.ok() || trim(*most) == "0") {
    return {"user namespaces", State::Limited, "not allowed", "sysctl user.max_user_namespaces=15000 (for private emulation, and for ordinary users)"};
  }
  return {"user namespaces", State::Ok, "allowed"};
}

Capability subordinate_ids() {
  std::string name = "subordinate ids";
  if (in_initial_user_namespace()) return {name, State::Ok, "not needed by root"};
  if (!single_id_namespace()) return {name, State::Ok, "mapped"};
  return {name, State::Limited, "none: every file of an image will be yours, and programs cannot change users",
          "apt install uidmap, and as root: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 USER"};
}

Capability network() {
  auto resolv = read_file("/etc/resolv.conf", kMaxSystemFileBytes);
  if (!resolv.ok() || resolv->find("nameserver") == std::string::npos) {
    return {"network", State::Limited, "the host's; no name server in /etc/resolv.conf", "name a server in /etc/resolv.conf if RUN steps are to reach the network"};
  }
  std::string servers;
  for (const std::string& line : split(*resolv, '\n')) {
    if (line.starts_with("nameserver")) servers += (servers.empty() ? "" : ", ") + std::string(trim(std::string_view(line).substr(10)));
  }
  return {"network", State::Ok, "the host's; DNS by " + servers};
}

Capability disk(const std::string& folder) {
  // The nearest folder that exists: the state folder may be yet to come.
  std::string place = folder;
  while (!path_exists(place) && place.find('/') != std::string::npos && place != "/") place = place.rfind('/') == 0 ? "/" : place.substr(0, place.rfind('/'));
  struct statvfs space = {};
  if (::statvfs(place.c_str(), &space) != 0) return {"disk", State::Missing, errno_error("looking at " + place).message};
  uint64_t free_bytes = uint64_t{space.f_bavail} * space.f_frsize;
  Capability result{"disk", State::Ok, human_bytes(free_bytes) + " free in " + folder};
  if (free_bytes < kComfortableDiskBytes) {
    result.state = State::Limited;
    result.advice = "archway cache prune, or set ARCHWAY_ROOT to a larger disk";
  }
  return result;
}

std::string runtime_versions() {
  std::string text;
  for (const char* name : {"crun", "runc"}) {
    auto version = run_process({name, "--version"});
    if (version.ok() && version->exit_code == 0) text += (text.empty() ? "" : ", ") + first_line(version->out);
  }
  return text;
}

Capability host_registrations() {
  std::string names, lacking;
  for (const MachineArchitecture& one : machine_architectures()) {
    std::string unusable;
    if (find_registration(one, "/proc/sys/fs/binfmt_misc", &unusable)) names += (names.empty() ? "" : ", ") + std::string(one.goarch);
    else if (!unusable.empty()) lacking += (lacking.empty() ? "" : ", ") + unusable;
  }
  if (!names.empty()) return {"binfmt (host)", State::Ok, names};
  if (!lacking.empty()) return {"binfmt (host)", State::Limited, lacking + ": without the flag F, of no use in containers", "apt install qemu-user-static"};
  return {"binfmt (host)", State::Ok, "nothing registered; private emulation needs nothing of the host"};
}

Capability emulation(Runtime& runtime, const MachineArchitecture& architecture) {
  std::string name = "run linux/" + std::string(architecture.goarch);
  auto how = runtime.check_architecture(std::string(architecture.goarch), "");
  if (how.ok()) return {name, State::Ok, *how};
  return {name, State::Missing, how.error().message, how.error().hint};
}

Capability private_binfmt(const std::vector<Capability>& all) {
  for (const Capability& one : all) {
    if (one.detail.ends_with("(private)")) return {"binfmt (private)", State::Ok, "works: emulators are registered for one container at a time"};
  }
  for (const MachineArchitecture& one : machine_architectures()) {
    if (one.goarch != host_goarch() && find_emulator(one)) {
      return {"binfmt (private)", State::Limited, "does not work here", "needs Linux 6.7 or newer with binfmt_misc (modprobe binfmt_misc) and user namespaces"};
    }
  }
  return {"binfmt (private)", State::Limited, "no emulator to try it with", "apt install qemu-user-static"};
}

}  // namespace

std::vector<Capability> probe_machine(const RuntimeOptions& options) {
  std::vector<Capability> all = {kernel(), user_namespaces(), subordinate_ids()};
  std::string versions = runtime_versions();
  auto runtime = Runtime::create(options);
  if (!runtime.ok()) {
    // The probe container is overlayfs, namespaces and runtime at once; the message says which of them it was.
    bool overlay = runtime.error().message.find("overlayfs") != std::string::npos;
    all.push_back({"OCI runtime", versions.empty() ? State::Missing : State::Limited, versions.empty() ? "neither crun nor runc" : versions,
                   versions.empty() ? "apt install crun" : ""});
    all.push_back({"overlayfs", overlay ? State::Missing : State::Limited, overlay ? "cannot be mounted" : "not tried", overlay ? runtime.error().hint : ""});
    all.push_back({"containers", State::Missing, runtime.error().message, runtime.error().hint});
  } else {
    all.push_back({"OCI runtime", State::Ok, (*runtime)->name() + " (installed: " + versions + ")"});
    all.push_back({"overlayfs", State::Ok, in_initial_user_namespace() ? "works" : "works in a user namespace"});
    std::vector<Capability> runs;
    for (const MachineArchitecture& one : machine_architectures()) runs.push_back(emulation(**runtime, one));
    all.push_back(private_binfmt(runs));
    all.push_back(host_registrations());
    all.insert(all.end(), runs.begin(), runs.end());
  }
  all.push_back(network());
  all.push_back(disk(options.state_dir));
  return all;
}

}  // namespace archway
