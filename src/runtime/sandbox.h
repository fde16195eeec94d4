#pragma once

#include <optional>
#include <string>

#include "runtime/runtime.h"

// What the parent tells `archway internal-sandbox`, and what it hears back. Private to this room.
namespace archway {

enum class RuntimeKind { Crun, Runc };

struct OciRuntime {
  RuntimeKind kind = RuntimeKind::Crun;
  std::string program;  // absolute
};

// A binfmt_misc entry for the sandbox's own user namespace.
struct PrivateEmulator {
  std::string goarch;
  std::string interpreter;  // absolute path of a static qemu
};

struct SandboxSpec {
  RunSpec run;
  OciRuntime runtime;
  std::optional<PrivateEmulator> emulator = {};
  std::string private_dir;   // an empty folder: the sandbox's tmpfs goes here, in its own mount namespace
  std::string skeleton_dir;  // lowest layer: the mount points that an image may lack
  std::vector<std::string> tree_skeletons = {};  // the same for each of run.tree_mounts that has layers
  int parent_pid = 0;        // who must be alive
  bool has_terminal = false; // standard input is a terminal that the container is to have
};

std::string encode_sandbox_spec(const SandboxSpec& spec);
Result<SandboxSpec> decode_sandbox_spec(std::string_view text);

struct SandboxReport {
  std::optional<Error> error = {};
  int exit_code = 0;
};
std::string encode_sandbox_report(const SandboxReport& report);
Result<SandboxReport> decode_sandbox_report(std::string_view text);

// The descriptors it finds open besides 0, 1 and 2.
inline constexpr int kSandboxSpecFd = 3;
inline constexpr int kSandboxReportFd = 4;
inline constexpr int kSandboxFirstHeldFd = 5;   // as many as the specification says
inline constexpr size_t kMaxHeldFds = 256;
inline constexpr uint64_t kMaxSandboxSpecBytes = 16 << 20;
inline constexpr const char* kSandboxVerb = "internal-sandbox";

}  // namespace archway
