#include "snapshot/diff.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <unordered_map>
#include <unordered_set>

#include "base/fd.h"
#include "snapshot/beneath.h"
#include "snapshot/indexing_tar.h"
#include "snapshot/path_walk.h"

namespace archway {

namespace {

constexpr size_t kReadBytes = 512 * 1024;
constexpr std::string_view kCapability = "security.capability";

std::string reading(std::string_view path) { return "reading the changed file " + std::string(path); }

Time mtime_of(const struct stat& st) { return {st.st_mtim.tv_sec * 1'000'000'000 + st.st_mtim.tv_nsec}; }
bool is_whiteout(const struct stat& st) { return S_ISCHR(st.st_mode) && st.st_rdev == 0; }

TarType type_of(mode_t mode) {
  switch (mode & S_IFMT) {
    case S_IFDIR: return TarType::Directory;
    case S_IFLNK: return TarType::Symlink;
    case S_IFCHR: return TarType::CharDevice;
    case S_IFBLK: return TarType::BlockDevice;
    case S_IFIFO: return TarType::Fifo;
    default: return TarType::Regular;
  }
}

Result<TreeEntry> entry_of(int root, std::string_view path, const struct stat& st) {
  TreeEntry entry{.type = type_of(st.st_mode), .mode = st.st_mode & 07777u, .uid = st.st_uid, .gid = st.st_gid, .size = 0, .mtime = mtime_of(st), .link = {}};
  if (entry.type == TarType::Regular) entry.size = static_cast<uint64_t>(st.st_size);
  if (entry.type == TarType::CharDevice || entry.type == TarType::BlockDevice) {
    entry.dev_major = major(st.st_rdev);
    entry.dev_minor = minor(st.st_rdev);
  }
  if (entry.type == TarType::Symlink) {
    Fd link(open_beneath(root, path, O_PATH | O_NOFOLLOW));
    char target[4096];
    ssize_t n = link ? ::readlinkat(link.get(), "", target, sizeof target) : -1;
    if (n < 0) return errno_error(reading(path));
    entry.link.assign(target, static_cast<size_t>(n));
  }
  return entry;
}

std::string xattr_of(int fd, std::string_view name) {
  char value[256];  // those that we ask for are a byte, or a vfs_ns_cap_data
  ssize_t n = ::fgetxattr(fd, std::string(name).c_str(), value, sizeof value);
  return n > 0 ? std::string(value, static_cast<size_t>(n)) : std::string();
}

std::string capability_at(int root, std::string_view path) {
  Fd fd(open_beneath(root, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
  return fd ? xattr_of(fd.get(), kCapability) : std::string();
}

// One pass over an upper dir, in the order of a walk that sorts each folder's names.
class UpperDiff {
 public:
  UpperDiff(Fd upper, std::vector<Fd> lower_dirs, const Tree& lower, const DiffOptions& options, TarWriter& tar)
      : upper_(std::move(upper)), lower_dirs_(std::move(lower_dirs)), lower_(lower), out_(tar, options.clamp_mtime), buffer_(kReadBytes) {}

  Result<LayerIndex> run() {
    TRY(walk("", false));
    return out_.finish();
  }

 private:
  struct Name {
    std::string name;
    struct stat st = {};
  };

  // All that the upper dir has to say about a folder, and, where it is opaque, about all that the lower one had in it.
  Result<void> walk(const std::string& folder, bool opaque) {
    std::vector<Name> names = TRY(list(folder, opaque));
    std::vector<std::string> lower_names = opaque ? lower_.children(folder) : std::vector<std::string>();
    auto gone = lower_names.begin();
    for (const Name& at : names) {
      for (; gone != lower_names.end() && *gone <= at.name; ++gone) {
        if (*gone != at.name) TRY(remove(join_path(folder, *gone)));
      }
      TRY(visit(join_path(folder, at.name), at.st, opaque));
    }
    for (; gone != lower_names.end(); ++gone) TRY(remove(join_path(folder, *gone)));
    return {};
  }

  Result<void> visit(const std::string& path, const struct stat& st, bool opaque) {
    auto found = lower_.lookup(path);
    if (is_whiteout(st)) return found ? remove(path) : Result<void>();
    // A file that was copied up to get one more name is written with it, though it has not changed: else a layer could not say that both
    // names are one file, and a COPY --from of them would make two.
    bool linked = !opaque && !S_ISDIR(st.st_mode) && st.st_nlink > 1;
    bool same = found && !linked && TRY(same_as_lower(path, st, *found));
    if (!same) TRY(record(path, st));
    else if (opaque && !S_ISDIR(st.st_mode) && st.st_nlink > 1) unchanged_links_[st.st_ino].push_back(path);
    if (!S_ISDIR(st.st_mode)) return {};
    // The content of an opaque folder, all the way down, is what the upper dir says - if there was anything to hide.
    bool says_so = TRY(is_opaque(path));
    return walk(path, opaque || (found && says_so));
  }

  Result<std::vector<Name>> list(const std::string& folder, bool leave_out_whiteouts) {
    int fd = open_beneath(upper_.get(), folder, O_RDONLY | O_DIRECTORY);
    if (fd < 0) return errno_error(reading(folder));
    std::unique_ptr<DIR, int (*)(DIR*)> dir(::fdopendir(fd), ::closedir);
    if (!dir) {
      ::close(fd);
      return errno_error(reading(folder));
    }
    std::vector<Name> names;
    for (;;) {
      errno = 0;
      dirent* entry = ::readdir(dir.get());
      if (!entry) {
        if (errno != 0) return errno_error(reading(folder));
        break;
      }
      if (std::strcmp(entry->d_name, ".") == 0 || std::strcmp(entry->d_name, "..") == 0) continue;
      Name name{.name = entry->d_name};
      if (::fstatat(::dirfd(dir.get()), entry->d_name, &name.st, AT_SYMLINK_NOFOLLOW) != 0) return errno_error(reading(join_path(folder, name.name)));
      if (!(leave_out_whiteouts && is_whiteout(name.st))) names.push_back(std::move(name));
    }
    std::sort(names.begin(), names.end(), [](const Name& a, const Name& b) { return a.name < b.name; });
    return names;
  }

  Result<bool> is_opaque(const std::string& path) {
    Fd fd(open_beneath(upper_.get(), path, O_RDONLY | O_DIRECTORY));
    if (!fd) return errno_error(reading(path));
    if (::flistxattr(fd.get(), nullptr, 0) <= 0) return false;
    for (const char* name : {"user.overlay.redirect", "trusted.overlay.redirect"}) {
      if (::fgetxattr(fd.get(), name, nullptr, 0) > 0) {
        return Error{Code::Unsupported, "folder " + path + " was renamed by overlayfs with redirect_dir, which no layer can say", "mount with redirect_dir=off"};
      }
    }
    return xattr_of(fd.get(), "user.overlay.opaque") == "y" || xattr_of(fd.get(), "trusted.overlay.opaque") == "y";
  }

  // The lower entry as it lies on disk, where we know that.
  bool stat_lower(const std::string& path, const Tree::Found& found, struct stat* st) const {
    return found.layer < lower_dirs_.size() && ::fstatat(lower_dirs_[found.layer].get(), path.c_str(), st, AT_SYMLINK_NOFOLLOW) == 0;
  }

  // Copied up but not changed? Folders by their metadata (mtime aside); files by size and mtime, too. A time without a fraction may
  // have lost it in a tar, so then the content decides.
  Result<bool> same_as_lower(const std::string& path, const struct stat& st, const Tree::Found& found) {
    struct stat was = {};
    if (!stat_lower(path, found, &was)) return same_as_index(path, st, *found.entry);
    if (was.st_mode != st.st_mode || was.st_uid != st.st_uid || was.st_gid != st.st_gid || was.st_rdev != st.st_rdev) return false;
    if (S_ISDIR(st.st_mode)) return true;
    if (was.st_size != st.st_size || was.st_mtim.tv_sec != st.st_mtim.tv_sec || was.st_mtim.tv_nsec != st.st_mtim.tv_nsec) return false;
    int lower_root = lower_dirs_[found.layer].get();
    if (S_ISREG(st.st_mode) && capability_at(upper_.get(), path) != capability_at(lower_root, path)) return false;
    if (st.st_mtim.tv_nsec != 0) return true;
    if (S_ISLNK(st.st_mode)) return TRY(entry_of(upper_.get(), path, st)).link == TRY(entry_of(lower_root, path, was)).link;
    return !S_ISREG(st.st_mode) || st.st_size == 0 || TRY(same_content(path, lower_root));
  }

  Result<bool> same_as_index(const std::string& path, const struct stat& st, const TreeEntry& was) {
    TreeEntry is = TRY(entry_of(upper_.get(), path, st));
    if (is.type != was.type || is.mode != was.mode || is.uid != was.uid || is.gid != was.gid || is.dev_major != was.dev_major ||
        is.dev_minor != was.dev_minor) {
      return false;
    }
    if (is.type == TarType::Directory) return true;
    // An index has whole seconds and no content: only what needs neither can be told to be the same.
    if (is.mtime != was.mtime || is.size != was.size || is.link != was.link || is.size > 0) return false;
    return is.type != TarType::Regular || (was.xattrs.empty() && capability_at(upper_.get(), path).empty());
  }

  Result<bool> same_content(const std::string& path, int lower_root) {
    Fd mine(open_beneath(upper_.get(), path, O_RDONLY | O_NOFOLLOW)), theirs(open_beneath(lower_root, path, O_RDONLY | O_NOFOLLOW));
    if (!mine || !theirs) return errno_error(reading(path));
    FdSource a(std::move(mine), path), b(std::move(theirs), path);
    std::vector<std::byte> other(kReadBytes);
    for (;;) {
      size_t n = TRY(read_full(a, buffer_));
      size_t m = TRY(read_full(b, other));
      if (n != m || std::memcmp(buffer_.data(), other.data(), n) != 0) return false;
      if (n < buffer_.size()) return true;
    }
  }

  Result<void> remove(const std::string& path) {
    TRY(include_parents(path));
    return out_.whiteout(path);
  }

  // Each parent of a change stands once before it, changed or not.
  Result<void> include_parents(const std::string& path) {
    std::string parent(parent_of(path));
    if (parent.empty() || !written_folders_.insert(parent).second) return {};
    struct stat st = {};
    if (::fstatat(upper_.get(), parent.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) return errno_error(reading(parent));
    return record(parent, st);
  }

  Result<void> record(const std::string& path, const struct stat& st) {
    if (S_ISSOCK(st.st_mode)) return {};  // not a thing that a layer can hold
    TreeEntry entry = TRY(entry_of(upper_.get(), path, st));
    std::vector<std::string> more_names;
    if (S_ISDIR(st.st_mode)) {
      keep_owner(path, st, &entry);
    } else if (st.st_nlink > 1) {
      auto [first, is_first] = first_names_.emplace(st.st_ino, path);
      if (!is_first) {
        TRY(include_parents(path));
        return write_link(path, first->second, entry);
      }
      if (auto links = unchanged_links_.extract(st.st_ino)) more_names = std::move(links.mapped());
    }
    Fd fd;
    if (entry.type == TarType::Regular) fd = TRY(open_data(path, &entry));
    TRY(include_parents(path));
    if (S_ISDIR(st.st_mode)) written_folders_.insert(path);
    TRY(out_.begin(path, entry));
    if (fd) TRY(copy_data(fd.get(), path, entry.size));
    for (const std::string& name : more_names) {
      TRY(include_parents(name));
      TRY(write_link(name, path, entry));
    }
    return {};
  }

  Result<void> write_link(const std::string& path, const std::string& target, TreeEntry entry) {
    entry.type = TarType::Hardlink;
    entry.link = target;
    entry.size = 0;
    if (first_capabilities_.contains(target)) entry.xattrs = {{std::string(kCapability), first_capabilities_[target]}};
    return out_.begin(path, entry);
  }

  // An unchanged folder's owner is what the image says, not what this user namespace could make of it.
  void keep_owner(const std::string& path, const struct stat& st, TreeEntry* entry) {
    auto found = lower_.lookup(path);
    struct stat was = {};
    if (!found || found->entry->type != TarType::Directory || !stat_lower(path, *found, &was)) return;
    if (was.st_mode != st.st_mode || was.st_uid != st.st_uid || was.st_gid != st.st_gid) return;
    entry->uid = found->entry->uid;
    entry->gid = found->entry->gid;
  }

  Result<Fd> open_data(const std::string& path, TreeEntry* entry) {
    Fd fd(open_beneath(upper_.get(), path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
    if (!fd) return errno_error(reading(path));
    if (::flistxattr(fd.get(), nullptr, 0) <= 0) return fd;
    for (const char* name : {"user.overlay.metacopy", "trusted.overlay.metacopy"}) {
      if (::fgetxattr(fd.get(), name, nullptr, 0) >= 0) {
        return Error{Code::Unsupported, "file " + path + " was copied up by overlayfs without its data (metacopy)", "mount with metacopy=off"};
      }
    }
    std::string capability = xattr_of(fd.get(), kCapability);
    if (!capability.empty()) {
      first_capabilities_[path] = capability;
      entry->xattrs.emplace_back(kCapability, std::move(capability));
    }
    return fd;
  }

  Result<void> copy_data(int fd, const std::string& path, uint64_t size) {
    uint64_t left = size;
    while (left > 0) {
      ssize_t n = ::read(fd, buffer_.data(), std::min<uint64_t>(left, buffer_.size()));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return errno_error(reading(path));
      if (n == 0) return Error{Code::Io, reading(path) + ": it became shorter meanwhile", "does a process of the step still run?"};
      TRY(out_.data({buffer_.data(), static_cast<size_t>(n)}));
      left -= static_cast<uint64_t>(n);
    }
    return {};
  }

  Fd upper_;
  std::vector<Fd> lower_dirs_;
  const Tree& lower_;
  IndexingTar out_;
  std::vector<std::byte> buffer_;
  std::unordered_set<std::string> written_folders_;
  std::unordered_map<ino_t, std::string> first_names_;                     // of files with several
  std::unordered_map<ino_t, std::vector<std::string>> unchanged_links_;    // to be written should another name of theirs have changed
  std::unordered_map<std::string, std::string> first_capabilities_;
};

}  // namespace

Result<LayerIndex> write_upper_as_tar(const std::string& upper_dir, const Tree& lower, const DiffOptions& options, TarWriter& tar) {
  Fd upper = TRY(open_file(upper_dir, O_RDONLY | O_DIRECTORY));
  if (!options.lower_dirs.empty() && options.lower_dirs.size() != lower.depth()) {
    return Error{Code::Internal, "diff of " + upper_dir + ": " + std::to_string(options.lower_dirs.size()) + " lower folders for " + std::to_string(lower.depth()) + " layers"};
  }
  std::vector<Fd> lower_dirs;
  for (const std::string& dir : options.lower_dirs) lower_dirs.push_back(TRY(open_file(dir, O_PATH | O_DIRECTORY)));
  return UpperDiff(std::move(upper), std::move(lower_dirs), lower, options, tar).run();
}

}  // namespace archway
