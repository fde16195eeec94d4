#include "snapshot/layer_folder.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>

#include "snapshot/beneath.h"
#include "snapshot/path_walk.h"

namespace archway {

namespace {

constexpr size_t kBufferBytes = 512 * 1024;
constexpr TreeEntry kImplied{.type = TarType::Directory, .mode = 0755, .uid = 0, .gid = 0, .size = 0, .mtime = {}, .link = {}};

std::string making(std::string_view path) { return "unpacking " + std::string(path); }

timespec to_timespec(Time time) {
  int64_t seconds = time.seconds();
  return {.tv_sec = seconds, .tv_nsec = time.nanoseconds - seconds * 1'000'000'000};
}

bool may_be_refused(int error) { return error == EPERM || error == EINVAL || error == EOPNOTSUPP || error == EACCES; }

Result<void> set_xattrs(int fd, const TreeEntry& entry, std::string_view path) {
  for (const auto& [name, value] : entry.xattrs) {
    if (!name.starts_with("user.") && name != "security.capability") continue;
    if (::fsetxattr(fd, name.c_str(), value.data(), value.size(), 0) != 0 && !may_be_refused(errno)) return errno_error(making(path) + ": setting " + name);
  }
  return {};
}

Result<void> copy_data(Source& data, int fd, uint64_t size, std::span<std::byte> buffer) {
  uint64_t left = size;
  while (left > 0) {
    size_t n = TRY(data.read(buffer.first(std::min<uint64_t>(left, buffer.size()))));
    if (n == 0) return Error{Code::Invalid, "the archive ends in the middle of the file"};
    TRY(write_all(fd, buffer.first(n)));
    left -= n;
  }
  return {};
}

}  // namespace

LayerFolder::LayerFolder(Fd root, bool umask_is_zero, WhiteoutForm form)
    : root_(std::move(root)), umask_is_zero_(umask_is_zero), form_(form), uid_(::geteuid()), gid_(::getegid()),
      buffer_(std::make_unique_for_overwrite<std::byte[]>(kBufferBytes)) {}

Result<LayerFolder> LayerFolder::open(const std::string& path, bool umask_is_zero, WhiteoutForm form) {
  Fd root = TRY(open_file(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  struct stat st = {};
  if (::fstat(root.get(), &st) != 0) return errno_error("opening " + path);
  // A set-gid folder above would hand its group down to all that we make.
  if (::fchmod(root.get(), 0755) != 0) return errno_error("setting the mode of " + path);
  LayerFolder folder(std::move(root), umask_is_zero, form);
  if ((st.st_uid != folder.uid_ || st.st_gid != folder.gid_) && ::fchown(folder.root_.get(), folder.uid_, folder.gid_) != 0) {
    return errno_error("setting the owner of " + path);
  }
  return folder;
}

Result<Fd> LayerFolder::make_parents(std::string_view folder) {
  for (size_t end = 0; end < folder.size();) {
    end = std::min(folder.find('/', end + 1), folder.size());
    std::string_view path = folder.substr(0, end);
    Fd above(open_beneath(root_.get(), parent_of(path), O_PATH | O_DIRECTORY));
    if (!above) return errno_error(making(path));
    if (::mkdirat(above.get(), std::string(name_of(path)).c_str(), 0755) == 0) {
      implied_.emplace(path);
    } else if (errno != EEXIST) {
      return errno_error(making(path));
    }
  }
  Fd fd(open_beneath(root_.get(), folder, O_PATH | O_DIRECTORY));
  if (!fd) return errno_error(making(folder));
  return fd;
}

Result<int> LayerFolder::parent_fd(std::string_view parent) {
  if (parent.empty()) return root_.get();
  if (parent_ && parent == parent_path_) return parent_.get();
  Fd fd(open_beneath(root_.get(), parent, O_PATH | O_DIRECTORY));
  if (!fd && errno != ENOENT) return errno_error(making(parent));
  if (!fd) fd = TRY(make_parents(parent));
  parent_ = std::move(fd);
  parent_path_ = parent;
  return parent_.get();
}

Result<void> LayerFolder::remove_existing(int parent, const std::string& name, std::string_view path) {
  if (::unlinkat(parent, name.c_str(), 0) == 0 || errno == ENOENT) return {};
  if (errno != EISDIR && errno != EPERM) return errno_error("replacing " + std::string(path));
  return remove_tree("/proc/self/fd/" + std::to_string(parent) + "/" + name).context("replacing " + std::string(path));
}

Result<void> LayerFolder::make(const IndexBuilder::Step& step, Source& data) {
  if (step.kind == IndexBuilder::Step::Kind::Nothing || step.path.empty()) return {};  // the root's metadata: see finish()
  int parent = TRY(parent_fd(parent_of(step.path)));
  std::string name(name_of(step.path));
  if (step.replaces) {
    TRY(remove_existing(parent, name, step.path));
    if (parent_path_ == step.path || lies_below(parent_path_, step.path)) parent_.reset();  // gone with it
  }
  switch (step.entry->type) {
    case TarType::Directory:
      // Ours to write to until finish(), whatever its mode is to be.
      if (::mkdirat(parent, name.c_str(), (step.entry->mode & 0777) | 0700) != 0 && !(errno == EEXIST && step.exists)) {
        return errno_error(making(step.path));
      }
      return {};
    case TarType::Regular: return make_file(parent, name, step, data).context(making(step.path));
    case TarType::Hardlink: return make_link(parent, name, step);
    default: return make_node(parent, name, step);
  }
}

Result<void> LayerFolder::make_file(int parent, const std::string& name, const IndexBuilder::Step& step, Source& data) {
  const TreeEntry& entry = *step.entry;
  Fd fd(::openat(parent, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, entry.mode & 0777));
  if (!fd) return errno_error("creating the file");
  TRY(copy_data(data, fd.get(), entry.size, {buffer_.get(), kBufferBytes}));
  if ((entry.uid != uid_ || entry.gid != gid_) && ::fchown(fd.get(), entry.uid, entry.gid) != 0 && !may_be_refused(errno)) {
    return errno_error("setting its owner");
  }
  // Writing and chown both clear set-id bits, so they come after.
  if ((!umask_is_zero_ || (entry.mode & 07000)) && ::fchmod(fd.get(), entry.mode) != 0 && !may_be_refused(errno)) return errno_error("setting its mode");
  if (!entry.xattrs.empty()) TRY(set_xattrs(fd.get(), entry, step.path));
  timespec times[2] = {to_timespec(entry.mtime), to_timespec(entry.mtime)};
  if (::futimens(fd.get(), times) != 0) return errno_error("setting its time");
  return {};
}

Result<void> LayerFolder::make_link(int parent, const std::string& name, const IndexBuilder::Step& step) {
  const std::string& target = step.entry->link;
  // Opened rather than cached: the target's folder is seldom the next entry's.
  Fd target_parent(open_beneath(root_.get(), parent_of(target), O_PATH | O_DIRECTORY));
  std::string target_name(name_of(target));
  if (target_parent && ::linkat(target_parent.get(), target_name.c_str(), parent, name.c_str(), 0) == 0) return {};
  if (errno != ENOENT && errno != ENOTDIR) return errno_error(making(step.path) + ": linking it to " + target);
  return Error{Code::Unsupported, making(step.path) + ": it is a hard link to " + target + ", which this layer does not have (before it)"};
}

Result<void> LayerFolder::make_node(int parent, const std::string& name, const IndexBuilder::Step& step) {
  const TreeEntry& entry = *step.entry;
  mode_t permissions = entry.mode & 0777;
  int made = -1;
  switch (entry.type) {
    case TarType::Symlink: made = ::symlinkat(entry.link.c_str(), parent, name.c_str()); break;
    case TarType::Fifo: made = ::mknodat(parent, name.c_str(), S_IFIFO | permissions, 0); break;
    default:
      made = ::mknodat(parent, name.c_str(), (entry.type == TarType::CharDevice ? S_IFCHR : S_IFBLK) | permissions, makedev(entry.dev_major, entry.dev_minor));
      // In a user namespace devices cannot be made. Runtimes bring their own /dev; the name is kept.
      if (made != 0 && may_be_refused(errno)) made = ::mknodat(parent, name.c_str(), S_IFREG | permissions, 0);
  }
  if (made != 0) return errno_error(making(step.path));
  TRY(set_owner(parent, name.c_str(), entry, step.path));
  if (entry.type != TarType::Symlink && (!umask_is_zero_ || (entry.mode & 07000)) && ::fchmodat(parent, name.c_str(), entry.mode, 0) != 0 && !may_be_refused(errno)) {
    return errno_error(making(step.path) + ": setting its mode");
  }
  timespec times[2] = {to_timespec(entry.mtime), to_timespec(entry.mtime)};
  if (::utimensat(parent, name.c_str(), times, AT_SYMLINK_NOFOLLOW) != 0) return errno_error(making(step.path) + ": setting its time");
  return {};
}

Result<void> LayerFolder::set_owner(int parent, const char* name, const TreeEntry& entry, std::string_view path) const {
  if (entry.uid == uid_ && entry.gid == gid_) return {};
  if (::fchownat(parent, name, entry.uid, entry.gid, AT_SYMLINK_NOFOLLOW) == 0 || may_be_refused(errno)) return {};
  return errno_error(making(path) + ": setting its owner");
}

Result<void> LayerFolder::make_whiteout(std::string_view path) {
  int parent = TRY(parent_fd(parent_of(path)));
  std::string name(name_of(path));
  if (form_ == WhiteoutForm::Device) {
    if (::mknodat(parent, name.c_str(), S_IFCHR, makedev(0, 0)) == 0) return {};
    if (!may_be_refused(errno)) return errno_error("making the whiteout " + std::string(path));
  }
  auto refused = [&] { return errno_error("making the whiteout " + std::string(path)).with_hint("the file system of the store has to allow device 0/0, or user xattrs"); };
  Fd fd(::openat(parent, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644));
  if (!fd || ::fsetxattr(fd.get(), "user.overlay.whiteout", "y", 1, 0) != 0) return refused();
  Fd folder(open_beneath(root_.get(), parent_of(path), O_RDONLY | O_DIRECTORY));
  if (!folder) return refused();
  // XATTR_CREATE: one that is opaque already ("y") hides everything anyhow.
  if (::fsetxattr(folder.get(), "user.overlay.opaque", "x", 1, XATTR_CREATE) != 0 && errno != EEXIST) return refused();
  return {};
}

Result<void> LayerFolder::set_folder(std::string_view path, const TreeEntry& entry) {
  Fd fd(open_beneath(root_.get(), path, O_RDONLY | O_DIRECTORY));
  if (!fd) return errno_error(making(path));
  if ((entry.uid != uid_ || entry.gid != gid_) && ::fchown(fd.get(), entry.uid, entry.gid) != 0 && !may_be_refused(errno)) {
    return errno_error(making(path) + ": setting its owner");
  }
  TRY(set_xattrs(fd.get(), entry, path));
  bool as_made = umask_is_zero_ && !(entry.mode & 07000) && ((entry.mode & 0777) | 0700) == entry.mode;
  if ((!as_made || path.empty()) && ::fchmod(fd.get(), entry.mode) != 0) return errno_error(making(path) + ": setting its mode");
  timespec times[2] = {to_timespec(entry.mtime), to_timespec(entry.mtime)};
  if (::futimens(fd.get(), times) != 0) return errno_error(making(path) + ": setting its time");
  return {};
}

Result<void> LayerFolder::finish(const LayerIndex& index) {
  for (const std::string& path : index.opaque) {
    (void)TRY(parent_fd(path));  // makes it, where only its whiteout tells of it
    Fd fd(open_beneath(root_.get(), path, O_RDONLY | O_DIRECTORY));
    if (!fd || ::fsetxattr(fd.get(), "user.overlay.opaque", "y", 1, 0) != 0) {
      return errno_error("marking " + path + " as opaque").with_hint("the file system of the store has to support user xattrs");
    }
  }
  for (const std::string& path : index.whiteouts) TRY(make_whiteout(path));
  parent_.reset();
  for (const std::string& path : implied_) {
    if (!index.find(path) && Fd(open_beneath(root_.get(), path, O_PATH | O_DIRECTORY))) TRY(set_folder(path, kImplied));
  }
  // The deepest first: a folder's own mode may lock us out of it.
  if (!index.find("")) TRY(set_folder("", kImplied));
  for (size_t i = index.entries.size(); i-- > 0;) {
    const auto& [path, entry] = index.entries[i];
    if (entry.type == TarType::Directory) TRY(set_folder(path, entry));
  }
  return {};
}

}  // namespace archway
