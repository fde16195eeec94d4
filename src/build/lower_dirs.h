#pragma once

#include <sys/stat.h>

#include <algorithm>
#include <string>
#include <vector>

#include "base/fd.h"
#include "runtime/runtime.h"

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

// A container's root over unpacked layers (bottom first), with upper and work dirs made below `scratch`.
inline Result<RootFilesystem> root_over(const std::vector<std::string>& bottom_first, const std::string& scratch) {
  RootFilesystem root{lower_dirs_of(bottom_first), scratch + "/upper", scratch + "/work"};
  if (root.lower_dirs.empty()) root.lower_dirs.push_back(scratch + "/empty");
  for (const std::string& folder : {root.upper_dir, root.work_dir, root.lower_dirs.back()}) TRY(make_directories(folder));
  // The upper dir's mode is that of the container's "/": whatever our umask, all of the image's users may walk there.
  if (::chmod(root.upper_dir.c_str(), 0755) != 0) return errno_error("setting the mode of " + root.upper_dir);
  return root;
}

}  // namespace archway::build
