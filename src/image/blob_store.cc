#include <fcntl.h>
#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>
#include <memory>
#include <vector>

#include "base/fd.h"
#include "base/hash.h"
#include "image/content.h"
#include "image/layout_index.h"

namespace archway {

namespace {

constexpr std::string_view kStagedPrefix = "blob-";
constexpr time_t kStaleSeconds = 24 * 60 * 60;

// What writers left that were killed. A day is far beyond any write that is still going on: each touches its file.
void remove_stale(const std::string& folder) {
  std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir(folder.c_str()), ::closedir);
  if (!dir) return;
  time_t now = ::time(nullptr);
  while (dirent* entry = ::readdir(dir.get())) {
    struct stat st = {};
    if (!std::string_view(entry->d_name).starts_with(kStagedPrefix)) continue;
    if (::fstatat(::dirfd(dir.get()), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode)) continue;
    if (now - st.st_mtime > kStaleSeconds) ::unlinkat(::dirfd(dir.get()), entry->d_name, 0);
  }
}

Result<Fd> create_staged(const std::string& folder, std::string& path) {
  // The folder goes away with the last store that uses it, so another process may just have removed it.
  for (int attempt = 0;; ++attempt) {
    path = folder + "/" + std::string(kStagedPrefix) + "XXXXXX";
    Fd fd(::mkostemp(path.data(), O_CLOEXEC));
    if (fd) return fd;
    if (errno != ENOENT || attempt == 10) return errno_error("creating a file below " + folder);
    TRY(make_directories(folder));
  }
}

}  // namespace

// A file below tmp that becomes a blob, or is discarded. Used by one thread at a time.
class StagedBlob {
 public:
  static Result<std::unique_ptr<StagedBlob>> create(BlobStore& store) {
    auto staged = std::unique_ptr<StagedBlob>(new StagedBlob(store));
    staged->fd_ = TRY(create_staged(store.root_ + "/tmp", staged->path_));
    return staged;
  }
  ~StagedBlob() {
    if (fd_) ::unlink(path_.c_str());
  }
  Result<void> write(Bytes bytes) {
    size_ += bytes.size();
    return write_all(fd_.get(), bytes).context("writing a blob to " + store_.root_);
  }
  uint64_t size() const { return size_; }

  Result<void> publish(const Digest& digest) {
    bool synced = store_.durability_ == BlobStore::Durability::Synced;
    std::string path = store_.path_of(digest);
    std::string folder = path.substr(0, path.rfind('/'));
    if (::fchmod(fd_.get(), 0644) != 0) return errno_error("setting the mode of " + path_);
    if (synced && ::fsync(fd_.get()) != 0) return errno_error("syncing " + path_);
    if (digest.algorithm() != HashAlgorithm::Sha256) TRY(make_directories(folder));
    // Two writers of one digest rename equal files over each other; readers never see less than a whole one.
    if (::rename(path_.c_str(), path.c_str()) != 0) return errno_error("renaming to " + path);
    fd_.reset();
    return synced ? sync_directory(folder) : Result<void>{};
  }

 private:
  explicit StagedBlob(BlobStore& store) : store_(store) {}
  BlobStore& store_;
  Fd fd_;
  std::string path_;
  uint64_t size_ = 0;
};

Result<std::shared_ptr<BlobStore>> BlobStore::open(std::string root, Durability durability) {
  if (!path_exists(root + "/blobs/sha256")) {  // a store that is only read may be on a read-only file system
    TRY(make_directories(root + "/blobs/sha256"));
    for (std::string folder : {root + "/blobs", root}) {
      if (durability == Durability::Synced) TRY(sync_directory(folder));
    }
  }
  remove_stale(root + "/tmp");
  return std::shared_ptr<BlobStore>(new BlobStore(std::move(root), durability));
}

BlobStore::~BlobStore() { ::rmdir((root_ + "/tmp").c_str()); }  // stays where others still write

std::string BlobStore::path_of(const Digest& digest) const { return root_ + "/blobs/" + std::string(digest.algorithm_name()) + "/" + digest.hex(); }

Result<std::unique_ptr<Source>> BlobStore::open(const Descriptor& blob) {
  std::string path = path_of(blob.digest);
  // Not blocking: a layout from elsewhere may have a fifo where a blob should be. Symlinks are followed, as some
  // builders make layouts of them; what comes out is held against the digest.
  auto fd = open_file(path, O_RDONLY | O_NONBLOCK);
  if (!fd.ok()) {
    if (fd.error().code != Code::NotFound) return std::move(fd).error();
    return Error{Code::NotFound, "blob " + blob.digest.str() + " is not in " + root_};
  }
  struct stat st = {};
  if (::fstat(fd->get(), &st) != 0) return errno_error("reading " + path);
  if (!S_ISREG(st.st_mode)) return Error{Code::Invalid, path + " is not a file"};
  return std::unique_ptr<Source>(std::make_unique<FdSource>(std::move(fd).value(), path));
}

Result<PutOutcome> BlobStore::put(const Descriptor& blob, Provider& from, ProgressTask* progress, std::stop_token stop) {
  // One of another length is what a power cut left of a Cache store: it is written anew.
  if (size_of(blob.digest) == blob.size) return PutOutcome::Existed;
  auto source = TRY(open_blob(from, blob));
  auto staged = TRY(StagedBlob::create(*this));
  std::vector<std::byte> buffer(kCopyBufferBytes);
  for (;;) {
    if (stop.stop_requested()) return Error{Code::Cancelled, "copying " + blob.digest.str() + ": stopped"};
    size_t n = TRY(source->read(buffer));
    if (n == 0) break;
    TRY(staged->write(Bytes(buffer.data(), n)));
    if (progress) progress->advance(n);
  }
  TRY(staged->publish(blob.digest));
  return PutOutcome::Stored;
}

Result<void> BlobStore::tag(const Descriptor& root, std::string_view raw, std::string_view name) {
  (void)raw;
  Descriptor entry = layout_entry(root, name);
  return update_layout_index(root_, [&](std::string_view index) { return add_to_layout_index(index, entry); });
}

bool BlobStore::has(const Digest& digest) const { return size_of(digest).has_value(); }

std::optional<uint64_t> BlobStore::size_of(const Digest& digest) const {
  struct stat st = {};
  if (::stat(path_of(digest).c_str(), &st) != 0 || !S_ISREG(st.st_mode)) return std::nullopt;
  return static_cast<uint64_t>(st.st_size);
}

Result<Descriptor> BlobStore::put_bytes(std::string_view media_type, std::string_view bytes) {
  Descriptor blob = descriptor_of(media_type, bytes);
  if (size_of(blob.digest) == blob.size) return blob;
  auto staged = TRY(StagedBlob::create(*this));
  TRY(staged->write(as_bytes(bytes)));
  TRY(staged->publish(blob.digest));
  return blob;
}

Result<void> BlobStore::remove(const Digest& digest) {
  std::string path = path_of(digest);
  if (::unlink(path.c_str()) != 0) return errno_error("removing " + path);
  return {};
}

struct BlobStore::Writer::State {
  State(BlobStore& owner, HashAlgorithm algorithm) : store(owner), hasher(algorithm) {}
  BlobStore& store;
  Hasher hasher;
  std::unique_ptr<StagedBlob> staged;
};

BlobStore::Writer::Writer(BlobStore& store, HashAlgorithm algorithm) : state_(std::make_unique<State>(store, algorithm)) {}
BlobStore::Writer::~Writer() = default;
uint64_t BlobStore::Writer::size() const { return state_->staged ? state_->staged->size() : 0; }

Result<void> BlobStore::Writer::write(Bytes bytes) {
  if (!state_->staged) state_->staged = TRY(StagedBlob::create(state_->store));
  state_->hasher.update(bytes);
  return state_->staged->write(bytes);
}

Result<Descriptor> BlobStore::Writer::commit(std::string_view media_type, const std::optional<Digest>& expected) {
  TRY(write(Bytes()));  // a blob may be empty
  auto staged = std::move(state_->staged);
  Digest digest = Digest::from_hex(state_->hasher.algorithm(), state_->hasher.hex());
  if (expected && *expected != digest) {
    return Error{Code::Mismatch, "the blob should be " + expected->str() + ", but its " + std::to_string(staged->size()) + " bytes hash to " + digest.hex()};
  }
  Descriptor blob{std::string(media_type), digest, staged->size()};
  if (state_->store.size_of(digest) != blob.size) TRY(staged->publish(digest));
  return blob;
}

Result<std::unique_ptr<BlobStore::Writer>> BlobStore::begin(HashAlgorithm algorithm) {
  auto writer = std::make_unique<Writer>(*this, algorithm);
  TRY(writer->write(Bytes()));  // a full disk or a missing right shows here
  return writer;
}

}  // namespace archway
