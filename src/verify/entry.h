#pragma once

#include <string>
#include <vector>

#include "image/config.h"
#include "verify/merged_tree.h"
#include "verify/verify.h"

namespace archway {

inline constexpr int kMaxInterpreters = 5;  // scripts that are run by scripts: the kernel's own limit
inline constexpr int kMaxLaunches = 8;      // env, init and shell in front of the program

struct EntryPoint {
  std::vector<std::string> chain = {};    // each file that is opened to start the image, in order
  std::vector<Finding> findings = {};     // without platform, layer digest and history
};
// What the kernel does when a container of this image starts: Entrypoint and Cmd, looked up in PATH, through symlinks and `#!` lines
// to a program, and the loader that the program asks for; through env, an init or a plain `sh -c` to what those start.
// Nothing where the image names no command.
EntryPoint follow_entry_point(const MergedTree& tree, const ImageConfig& config, const Platform& declared);

}  // namespace archway
