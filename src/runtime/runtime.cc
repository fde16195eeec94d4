#include "runtime/runtime.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

#include "base/fd.h"
#include "base/process.h"
#include "base/sync.h"
#include "base/text.h"
#include "runtime/container.h"
#include "runtime/emulator.h"
#include "runtime/probe_memory.h"
#include "runtime/root_mount.h"

namespace archway {

namespace {

constexpr const char* kProbeName = "/archway-probe";

// How an architecture runs here.
struct Plan {
  std::string how;  // "native", "qemu-aarch64 (private)", "qemu-aarch64 (host)"
  std::optional<PrivateEmulator> emulator = {};
};

class OciContainerRuntime final : public Runtime {
 public:
  OciContainerRuntime(RuntimeOptions options, std::string state_dir)
      : options_(std::move(options)), state_dir_(std::move(state_dir)), memory_(state_dir_ + "/probes.json") {}

  Result<void> prepare();
  std::string name() const override { return std::string(runtime_.kind == RuntimeKind::Crun ? "crun (" : "runc (") + runtime_.program + ")"; }
  Result<std::string> check_architecture(const std::string& architecture, const std::string& variant) override {
    return TRY(plan(architecture, variant)).how;
  }
  Result<RunResult> run(const RunSpec& spec, const RunOutput& output, std::stop_token stop) override;

 private:
  Result<OciRuntime> choose_runtime();
  Result<void> probe(const OciRuntime& runtime, const MachineArchitecture& architecture, const std::optional<PrivateEmulator>& emulator);
  Result<Plan> plan(const std::string& architecture, const std::string& variant);
  Result<Plan> make_plan(const MachineArchitecture& architecture);
  Result<void> remembered_probe(const MachineArchitecture& architecture, const std::string& how, const std::optional<PrivateEmulator>& emulator);
  bool runs_natively(const MachineArchitecture& architecture);
  Result<RunResult> start(const OciRuntime& runtime, const std::optional<PrivateEmulator>& emulator, const RunSpec& spec, const RunOutput& output, std::stop_token stop);

  RuntimeOptions options_;
  std::string state_dir_;
  ProbeMemory memory_;
  OciRuntime runtime_;
  Sync<std::map<std::string, Plan>> plans_;
};

Result<RuntimeKind> kind_of(const std::string& program) {
  ProcessResult version = TRY(run_process({program, "--version"}));
  if (version.exit_code != 0) return Error{Code::Unsupported, program + " --version failed: " + std::string(trim(version.err))};
  return version.out.starts_with("crun") ? RuntimeKind::Crun : RuntimeKind::Runc;
}

Error no_runtime(const std::string& tried) {
  std::string message = tried.empty() ? "no OCI runtime found (crun or runc)" : "no OCI runtime works here: " + tried;
  return Error{Code::Unsupported, message, tried.empty() ? "apt install crun (or runc)" : "`archway doctor` tells what this machine lacks"};
}

}  // namespace

Result<std::unique_ptr<Runtime>> Runtime::create(RuntimeOptions options) {
  if (options.state_dir.empty()) return Error{Code::Invalid, "the container runtime needs a state folder"};
  TRY(make_directories(options.state_dir, 0700));
  std::unique_ptr<char, void (*)(void*)> real(::realpath(options.state_dir.c_str(), nullptr), std::free);
  if (!real) return errno_error("resolving " + options.state_dir);
  auto runtime = std::make_unique<OciContainerRuntime>(std::move(options), std::string(real.get()));
  TRY(runtime->prepare());
  return std::unique_ptr<Runtime>(std::move(runtime));
}

namespace {

Result<void> OciContainerRuntime::prepare() {
  TRY(make_directories(state_dir_ + "/private", 0700));
  TRY(make_directories(state_dir_ + "/skeletons", 0755));
  runtime_ = TRY(choose_runtime());
  return {};
}

// By trying: whether a runtime works depends on its version, the kernel, the cgroups and who we are. crun comes first since it
// starts a container in a third of runc's time; but not with a terminal, of which crun (1.8.1: 1 time in 8) forgets what was written last.
Result<OciRuntime> OciContainerRuntime::choose_runtime() {
  std::vector<std::string> candidates, names = {"crun", "runc"};
  if (options_.terminal) std::swap(names[0], names[1]);
  if (!options_.runtime.empty()) names = {options_.runtime};
  for (const std::string& name : names) {
    if (auto found = find_program(name)) candidates.push_back(*found);
  }
  if (candidates.empty() && !options_.runtime.empty()) return Error{Code::NotFound, "OCI runtime " + options_.runtime + " not found", "install it, or leave --runtime out"};
  if (candidates.empty()) return no_runtime("");
  std::string key = "runtime; " + machine_stamp();
  for (const std::string& candidate : candidates) key += "; " + program_stamp(candidate);
  if (auto known = memory_.get(key)) {
    auto [kind, program] = cut(*known, ' ');
    if (program && (kind == "crun" || kind == "runc")) return OciRuntime{kind == "crun" ? RuntimeKind::Crun : RuntimeKind::Runc, std::string(*program)};
  }
  const MachineArchitecture* native = find_machine_architecture(host_goarch());
  if (!native) return Error{Code::Unsupported, "archway does not know this processor: " + host_goarch()};
  std::string tried;
  for (const std::string& candidate : candidates) {
    auto kind = kind_of(candidate);
    Result<void> works = kind.ok() ? probe({*kind, candidate}, *native, std::nullopt) : Result<void>(kind.error());
    if (works.ok()) {
      memory_.put(key, std::string(*kind == RuntimeKind::Crun ? "crun " : "runc ") + candidate);
      return OciRuntime{*kind, candidate};
    }
    tried += (tried.empty() ? "" : "; ") + candidate + ": " + works.error().message;
  }
  return no_runtime(tried);
}

// Runs the smallest program of that architecture in a container.
Result<void> OciContainerRuntime::probe(const OciRuntime& runtime, const MachineArchitecture& architecture, const std::optional<PrivateEmulator>& emulator) {
  TempDir root = TRY(TempDir::create(state_dir_, "probe-"));
  TRY(make_directories(root / "lower"));
  TRY(make_directories(root / "upper"));
  TRY(make_directories(root / "work"));
  TRY(write_file_atomic((root / "lower") + kProbeName, probe_program(architecture), 0755));
  RunSpec spec;
  spec.root = {{root / "lower"}, root / "upper", root / "work"};
  spec.arguments = {kProbeName};
  std::string said;
  RunOutput output{{}, [&](std::string_view text) { said += text.substr(0, 500); }};
  RunResult result = TRY(start(runtime, emulator, spec, output, {}));
  if (result.exit_code == kProbeExitCode) return {};
  return Error{Code::Unsupported, "a test program for " + std::string(architecture.goarch) + " ended with status " + std::to_string(result.exit_code) +
                                      (said.empty() ? "" : ": " + std::string(trim(said)))};
}

Result<void> OciContainerRuntime::remembered_probe(const MachineArchitecture& architecture, const std::string& how, const std::optional<PrivateEmulator>& emulator) {
  std::string key = "emulation; " + how + "; " + machine_stamp() + "; " + program_stamp(runtime_.program);
  if (emulator) key += "; " + program_stamp(emulator->interpreter);
  // What the host has registered may go at any time; only what is ours is remembered.
  if (emulator && memory_.get(key)) return {};
  TRY(probe(runtime_, architecture, emulator));
  if (emulator) memory_.put(key, "works");
  return {};
}

bool OciContainerRuntime::runs_natively(const MachineArchitecture& architecture) {
  std::string host = host_goarch();
  if (architecture.goarch == host) return true;
  // 64-bit processors that run their 32-bit programs, where kernel and processor still can.
  bool sibling = (host == "amd64" && architecture.goarch == "386") || (host == "arm64" && architecture.goarch == "arm");
  if (!sibling) return false;
  auto folder = TempDir::create(state_dir_, "probe-");
  if (!folder.ok()) return false;
  std::string program = *folder / "program";
  if (!write_file_atomic(program, probe_program(architecture), 0755).ok()) return false;
  auto result = run_process({program});
  return result.ok() && result->exit_code == kProbeExitCode;
}

Result<Plan> OciContainerRuntime::make_plan(const MachineArchitecture& architecture) {
  std::string goarch(architecture.goarch), qemu = "qemu-" + std::string(architecture.qemu);
  if (runs_natively(architecture)) return Plan{"native"};
  Error refused{Code::Unsupported, "linux/" + goarch + " programs cannot run on this linux/" + host_goarch() + " machine"};
  if (options_.emulation == Emulation::None) return std::move(refused).with_hint("--emulation=none forbids emulators; leave it out, or build on a linux/" + goarch + " machine");
  std::string why;
  if (options_.emulation != Emulation::Host) {
    if (auto interpreter = find_emulator(architecture)) {
      Plan plan{qemu + " (private)", PrivateEmulator{goarch, *interpreter}};
      auto works = remembered_probe(architecture, plan.how, plan.emulator);
      if (works.ok()) return plan;
      why = ": " + works.error().message;
      refused.hint = works.error().hint;
    } else {
      why = ": " + qemu + "-static is not installed";
      refused.hint = "apt install qemu-user-static";
    }
  }
  if (options_.emulation != Emulation::Private) {
    std::string unusable;
    if (auto name = find_registration(architecture, "/proc/sys/fs/binfmt_misc", &unusable)) {
      auto works = remembered_probe(architecture, qemu + " (host)", std::nullopt);
      if (works.ok()) return Plan{qemu + " (host)"};
      why += (why.empty() ? ": " : "; ") + ("the host's binfmt_misc entry " + *name + ": ") + works.error().message;
    } else {
      why += (why.empty() ? ": " : "; ") + (unusable.empty() ? "the host's binfmt_misc has no entry for it" : "the host's binfmt_misc entry " + unusable + " lacks the flag F");
    }
  }
  refused.message += why;
  return std::move(refused).with_hint("apt install qemu-user-static binfmt-support");
}

#if defined(__x86_64__)
// Microarchitecture levels of amd64; QEMU's user mode emulates v3 and most of v4, natively the processor decides.
bool processor_has_level(const std::string& variant) {
  __builtin_cpu_init();
  if (variant == "v2") return __builtin_cpu_supports("x86-64-v2");
  if (variant == "v3") return __builtin_cpu_supports("x86-64-v3");
  if (variant == "v4") return __builtin_cpu_supports("x86-64-v4");
  return true;
}
#else
bool processor_has_level(const std::string&) { return true; }
#endif

Result<Plan> OciContainerRuntime::plan(const std::string& architecture, const std::string& variant) {
  const MachineArchitecture* known = find_machine_architecture(architecture.empty() ? host_goarch() : architecture);
  if (!known) return Error{Code::Unsupported, "linux/" + architecture + ": archway knows no emulator for this architecture"};
  if (known->goarch == "amd64" && host_goarch() == "amd64" && !processor_has_level(variant)) {
    return Error{Code::Unsupported, "this processor does not have what linux/amd64/" + variant + " programs need", "build on a newer machine, or for linux/amd64"};
  }
  std::string key(known->goarch);
  // Under the lock: of several RUN steps at once, one asks and the others wait for its answer.
  auto plans = plans_.lock();
  if (auto found = plans->find(key); found != plans->end()) return found->second;
  Plan made = TRY(make_plan(*known));
  plans->emplace(key, made);
  return made;
}

Result<void> check_spec(const RunSpec& spec) {
  if (spec.arguments.empty() || spec.arguments[0].empty()) return Error{Code::Invalid, "no program to run in the container"};
  if (spec.root.lower_dirs.empty()) return Error{Code::Invalid, "a container needs at least one layer"};
  if (spec.root.upper_dir.empty() != spec.root.work_dir.empty()) return Error{Code::Internal, "an upper dir needs a work dir"};
  if (!spec.working_directory.starts_with("/")) return Error{Code::Invalid, "the working directory " + spec.working_directory + " is not absolute"};
  for (const auto* list : {&spec.arguments, &spec.environment}) {
    for (const std::string& one : *list) {
      if (one.find('\0') != std::string::npos) return Error{Code::Invalid, "an argument or environment variable has a NUL byte in it"};
    }
  }
  auto check_target = [](const std::string& target) -> Result<void> {
    if (!target.starts_with("/") || target == "/") return Error{Code::Invalid, "a mount needs an absolute target below /, not " + target};
    return {};
  };
  for (const Mount& mount : spec.mounts) TRY(check_target(mount.target));
  for (const TreeMount& mount : spec.tree_mounts) TRY(check_target(mount.target));
  for (const TmpfsMount& mount : spec.tmpfs_mounts) TRY(check_target(mount.target));
  for (const MemoryFile& file : spec.memory_files) TRY(check_target(file.target));
  if (spec.held.size() > kMaxHeldFds) return Error{Code::Unsupported, "a program cannot hold more than " + std::to_string(kMaxHeldFds) + " locks"};
  return {};
}

Result<RunResult> OciContainerRuntime::start(const OciRuntime& runtime, const std::optional<PrivateEmulator>& emulator, const RunSpec& spec,
                                             const RunOutput& output, std::stop_token stop) {
  SandboxSpec sandbox;
  sandbox.run = spec;
  sandbox.runtime = runtime;
  sandbox.emulator = emulator;
  sandbox.private_dir = state_dir_ + "/private";
  const std::vector<MountPoint> points = needed_mount_points(spec);
  sandbox.skeleton_dir = TRY(make_skeleton(state_dir_, points));
  for (const TreeMount& mount : spec.tree_mounts) {
    std::string skeleton = TRY(make_skeleton(state_dir_, inner_mount_points(mount, points)));
    sandbox.tree_skeletons.push_back(std::move(skeleton));
  }
  sandbox.has_terminal = spec.terminal && ::isatty(0);
  return run_sandbox(std::move(sandbox), output, stop);
}

Result<RunResult> OciContainerRuntime::run(const RunSpec& spec, const RunOutput& output, std::stop_token stop) {
  TRY(check_spec(spec));
  Plan how = TRY(plan(spec.architecture, spec.variant));
  RunSpec complete = spec;
  // Relative layer paths would be read from another folder.
  auto absolute = [](std::string& path) -> Result<void> {
    if (path.empty() || path[0] == '/') return {};
    std::unique_ptr<char, void (*)(void*)> real(::realpath(path.c_str(), nullptr), std::free);
    if (!real) return errno_error("resolving " + path);
    path = real.get();
    return {};
  };
  auto all_absolute = [&](RootFilesystem& root) -> Result<void> {
    for (std::string& layer : root.lower_dirs) TRY(absolute(layer));
    TRY(absolute(root.upper_dir));
    return absolute(root.work_dir);
  };
  TRY(all_absolute(complete.root));
  for (TreeMount& mount : complete.tree_mounts) {
    TRY(all_absolute(mount.layers));
    TRY(absolute(mount.folder));
  }
  return start(runtime_, how.emulator, complete, output, stop);
}

}  // namespace

}  // namespace archway
