#include "runtime/tree_mount.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>

#include "base/fd.h"
#include "runtime/root_mount.h"

namespace archway {

namespace {

constexpr uint32_t kExecuteBits = 0111;

Result<void> make_folder(const std::string& path) {
  if (::mkdir(path.c_str(), 0711) != 0) return errno_error("creating " + path);
  return {};
}

Result<void> make_empty_file(const std::string& path) {
  (void)TRY(open_file(path, O_WRONLY | O_CREAT | O_EXCL, 0600));
  return {};
}

// The tree itself, mounted on `place` where it is made of layers.
Result<std::string> tree_folder(const TreeMount& mount, const std::string& skeleton, const std::string& place) {
  if (mount.layers.lower_dirs.empty()) return mount.folder;
  TRY(make_folder(place));
  TRY(make_folder(place + ".links"));
  TRY(mount_root(mount.layers, skeleton, place + ".links", place).context("mounting " + mount.target));
  return place;
}

Error not_found(const TreeMount& mount, Error error) {
  return std::move(error).within("mounting /" + mount.source + " on " + mount.target);
}

}  // namespace

Result<std::vector<Mount>> mount_trees(const SandboxSpec& spec, const std::string& bundle) {
  std::vector<Mount> mounts;
  for (size_t i = 0; i < spec.run.tree_mounts.size(); ++i) {
    const TreeMount& mount = spec.run.tree_mounts[i];
    const std::string place = bundle + "/tree-" + std::to_string(i);
    std::string folder = TRY(tree_folder(mount, spec.tree_skeletons[i], place));
    Fd tree = TRY(open_file(folder, O_PATH | O_DIRECTORY));
    auto source = open_in_root(tree.get(), mount.source.empty() ? "." : mount.source, O_PATH);
    if (!source.ok()) return not_found(mount, std::move(source).error());
    struct stat st = {};
    if (::fstat(source->get(), &st) != 0) return errno_error("looking at " + mount.source);
    if (S_ISDIR(st.st_mode) != mount.source_is_folder) {
      return Error{Code::Invalid, "mounting /" + mount.source + " on " + mount.target + ": it is " + (mount.source_is_folder ? "no folder" : "a folder") + " any more"};
    }
    const std::string bound = place + ".source";
    TRY(mount.source_is_folder ? make_folder(bound) : make_empty_file(bound));
    // By its descriptor: whatever happens to the path meanwhile, it is what was looked at.
    const std::string opened = "/proc/self/fd/" + std::to_string(source->get());
    if (::mount(opened.c_str(), bound.c_str(), nullptr, MS_BIND | MS_REC, nullptr) != 0) return errno_error("mounting /" + mount.source + " on " + mount.target);
    Mount made{"bind", bound, mount.target, {"rbind"}};
    if (mount.read_only) made.options.push_back("ro");
    mounts.push_back(std::move(made));
  }
  return mounts;
}

Result<void> mount_memory(const RunSpec& run, const std::string& bundle, std::vector<Mount>& mounts) {
  for (size_t i = 0; i < run.tmpfs_mounts.size(); ++i) {
    const TmpfsMount& mount = run.tmpfs_mounts[i];
    const std::string place = bundle + "/tmpfs-" + std::to_string(i);
    TRY(make_folder(place));
    char options[64];
    std::snprintf(options, sizeof options, "mode=%o", mount.mode);
    std::string all = options;
    if (mount.size_bytes != 0) all += ",size=" + std::to_string(mount.size_bytes);
    if (::mount("tmpfs", place.c_str(), "tmpfs", MS_NOSUID | MS_NODEV, all.c_str()) != 0) return errno_error("mounting memory on " + mount.target);
    Mount made{"bind", place, mount.target, {"rbind", "nosuid"}};
    if (mount.read_only) made.options.push_back("ro");
    mounts.push_back(std::move(made));
  }
  return {};
}

Result<void> write_memory_files(const RunSpec& run, const std::string& bundle, std::vector<Mount>& mounts) {
  for (size_t i = 0; i < run.memory_files.size(); ++i) {
    const MemoryFile& file = run.memory_files[i];
    const std::string path = bundle + "/file-" + std::to_string(i);
    Fd fd = TRY(open_file(path, O_WRONLY | O_CREAT | O_EXCL, 0600));
    TRY(write_all(fd.get(), as_bytes(file.content)).context("placing the file for " + file.target));
    // With one id nobody else can own it, and nobody else is there to read it.
    if (::fchown(fd.get(), file.uid, file.gid) != 0 && !single_id_namespace()) return errno_error("setting the owner of " + file.target);
    if (::fchmod(fd.get(), file.mode) != 0) return errno_error("setting the mode of " + file.target);
    Mount made{"bind", path, file.target, {"rbind", "ro", "nosuid"}};
    if ((file.mode & kExecuteBits) == 0) made.options.push_back("noexec");
    mounts.push_back(std::move(made));
  }
  return {};
}

}  // namespace archway
