#include "build/file_source.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>

#include "base/hash.h"

namespace archway::build {

namespace {

// Up to here reading and writing is cheaper than asking the kernel whether it could do better.
constexpr off_t kSmallFileBytes = 64 * 1024;
constexpr size_t kCopyBytes = size_t{1} << 30;

Result<void> stream_bytes(int from, int to) {
  std::array<std::byte, kSmallFileBytes> buffer;
  for (;;) {
    const ssize_t n = ::read(from, buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno_error("reading");
    if (n == 0) return {};
    TRY(write_all(to, {buffer.data(), static_cast<size_t>(n)}));
  }
}

}  // namespace

Result<void> copy_bytes(int from, int to) {
  struct stat st = {};
  if (::fstat(from, &st) != 0) return errno_error("reading");
  if (st.st_size <= kSmallFileBytes) return stream_bytes(from, to);
  if (::ioctl(to, FICLONE, from) == 0) return {};
  for (off_t copied = 0;;) {
    const ssize_t n = ::copy_file_range(from, nullptr, to, nullptr, kCopyBytes, 0);
    if (n < 0 && errno == EINTR) continue;
    // Not between these file systems, or not of this kind of file: what is copied so far stays, and the rest is read.
    if (n < 0 && copied == 0) return stream_bytes(from, to);
    if (n < 0) return errno_error("copying");
    if (n == 0) return copied == 0 ? stream_bytes(from, to) : Result<void>();
    copied += n;
  }
}

Result<void> FileSource::copy_to(const std::string& path, int fd) {
  auto source = TRY(open(path));
  if (auto* file = dynamic_cast<FdSource*>(source.get())) return copy_bytes(file->fd(), fd).context("/" + path);
  FdSink sink(fd);
  TRY(archway::copy(*source, sink).context("/" + path));
  return {};
}

Result<std::optional<std::string>> TreeSource::resolve(std::string_view path) { return tree_.resolve(path); }

Result<std::optional<FileSource::File>> TreeSource::stat(const std::string& path) {
  auto found = tree_.lookup(path);
  if (!found) return std::optional<File>();
  File file{*found->entry, {}, found->entry->mtime};
  // The tree resolves a second name to what it names; the layer's own entry says that it is one.
  const TreeEntry* own = tree_.layers()[found->layer]->find(path);
  bool second_name = own && own->type == TarType::Hardlink;
  if (file.entry.type == TarType::Regular) file.link_group = std::to_string(found->layer) + ":" + (second_name ? own->link : path);
  return std::optional(std::move(file));
}

Result<std::vector<std::string>> TreeSource::children(const std::string& path) { return tree_.children(path); }

Result<std::unique_ptr<Source>> TreeSource::open(const std::string& path) {
  auto found = tree_.lookup(path);
  if (!found) return Error{Code::NotFound, "/" + path + ": not found"};
  Fd folder = TRY(open_file(folders_.at(found->layer), O_PATH | O_DIRECTORY));
  Fd file = TRY(open_in_root(folder.get(), path, O_RDONLY | O_NOFOLLOW));
  return std::unique_ptr<Source>(std::make_unique<FdSource>(std::move(file), "/" + path));
}

Result<std::string> TreeSource::content_digest(const std::string& path, const TreeEntry&) {
  auto source = TRY(open(path));
  HashingSink hash(nullptr);
  TRY(archway::copy(*source, hash));
  return hash.hex();
}

// An unpacked layer never changes, and its folder is named by its digest.
Result<std::string> TreeSource::content_identity(const std::string& path, const TreeEntry&) {
  auto found = tree_.lookup(path);
  if (!found) return Error{Code::NotFound, "/" + path + ": not found"};
  return folders_.at(found->layer) + "/" + std::string(found->name);
}

}  // namespace archway::build
