#include "runtime/root_mount.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/hash.h"
#include "base/text.h"

namespace archway {

std::vector<MountPoint> needed_mount_points(const RunSpec& run) {
  std::vector<MountPoint> points = {{"/dev"}, {"/proc"}, {"/sys"}, {"/etc/resolv.conf", false}, {"/etc/hosts", false}};
  for (const Mount& mount : run.mounts) {
    struct stat st = {};
    bool bind_file = (mount.type == "bind" || mount.type == "none") && ::stat(mount.source.c_str(), &st) == 0 && !S_ISDIR(st.st_mode);
    points.push_back({mount.target, !bind_file});
  }
  for (const TreeMount& mount : run.tree_mounts) points.push_back({mount.target, mount.source_is_folder});
  for (const TmpfsMount& mount : run.tmpfs_mounts) points.push_back({mount.target});
  for (const MemoryFile& file : run.memory_files) points.push_back({file.target, false});
  return points;
}

std::vector<MountPoint> inner_mount_points(const TreeMount& mount, const std::vector<MountPoint>& all) {
  std::vector<MountPoint> inner;
  if (mount.layers.lower_dirs.empty() || !mount.source_is_folder) return inner;
  for (const MountPoint& point : all) {
    if (!point.path.starts_with(mount.target + "/")) continue;
    inner.push_back({"/" + mount.source + point.path.substr(mount.target.size()), point.folder});
  }
  return inner;
}

namespace {

// The path's parts without "", "." and "..": a target with ".." is left to the runtime, which resolves it inside the root.
std::vector<std::string> parts_of(const std::string& path) {
  std::vector<std::string> parts;
  for (std::string& part : split(path, '/')) {
    if (!part.empty() && part != ".") parts.push_back(std::move(part));
  }
  return parts;
}

bool leads_up(const std::vector<std::string>& parts) { return std::find(parts.begin(), parts.end(), "..") != parts.end(); }

// Modes are set outright: the umask is the whole process's, and other threads run.
Result<void> fill_skeleton(const std::string& folder, const std::vector<MountPoint>& points) {
  for (const MountPoint& point : points) {
    auto parts = parts_of(point.path);
    if (parts.empty() || leads_up(parts)) continue;
    std::string path = folder;
    for (size_t i = 0; i < parts.size(); ++i) {
      path += "/" + parts[i];
      if (point.folder || i + 1 < parts.size()) {
        TRY(make_directories(path));
        if (::chmod(path.c_str(), 0755) != 0) return errno_error("setting the mode of " + path);
      } else {
        Fd file = TRY(open_file(path, O_WRONLY | O_CREAT | O_NOFOLLOW, 0644));
        if (::fchmod(file.get(), 0644) != 0) return errno_error("setting the mode of " + path);
      }
    }
  }
  return {};
}

}  // namespace

Result<std::string> make_skeleton(const std::string& state_dir, std::vector<MountPoint> points) {
  std::sort(points.begin(), points.end());
  std::string key;
  for (const MountPoint& point : points) key += (point.folder ? "d" : "f") + point.path + '\0';
  std::string place = state_dir + "/skeletons/" + sha256_hex(key);
  if (path_exists(place)) return place;
  TempDir made = TRY(TempDir::create(state_dir + "/skeletons", "new-"));
  TRY(fill_skeleton(made.path(), points));
  if (::chmod(made.path().c_str(), 0755) != 0) return errno_error("setting the mode of " + made.path());
  if (::rename(made.path().c_str(), place.c_str()) == 0) {
    (void)made.release();
    return place;
  }
  // Somebody else was faster; theirs is equal.
  if (errno == EEXIST || errno == ENOTEMPTY) return place;
  return errno_error("creating " + place);
}

Result<void> mount_root(const RootFilesystem& root, const std::string& skeleton_dir, const std::string& links_dir, const std::string& target) {
  std::vector<std::string> lower = root.lower_dirs;
  lower.push_back(skeleton_dir);
  if (lower.size() > kMaxOverlayLayers) {
    return Error{Code::Unsupported, "the image has " + std::to_string(root.lower_dirs.size()) + " layers; overlayfs takes " + std::to_string(kMaxOverlayLayers - 1)};
  }
  auto link = [&](const std::string& path, const std::string& name) -> Result<void> {
    if (::symlink(path.c_str(), (links_dir + "/" + name).c_str()) != 0) return errno_error("linking " + path);
    return {};
  };
  std::vector<std::string> names;
  for (const std::string& path : lower) {
    names.push_back(std::to_string(names.size()));
    TRY(link(path, names.back()));
  }
  // userxattr: layers carry user.overlay.*, which an ordinary user may set too, so both make the same. volatile: no fsync reaches
  // the disk, neither a package manager's nor the one at unmount; a layer counts only once the build has stored it.
  std::string options = "userxattr,lowerdir=" + join(names, ":");
  if (!root.upper_dir.empty()) {
    TRY(link(root.upper_dir, "u"));
    TRY(link(root.work_dir, "w"));
    options += ",upperdir=u,workdir=w";
  }
  if (::chdir(links_dir.c_str()) != 0) return errno_error("entering " + links_dir);
  auto try_mount = [&](const std::string& all) { return ::mount("overlay", target.c_str(), "overlay", MS_NODEV, all.c_str()) == 0; };
  bool mounted = (!root.upper_dir.empty() && try_mount(options + ",volatile")) || try_mount(options);
  int why = errno;
  if (::chdir("/") != 0) return errno_error("entering /");
  if (mounted) return {};
  return errno_error("mounting overlayfs for the container's root", why)
      .with_hint("an ordinary user needs Linux 5.11 or newer; the state folder must be on a file system that overlayfs takes as upper dir (ext4, xfs, btrfs, tmpfs; not another overlay or NFS)");
}

void forget_volatile(const RootFilesystem& root) {
  if (root.work_dir.empty()) return;
  std::string incompatible = root.work_dir + "/work" "/incompat";
  (void)::unlink((incompatible + "/volatile/dirty").c_str());
  (void)::rmdir((incompatible + "/volatile").c_str());
  (void)::rmdir(incompatible.c_str());
}

Result<ExtraMountPoints> ExtraMountPoints::make(int root_fd, const std::vector<MountPoint>& points) {
  ExtraMountPoints result;
  for (const MountPoint& point : points) {
    if (open_in_root(root_fd, point.path, O_PATH).ok()) continue;
    auto parts = parts_of(point.path);
    if (parts.empty() || leads_up(parts)) continue;
    std::string walked;
    for (size_t i = 0; i < parts.size(); ++i) {
      bool folder = point.folder || i + 1 < parts.size();
      std::string next = walked + "/" + parts[i];
      if (open_in_root(root_fd, next, O_PATH).ok()) {
        walked = next;
        continue;
      }
      Fd parent = TRY(open_in_root(root_fd, walked.empty() ? "/" : walked, O_RDONLY | O_DIRECTORY));
      struct stat st = {};
      if (::fstat(parent.get(), &st) != 0) return errno_error("looking at " + walked);
      if (folder) {
        if (::mkdirat(parent.get(), parts[i].c_str(), 0755) != 0) return errno_error("creating mount point " + next);
      } else {
        (void)TRY(open_at(parent.get(), parts[i], O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0644));
      }
      result.made_.push_back({std::move(parent), parts[i], folder, st.st_mtim});
      walked = next;
    }
  }
  return result;
}

void ExtraMountPoints::remove() {
  while (!made_.empty()) {
    Made& last = made_.back();
    if (::unlinkat(last.parent.get(), last.name.c_str(), last.folder ? AT_REMOVEDIR : 0) == 0) {
      timespec times[2] = {{0, UTIME_OMIT}, last.parent_mtime};
      (void)::futimens(last.parent.get(), times);
    }
    made_.pop_back();
  }
}

}  // namespace archway
