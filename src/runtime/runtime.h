#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/result.h"
#include "snapshot/mount.h"

// Running a program in a container, by an OCI runtime (runc or crun, whichever works on this machine).
namespace archway {

enum class Emulation { Auto, Private, Host, None };  // --emulation; Auto: native, else private, else host
enum class NetworkMode { Host, None };

struct RootFilesystem {
  std::vector<std::string> lower_dirs;  // topmost first; at least one. Whiteouts as overlayfs has them (user.overlay.* xattrs)
  std::string upper_dir;                // changes end up here
  std::string work_dir;                 // on the same file system as upper_dir, empty
};

// What lies at `source` in a stack of layers or in a folder. It is found in the container's own mount namespace, with that tree as its
// root: whatever symlinks lie on the way, and whoever changes them meanwhile, nothing outside is ever mounted.
struct TreeMount {
  RootFilesystem layers = {};     // without upper dir nothing can be written
  std::string folder = {};        // in place of layers: a folder as it is
  std::string source = {};        // relative; "" is the tree's root. Of layers in which something else is to be mounted, free of symlinks
  std::string target;             // absolute
  bool read_only = true;
  bool source_is_folder = true;   // else it is a file, or a socket
};

// Memory, which goes with the container. Mounted by us: runtimes differ in the mode they give it.
struct TmpfsMount {
  std::string target;
  uint32_t mode = 01777;
  uint64_t size_bytes = 0;  // 0: half of the machine's memory
  bool read_only = false;
};

// A file whose bytes are on no disk: they go to the container's process in memory, and lie on a tmpfs there.
struct MemoryFile {
  std::string target;
  std::string content;
  uint32_t mode = 0400, uid = 0, gid = 0;
};

struct RunSpec {
  RootFilesystem root;
  std::vector<std::string> arguments;
  std::vector<std::string> environment;   // "K=V"
  std::string working_directory = "/";
  std::string user = {};                  // as in USER: "", "name", "1000", "name:group", "1000:1000"
  std::string hostname = "archway";
  NetworkMode network = NetworkMode::Host;
  // Besides /proc, /dev, /sys, /tmp-less defaults, resolv.conf, hosts. All kinds together are mounted in the order of their targets.
  std::vector<Mount> mounts = {};
  std::vector<TreeMount> tree_mounts = {};
  std::vector<TmpfsMount> tmpfs_mounts = {};
  std::vector<MemoryFile> memory_files = {};
  // Descriptors (borrowed) that stay open until the last process of the container is gone, even where we are killed: those of locks.
  std::vector<int> held = {};
  // GOARCH[/variant] of the image; where it is not what this processor runs, an emulator is needed.
  std::string architecture;
  std::string variant = {};
  bool privileged_defaults = false;       // reserved for --security=insecure; Docker's default capabilities and seccomp otherwise
  bool terminal = false;                  // attach our own terminal and standard input (archway run -it)
  bool read_only_root = false;
};

struct RunOutput {
  std::function<void(std::string_view)> out;  // called from one thread, as it comes
  std::function<void(std::string_view)> err;
};

struct RunResult {
  int exit_code = 0;          // the program's; 128 + signal
};

// What this machine can do, and what to do about the rest: `archway doctor`.
struct Capability {
  enum class State { Ok, Limited, Missing };
  std::string name;     // "OCI runtime", "overlayfs", "user namespaces", "emulation linux/arm64", ...
  State state;
  std::string detail;   // "runc 1.1.5"
  std::string advice = {};
};

struct RuntimeOptions {
  Emulation emulation = Emulation::Auto;
  std::string runtime = {};      // --runtime: a program; empty: the one that works here
  std::string state_dir;         // for bundles; private to us
  bool terminal = false;         // programs will have our terminal: runc is tried first
};

// Thread safe; several containers may run at once. Each runs in a fresh process of this same program
// (`archway internal-sandbox`), in mount (and, where needed, user) namespaces of its own, so that whatever happens to us
// nothing stays mounted, registered or running.
class Runtime {
 public:
  static Result<std::unique_ptr<Runtime>> create(RuntimeOptions options);
  virtual ~Runtime() = default;
  // The OCI runtime that works here: "crun (/usr/bin/crun)".
  virtual std::string name() const = 0;
  // Before any RUN: can images of this architecture run here, and how ("native", "qemu-aarch64 (private)", ...)? Unsupported, with what to install.
  virtual Result<std::string> check_architecture(const std::string& architecture, const std::string& variant) = 0;
  // Errors are ours or the runtime's; a program's failure is an exit code. Of those a caller may care about: NotFound, the program
  // is not in the image; Invalid, the program is there but cannot be executed; Cancelled; Unsupported, as check_architecture.
  // upper_dir and work_dir empty: the root is read-only. On success the upper dir holds what the program changed and nothing of ours,
  // but is not synced to disk (the mount is volatile): sync before relying on it past a power cut.
  virtual Result<RunResult> run(const RunSpec& spec, const RunOutput& output, std::stop_token stop) = 0;
};

std::vector<Capability> probe_machine(const RuntimeOptions& options);

// Must be called first thing in main(), before any thread: where archway is an ordinary user's, it re-executes this program
// inside a user namespace with the user's subordinate ids (newuidmap) or, without them, one id. Returns at once for
// root and on the second pass. Only the verbs that run or unpack need it.
Result<void> enter_user_namespace(int argc, char** argv);
// Handles `archway internal-sandbox ...`; returns its exit code, or nullopt where argv is something else.
std::optional<int> sandbox_main(int argc, char** argv);
// Are we in a user namespace that maps one id only (an ordinary user without ranges in /etc/subuid and /etc/subgid, or without
// newuidmap)? Then chown to any id but 0, setgroups and mknod of devices fail, in containers too: files of other owners cannot be
// made; see snapshot/. False for root and where ranges are mapped.
bool single_id_namespace();

}  // namespace archway
