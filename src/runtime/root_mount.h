#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/fd.h"
#include "runtime/runtime.h"

namespace archway {

// Something has to be there for a mount to go on.
struct MountPoint {
  std::string path;  // in the container, absolute
  bool folder = true;
  auto operator<=>(const MountPoint&) const = default;
};
// Where `run`'s own and the default mounts go.
std::vector<MountPoint> needed_mount_points(const RunSpec& run);

// Those of `all` that lie inside of what `mount` shows, as paths in its layers: a runtime could not make them in what is read-only.
std::vector<MountPoint> inner_mount_points(const TreeMount& mount, const std::vector<MountPoint>& all);

// A folder with those mount points, to be the lowest layer of the container's root: where the image lacks one, the container
// finds this one, and nothing is ever made in the upper dir. Made once below `state_dir`, by content; safe between processes.
// (It shares a file system with the layers, so that inode numbers stay small: 32-bit programs cannot stat large ones.)
Result<std::string> make_skeleton(const std::string& state_dir, std::vector<MountPoint> points);

// The most layers overlayfs takes.
inline constexpr size_t kMaxOverlayLayers = 500;

// Mounts the root on `target`. `links_dir` is scratch space for short names: however many and long the layers' paths, the mount
// options stay below the kernel's one page, and no character in a path needs quoting. Without an upper dir it is read-only.
Result<void> mount_root(const RootFilesystem& root, const std::string& skeleton_dir, const std::string& links_dir, const std::string& target);

// Takes away the mark that a volatile mount leaves in its work dir, so that both may be used again. After the program has ended.
void forget_volatile(const RootFilesystem& root);

// Mount points that even the skeleton could not give, since a layer hides it (a whiteout, an opaque folder, a symlink). Made
// through the mounted root and taken away again, with the folders' times as they were.
class ExtraMountPoints {
 public:
  static Result<ExtraMountPoints> make(int root_fd, const std::vector<MountPoint>& points);
  // Best effort; what a program put into one stays.
  void remove();

 private:
  struct Made {
    Fd parent;
    std::string name;
    bool folder;
    timespec parent_mtime;
  };
  std::vector<Made> made_;
};

}  // namespace archway
