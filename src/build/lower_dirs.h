#pragma once

#include <algorithm>
#include <string>
#include <vector>

namespace archway::build {

// Unpacked layers, bottom first, as overlayfs wants its lower dirs: topmost first, and no folder twice. Equal layers (two steps that changed
// nothing) share a folder; the topmost of them says all that the lower ones do.
inline std::vector<std::string> lower_dirs_of(const std::vector<std::string>& bottom_first) {
  std::vector<std::string> dirs;
  for (auto folder = bottom_first.rbegin(); folder != bottom_first.rend(); ++folder) {
    if (std::find(dirs.begin(), dirs.end(), *folder) == dirs.end()) dirs.push_back(*folder);
  }
  return dirs;
}

}  // namespace archway::build
