#pragma once

#include <string>
#include <vector>

namespace archway {

// All that snapshot and runtime know of each other. As mount(2) takes it, and as an OCI runtime's config.json has it.
struct Mount {
  std::string type;    // "overlay", "bind"
  std::string source;
  std::string target;  // inside the container's root; "/" for the root itself
  std::vector<std::string> options = {};
};

}  // namespace archway
