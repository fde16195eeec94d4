#pragma once

#include <string>
#include <vector>

#include "runtime/sandbox.h"

// What run.tree_mounts, run.tmpfs_mounts and run.memory_files become in the sandbox's own mount namespace, below its tmpfs. Private to this room.
namespace archway {

// Mounts each tree, finds its source, and binds that to a name of its own: what the runtime gets has no symlink in it, and stays what it is.
Result<std::vector<Mount>> mount_trees(const SandboxSpec& spec, const std::string& bundle);

// Mounts each tmpfs below `bundle`, and appends how it is bound.
Result<void> mount_memory(const RunSpec& run, const std::string& bundle, std::vector<Mount>& mounts);

// Writes the files below `bundle`, and appends how they are mounted.
Result<void> write_memory_files(const RunSpec& run, const std::string& bundle, std::vector<Mount>& mounts);

}  // namespace archway
