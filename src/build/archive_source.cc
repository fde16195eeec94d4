#include "build/archive_source.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "dockerfile/ignore.h"
#include "format/compress.h"
#include "format/tar.h"

namespace archway::build {

namespace {

constexpr size_t kMaxArchiveMembers = 4'000'000;

// The start of a stream, given back before the rest.
class PushedBackSource final : public Source {
 public:
  PushedBackSource(Bytes head, Source& rest) : head_(head), rest_(rest) {}
  Result<size_t> read(std::span<std::byte> into) override {
    if (head_.empty()) return rest_.read(into);
    size_t n = std::min(into.size(), head_.size());
    std::memcpy(into.data(), head_.data(), n);
    head_ = head_.subspan(n);
    return n;
  }

 private:
  Bytes head_;
  Source& rest_;
};

// A part of a file, by pread: several may be open at once.
class FilePart final : public Source {
 public:
  FilePart(std::shared_ptr<const ArchiveSource> keeper, int fd, uint64_t offset, uint64_t size) : keeper_(std::move(keeper)), fd_(fd), offset_(offset), left_(size) {}
  Result<size_t> read(std::span<std::byte> into) override {
    size_t want = static_cast<size_t>(std::min<uint64_t>(into.size(), left_));
    if (want == 0) return static_cast<size_t>(0);
    ssize_t n = ::pread(fd_, into.data(), want, static_cast<off_t>(offset_));
    if (n < 0) return errno_error("reading an archive");
    offset_ += static_cast<uint64_t>(n);
    left_ -= static_cast<uint64_t>(n);
    return static_cast<size_t>(n);
  }

 private:
  std::shared_ptr<const ArchiveSource> keeper_;
  int fd_;
  uint64_t offset_, left_;
};

std::string canonical(std::string_view path) { return dockerfile::clean_path("/" + std::string(path)).substr(1); }

Result<Fd> unlinked_file(const std::string& directory) {
  TRY(make_directories(directory));
  return open_file(directory, O_TMPFILE | O_RDWR, 0600);
}

}  // namespace

Result<std::shared_ptr<ArchiveSource>> ArchiveSource::open_if_archive(const FileOpener& open, const std::string& scratch_dir, const std::string& name) {
  auto packed = TRY(open());
  std::byte head[512];
  size_t got = TRY(read_full(*packed, head));
  Codec codec = detect_codec(Bytes(head, got));
  auto archive = std::make_shared<ArchiveSource>();
  archive->name_ = name;
  PushedBackSource whole(Bytes(head, got), *packed);
  auto unpacked = codec == Codec::None ? nullptr : decompress(codec, whole);
  Source& tar_bytes = unpacked ? *unpacked : static_cast<Source&>(whole);

  // What does not begin like a tar is copied as it is, be it packed or not.
  std::byte first[512];
  auto first_got = read_full(tar_bytes, first);
  if (!first_got.ok() || *first_got < sizeof first || !looks_like_tar(first)) return std::shared_ptr<ArchiveSource>();
  archive->file_ = TRY(unlinked_file(scratch_dir));
  TRY(write_all(archive->file_.get(), first).context("unpacking " + name));
  FdSink sink(archive->file_.get());
  TRY(archway::copy(tar_bytes, sink).context("unpacking " + name));

  if (::lseek(archive->file_.get(), 0, SEEK_SET) != 0) return errno_error("unpacking " + name);
  FdSource source(Fd(::fcntl(archive->file_.get(), F_DUPFD_CLOEXEC, 0)), name);
  TarReader reader(source);
  for (;;) {
    auto entry = TRY(reader.next().context(name));
    if (!entry) break;
    if (archive->members_.size() >= kMaxArchiveMembers) return Error{Code::Invalid, name + ": more than " + std::to_string(kMaxArchiveMembers) + " members"};
    Member member;
    member.path = canonical(entry->path);
    member.offset = reader.data_offset();
    member.entry = TreeEntry{.type = entry->type,
                             .mode = entry->mode,
                             .uid = static_cast<uint32_t>(entry->uid),
                             .gid = static_cast<uint32_t>(entry->gid),
                             .size = entry->size,
                             .mtime = entry->mtime,
                             .link = entry->type == TarType::Hardlink ? canonical(entry->link) : entry->link,
                             .dev_major = entry->dev_major,
                             .dev_minor = entry->dev_minor,
                             .xattrs = entry->xattrs};
    archive->members_.push_back(std::move(member));
  }
  return archive;
}

Result<std::unique_ptr<Source>> ArchiveSource::open(const Member& member) const {
  return std::unique_ptr<Source>(std::make_unique<FilePart>(shared_from_this(), file_.get(), member.offset, member.entry.size));
}

}  // namespace archway::build
