#pragma once

#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "build/agent_relay.h"
#include "build/graph.h"
#include "build/mount_store.h"
#include "build/secrets.h"
#include "build/subtree.h"
#include "runtime/runtime.h"
#include "snapshot/tree.h"

namespace archway::build {

// What RUN's mounts are made of. Inputs are numbered as in Node::mounts; all is borrowed.
struct MountInputs {
  std::function<FileSource*(size_t input)> context;                        // null where the input is a state
  std::function<std::string(size_t input)> context_name;
  std::function<Result<std::vector<std::string>>(size_t input)> folders;   // a state's unpacked layers, bottom first
  std::function<Result<Tree>(size_t input)> tree;                          // a state's files
  std::function<std::string(size_t input)> chain_id;
};
struct MountSupplies {
  MountStore& store;
  Subtrees& subtrees;
  const Confidences& confidences;
};

// The mounts of one RUN, ready for its container. What it holds - locks on caches, an agent's socket - ends with it, so it has to live
// until the program has ended.
class ExecMounts {
 public:
  // Adds to `spec` all that `op` asks for. `root` is the state that the program runs on, `scratch` an existing folder for what is
  // written and thrown away. Waits for locked caches.
  static Result<ExecMounts> add(const ExecOp& op, const MountInputs& inputs, const MountSupplies& supplies, const Tree& root, const std::string& scratch,
                                RunSpec& spec, std::stop_token stop);

 private:
  class Adding;
  std::vector<Fd> locks_;
  std::vector<std::unique_ptr<AgentRelay>> relays_;
};

// Takes out of an upper dir what was only there to be mounted on: folders and files at the targets, and parents of targets, that the image
// lacks and the program left empty. As BuildKit does. After the program has ended.
Result<void> remove_mount_stubs(const std::string& upper_dir, const Tree& root, const std::vector<ExecMount>& mounts);

// What a mount adds to a RUN's key: of a context the content it shows, of a state what it is.
Result<std::string> mounts_key(const ExecOp& op, size_t input_count, const MountInputs& inputs, Subtrees& subtrees, std::stop_token stop);

}  // namespace archway::build
