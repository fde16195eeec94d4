#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/text.h"
#include "format/compress.h"
#include "image/archive.h"

namespace archway {

namespace {

// Reads a stretch of a file at its own place, so that many can be read at once.
class StretchSource final : public Source {
 public:
  StretchSource(int fd, TarIndex::Entry entry, std::string name) : fd_(fd), at_(entry.offset), left_(entry.size), name_(std::move(name)) {}
  Result<size_t> read(std::span<std::byte> into) override {
    size_t want = static_cast<size_t>(std::min<uint64_t>(into.size(), left_));
    if (want == 0) return size_t{0};
    ssize_t n;
    do n = ::pread(fd_, into.data(), want, static_cast<off_t>(at_));
    while (n < 0 && errno == EINTR);
    if (n < 0) return errno_error("reading " + name_);
    if (n == 0) return Error{Code::Invalid, name_ + " ends in the middle of an entry"};
    at_ += static_cast<uint64_t>(n);
    left_ -= static_cast<uint64_t>(n);
    return static_cast<size_t>(n);
  }
  Result<uint64_t> skip(uint64_t count) override {
    uint64_t n = std::min(count, left_);
    at_ += n;
    left_ -= n;
    return n;
  }

 private:
  int fd_;
  uint64_t at_, left_;
  std::string name_;
};

// "./blobs//x" and "/blobs/x" are "blobs/x"; ".." steps up, and never out.
std::string plain_path(std::string_view path) {
  std::vector<std::string> parts;
  for (std::string& part : split(path, '/')) {
    if (part.empty() || part == ".") continue;
    if (part != "..") parts.push_back(std::move(part));
    else if (!parts.empty()) parts.pop_back();
  }
  return join(parts, "/");
}

Result<Fd> unpack(Codec codec, Fd packed, const std::string& path, const std::string& temporary) {
  Fd plain(::open(temporary.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  if (!plain) return errno_error("creating a file below " + temporary + " to unpack " + path);
  FdSource source(std::move(packed), path);
  auto unpacked = decompress(codec, source);
  FdSink sink(plain.get());
  TRY(copy(*unpacked, sink).context("unpacking " + path));
  if (::lseek(plain.get(), 0, SEEK_SET) < 0) return errno_error("seeking in " + path);
  return plain;
}

}  // namespace

Result<std::shared_ptr<TarIndex>> TarIndex::open(const std::string& path, const std::string& temporary) {
  Fd fd = TRY(open_file(path, O_RDONLY));
  struct stat st = {};
  if (::fstat(fd.get(), &st) != 0) return errno_error("reading " + path);
  if (!S_ISREG(st.st_mode)) return Error{Code::Invalid, path + " is not a file", S_ISDIR(st.st_mode) ? "for an OCI layout in a folder, write oci:" + path : ""};
  std::byte first[6];
  ssize_t n = ::pread(fd.get(), first, sizeof first, 0);
  if (n < 0) return errno_error("reading " + path);
  Codec codec = detect_codec(Bytes(first, static_cast<size_t>(n)));
  if (codec != Codec::None) fd = TRY(unpack(codec, std::move(fd), path, temporary));
  auto index = std::make_shared<TarIndex>();
  index->fd_ = std::move(fd);
  index->name_ = path;
  TRY(index->scan().context("reading the archive " + path));
  return index;
}

Result<void> TarIndex::scan() {
  Fd own(::fcntl(fd_.get(), F_DUPFD_CLOEXEC, 0));
  if (!own) return errno_error("reading " + name_);
  FdSource source(std::move(own), name_);
  TarReader reader(source);
  while (auto entry = TRY(reader.next())) {
    if (items_.size() == kMaxArchiveEntries) return Error{Code::Invalid, "it has more than " + std::to_string(kMaxArchiveEntries) + " entries"};
    std::string path = plain_path(entry->path);
    if (entry->type == TarType::Regular) {
      items_[path] = {{reader.data_offset(), entry->size}, "", false};
    } else if (entry->type == TarType::Symlink || entry->type == TarType::Hardlink) {
      items_[path] = {{}, entry->link, entry->type == TarType::Hardlink};
    }
  }
  return {};
}

Result<TarIndex::Entry> TarIndex::find(std::string_view path) const {
  std::string at = plain_path(path);
  for (size_t depth = 0; depth < kMaxArchiveLinkDepth; ++depth) {
    auto found = items_.find(at);
    if (found == items_.end()) return Error{Code::NotFound, name_ + " has no entry " + at};
    const Item& item = found->second;
    if (item.link.empty()) return item.entry;
    bool from_root = item.hard || item.link.starts_with('/');
    size_t slash = at.rfind('/');
    at = plain_path(from_root || slash == std::string::npos ? item.link : at.substr(0, slash) + "/" + item.link);
  }
  return Error{Code::Invalid, name_ + ": too many links on the way to " + std::string(path)};
}

Result<std::string> TarIndex::read(std::string_view path, uint64_t limit) const {
  Entry entry = TRY(find(path));
  if (entry.size > limit) return Error{Code::Invalid, name_ + ": " + std::string(path) + " has " + std::to_string(entry.size) + " bytes, more than " + std::to_string(limit)};
  auto bytes = source(entry);
  return read_all(*bytes, limit, path);
}

std::unique_ptr<Source> TarIndex::source(const Entry& entry) const { return std::make_unique<StretchSource>(fd_.get(), entry, name_); }

}  // namespace archway
