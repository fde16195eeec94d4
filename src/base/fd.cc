#include "base/fd.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>

namespace archway {

void Fd::reset(int fd) {
  if (fd_ >= 0) ::close(fd_);
  fd_ = fd;
}

Result<Fd> open_file(const std::string& path, int flags, mode_t mode) { return open_at(AT_FDCWD, path, flags, mode); }

Result<Fd> open_at(int dir, const std::string& path, int flags, mode_t mode) {
  int fd = ::openat(dir, path.c_str(), flags | O_CLOEXEC, mode);
  if (fd < 0) return errno_error("opening " + path);
  return Fd(fd);
}

Result<Fd> open_in_root(int dir, const std::string& path, int flags, mode_t mode) {
  open_how how = {};
  how.flags = static_cast<uint64_t>(flags) | O_CLOEXEC;
  // openat2 refuses a mode without O_CREAT or O_TMPFILE.
  // (glibc's __O_TMPFILE has O_DIRECTORY in it.)
  if ((flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE) how.mode = mode;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  for (;;) {
    long fd = ::syscall(SYS_openat2, dir, path.empty() ? "." : path.c_str(), &how, sizeof how);
    if (fd >= 0) return Fd(static_cast<int>(fd));
    // EAGAIN: the kernel could not rule out a concurrent rename; it asks for another try.
    if (errno != EAGAIN && errno != EINTR) return errno_error("opening " + path);
  }
}

Result<void> write_all(int fd, Bytes bytes) {
  while (!bytes.empty()) {
    ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0) {
      if (errno == EINTR) continue;
      return errno_error("writing");
    }
    bytes = bytes.subspan(static_cast<size_t>(n));
  }
  return {};
}

Result<size_t> FdSource::read(std::span<std::byte> into) {
  for (;;) {
    ssize_t n = ::read(fd_.get(), into.data(), into.size());
    if (n >= 0) return static_cast<size_t>(n);
    if (errno != EINTR) return errno_error("reading " + name_);
  }
}

Result<uint64_t> FdSource::skip(uint64_t count) {
  struct stat st = {};
  off_t here = ::lseek(fd_.get(), 0, SEEK_CUR);
  if (here < 0 || ::fstat(fd_.get(), &st) != 0 || !S_ISREG(st.st_mode)) return Source::skip(count);
  uint64_t left = st.st_size > here ? static_cast<uint64_t>(st.st_size - here) : 0;
  uint64_t n = std::min(count, left);
  if (::lseek(fd_.get(), static_cast<off_t>(n), SEEK_CUR) < 0) return errno_error("seeking in " + name_);
  return n;
}

Result<std::string> read_file(const std::string& path, uint64_t limit_bytes) {
  FdSource source(TRY(open_file(path, O_RDONLY)), path);
  return read_all(source, limit_bytes, path);
}

Result<void> sync_directory(const std::string& path) {
  Fd dir = TRY(open_file(path, O_RDONLY | O_DIRECTORY));
  if (::fsync(dir.get()) != 0) return errno_error("syncing " + path);
  return {};
}

Result<void> write_file_atomic(const std::string& path, std::string_view text, mode_t mode) {
  size_t slash = path.rfind('/');
  std::string parent = slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
  std::string temporary = path + ".tmp.XXXXXX";
  Fd fd(::mkostemp(temporary.data(), O_CLOEXEC));
  if (!fd) return errno_error("creating a file beside " + path);
  auto finish = [&]() -> Result<void> {
    TRY(write_all(fd.get(), as_bytes(text)).context("writing " + path));
    if (::fchmod(fd.get(), mode) != 0) return errno_error("setting the mode of " + path);
    if (::fsync(fd.get()) != 0) return errno_error("syncing " + path);
    if (::rename(temporary.c_str(), path.c_str()) != 0) return errno_error("renaming to " + path);
    return sync_directory(parent);
  };
  auto result = finish();
  if (!result.ok()) ::unlink(temporary.c_str());
  return result;
}

Result<void> make_directories(const std::string& path, mode_t mode) {
  if (path.empty() || ::mkdir(path.c_str(), mode) == 0 || errno == EEXIST) {
    struct stat st = {};
    if (path.empty() || (::stat(path.c_str(), &st) == 0 && S_ISDIR(st.st_mode))) return {};
    return errno_error("creating folder " + path, ENOTDIR);
  }
  if (errno != ENOENT) return errno_error("creating folder " + path);
  size_t slash = path.find_last_of('/');
  if (slash == std::string::npos || slash == 0) return errno_error("creating folder " + path, ENOENT);
  TRY(make_directories(path.substr(0, slash), mode));
  if (::mkdir(path.c_str(), mode) != 0 && errno != EEXIST) return errno_error("creating folder " + path);
  return {};
}

bool path_exists(const std::string& path) {
  struct stat st = {};
  return ::lstat(path.c_str(), &st) == 0;
}

namespace {

struct DirCloser {
  void operator()(DIR* dir) const { ::closedir(dir); }
};

Result<void> remove_entry(int parent, const char* name, dev_t device, const std::string& shown) {
  if (::unlinkat(parent, name, 0) == 0 || errno == ENOENT) return {};
  if (errno != EISDIR && errno != EPERM) return errno_error("removing " + shown);
  int fd = ::openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0 && errno == EACCES && ::fchmodat(parent, name, 0700, 0) == 0) {
    fd = ::openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  }
  if (fd < 0) return errno_error("removing " + shown);
  struct stat st = {};
  if (::fstat(fd, &st) != 0 || st.st_dev != device) {
    ::close(fd);
    return Error{Code::Io, "removing " + shown + ": something is mounted there"};
  }
  if ((st.st_mode & 0700) != 0700) (void)::fchmod(fd, 0700);
  std::unique_ptr<DIR, DirCloser> dir(::fdopendir(fd));
  if (!dir) {
    ::close(fd);
    return errno_error("removing " + shown);
  }
  for (;;) {
    errno = 0;
    dirent* entry = ::readdir(dir.get());
    if (!entry) break;
    if (std::strcmp(entry->d_name, ".") == 0 || std::strcmp(entry->d_name, "..") == 0) continue;
    TRY(remove_entry(::dirfd(dir.get()), entry->d_name, device, shown));
  }
  dir.reset();
  if (::unlinkat(parent, name, AT_REMOVEDIR) != 0 && errno != ENOENT) return errno_error("removing " + shown);
  return {};
}

}  // namespace

Result<void> remove_tree(const std::string& path) {
  struct stat st = {};
  if (::lstat(path.c_str(), &st) != 0) {
    if (errno == ENOENT) return {};
    return errno_error("removing " + path);
  }
  return remove_entry(AT_FDCWD, path.c_str(), st.st_dev, path);
}

Result<TempDir> TempDir::create(const std::string& parent, std::string_view prefix) {
  TRY(make_directories(parent));
  std::string path = parent + "/" + std::string(prefix) + "XXXXXX";
  if (!::mkdtemp(path.data())) return errno_error("creating a folder below " + parent);
  return TempDir(std::move(path));
}

TempDir::~TempDir() {
  if (!path_.empty()) (void)remove_tree(path_).ok();
}

}  // namespace archway
