#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"
#include "base/stream.h"

namespace archway {

// Owns one open file descriptor.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    if (this != &other) reset(std::exchange(other.fd_, -1));
    return *this;
  }
  ~Fd() { reset(); }
  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  int release() { return std::exchange(fd_, -1); }
  void reset(int fd = -1);

 private:
  int fd_ = -1;
};

// Each names the path in its error. O_CLOEXEC is always added.
Result<Fd> open_file(const std::string& path, int flags, mode_t mode = 0644);
Result<Fd> open_at(int dir, const std::string& path, int flags, mode_t mode = 0644);
// Opens `path` with `dir` as its root: `..`, absolute paths and symlinks cannot lead out, and the
// kernel sees to it (openat2 RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS). The only way to follow a
// path that came from an archive, an image or a build context.
Result<Fd> open_in_root(int dir, const std::string& path, int flags, mode_t mode = 0644);

Result<void> write_all(int fd, Bytes bytes);
Result<std::string> read_file(const std::string& path, uint64_t limit_bytes);
// Temporary file beside, fsync, rename, fsync of the folder: after a crash the old or the new, whole.
Result<void> write_file_atomic(const std::string& path, std::string_view text, mode_t mode = 0644);
Result<void> sync_directory(const std::string& path);
Result<void> make_directories(const std::string& path, mode_t mode = 0755);
// Removes a tree. Follows no symlink, crosses no mount, copes with folders that lack permissions. Missing is fine.
Result<void> remove_tree(const std::string& path);
bool path_exists(const std::string& path);

class FdSource final : public Source {
 public:
  explicit FdSource(Fd fd, std::string name = "file") : fd_(std::move(fd)), name_(std::move(name)) {}
  Result<size_t> read(std::span<std::byte> into) override;
  Result<uint64_t> skip(uint64_t count) override;  // seeks where the file can
  int fd() const { return fd_.get(); }

 private:
  Fd fd_;
  std::string name_;
};

class FdSink final : public Sink {
 public:
  explicit FdSink(int borrowed_fd) : fd_(borrowed_fd) {}
  using Sink::write;
  Result<void> write(Bytes bytes) override { return write_all(fd_, bytes); }

 private:
  int fd_;
};

// A folder that is gone, with all in it, when this is.
class TempDir {
 public:
  // Below `parent`, named `<prefix>XXXXXX`, mode 0700.
  static Result<TempDir> create(const std::string& parent, std::string_view prefix = "archway-");
  TempDir(TempDir&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  TempDir& operator=(TempDir&&) = delete;
  ~TempDir();
  const std::string& path() const { return path_; }
  std::string operator/(std::string_view name) const { return path_ + "/" + std::string(name); }
  // Keeps the folder; the caller owns it now.
  std::string release() { return std::exchange(path_, {}); }

 private:
  explicit TempDir(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

}  // namespace archway
