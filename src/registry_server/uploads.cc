#include "registry_server/uploads.h"

#include <dirent.h>
#include <fcntl.h>
#include <openssl/rand.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>

#include "base/check.h"
#include "base/text.h"

namespace archway::registry_server {

namespace {

constexpr std::chrono::seconds kSweepInterval = std::chrono::minutes(1);
// The kernel is told to begin writing each time so many bytes have come, so that fsync at the end has little left.
constexpr uint64_t kFlushBytes = 8 << 20;

std::string random_id() {
  unsigned char bytes[16];
  CHECK(RAND_bytes(bytes, sizeof bytes) == 1);
  return to_hex({reinterpret_cast<const char*>(bytes), sizeof bytes});
}

Result<void> hash_file(const std::string& path, Hasher& hasher, uint64_t size) {
  auto file = open_file(path, O_RDONLY);
  if (!file.ok() && file.error().code == Code::NotFound && size == 0) return {};
  FdSource source(TRY(std::move(file)), path);
  std::string buffer(kCopyBufferBytes, '\0');
  while (size > 0) {
    size_t want = std::min<uint64_t>(buffer.size(), size);
    size_t got = TRY(source.read({reinterpret_cast<std::byte*>(buffer.data()), want}));
    if (got == 0) return Error{Code::Io, "reading " + path + ": it has become shorter"};
    hasher.update(std::string_view(buffer).substr(0, got));
    size -= got;
  }
  return {};
}

}  // namespace

Uploads::Uploads(std::string folder, std::chrono::seconds lifetime) : folder_(std::move(folder)), lifetime_(lifetime) {
  std::lock_guard lock(mutex_);
  sweep();
  // Nobody comes back for a manifest that a kill cut off.
  std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir(folder_.c_str()), &::closedir);
  while (dirent* entry = dir ? ::readdir(dir.get()) : nullptr) {
    if (std::string_view(entry->d_name).starts_with(kManifestPrefix)) ::unlinkat(::dirfd(dir.get()), entry->d_name, 0);
  }
}

// The repository is part of the file's name, so that an id leads nowhere in another one, also after a restart.
std::string Uploads::path_of(const std::string& repository, const std::string& id) const {
  return folder_ + "/" + id + "-" + sha256_hex(repository).substr(0, 32);
}

Result<std::unique_ptr<UploadLease>> Uploads::begin(const std::string& repository, HashAlgorithm algorithm) {
  auto upload = std::make_shared<Upload>(Upload{random_id(), repository, {}, Hasher(algorithm)});
  upload->path = path_of(repository, upload->id);
  upload->leased = true;
  std::lock_guard lock(mutex_);
  if (std::chrono::steady_clock::now() - last_sweep_ > kSweepInterval) sweep();
  if (uploads_.size() >= kMaxOpenUploads) return Error{Code::Unavailable, "too many uploads are open"};
  uploads_.emplace(upload->id, upload);
  return std::make_unique<UploadLease>(*this, std::move(upload));
}

Result<std::unique_ptr<UploadLease>> Uploads::lease(const std::string& repository, const std::string& id) {
  std::unique_lock lock(mutex_);
  auto found = uploads_.find(id);
  std::shared_ptr<Upload> upload = found != uploads_.end() ? found->second : nullptr;
  if (!upload) upload = reopen(repository, id);
  if (!upload || upload->repository != repository) return Error{Code::NotFound, "there is no upload " + id + " in this repository"};
  if (!released_.wait_for(lock, kUploadWait, [&] { return !upload->leased || upload->gone; })) {
    return Error{Code::Exists, "another request is writing to upload " + id};
  }
  if (upload->gone) return Error{Code::NotFound, "upload " + id + " has ended"};
  upload->leased = true;
  return std::make_unique<UploadLease>(*this, std::move(upload));
}

// One from before a restart; null where there is none. With mutex_ held.
std::shared_ptr<Upload> Uploads::reopen(const std::string& repository, const std::string& id) {
  std::string path = path_of(repository, id);
  struct stat st = {};
  if (::stat(path.c_str(), &st) != 0) return nullptr;
  auto upload = std::make_shared<Upload>(Upload{id, repository, path, Hasher()});
  upload->size = static_cast<uint64_t>(st.st_size);
  upload->unhashed = upload->size > 0;
  uploads_.emplace(id, upload);
  return upload;
}

void Uploads::release(Upload& upload) {
  std::lock_guard lock(mutex_);
  upload.leased = false;
  upload.last_used = std::chrono::steady_clock::now();
  if (upload.gone) uploads_.erase(upload.id);
  released_.notify_all();
}

void Uploads::sweep() {
  auto now = std::chrono::steady_clock::now();
  last_sweep_ = now;
  std::erase_if(uploads_, [&](auto& item) {
    Upload& upload = *item.second;
    bool stale = !upload.leased && now - upload.last_used > lifetime_;
    if (stale) {
      upload.gone = true;
      ::unlink(upload.path.c_str());
    }
    return stale;
  });
  std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir(folder_.c_str()), &::closedir);
  if (!dir) return;
  while (dirent* entry = ::readdir(dir.get())) {
    std::string_view name = entry->d_name;
    struct stat st = {};
    if (name.starts_with(".") || uploads_.contains(std::string(name.substr(0, 32)))) continue;
    if (::fstatat(::dirfd(dir.get()), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0) continue;
    if (std::time(nullptr) - st.st_mtim.tv_sec > lifetime_.count()) ::unlinkat(::dirfd(dir.get()), entry->d_name, 0);
  }
}

UploadLease::~UploadLease() { uploads_.release(*upload_); }

void UploadLease::expect(HashAlgorithm algorithm) {
  if (upload_->size == 0 && upload_->hasher.algorithm() != algorithm) upload_->hasher = Hasher(algorithm);
}

Result<void> UploadLease::open() {
  if (file_) return {};
  file_ = TRY(open_file(upload_->path, O_WRONLY | O_CREAT, 0644));
  // A write that failed half-way may have left more than was counted and hashed.
  if (::ftruncate(file_.get(), static_cast<off_t>(upload_->size)) != 0 || ::lseek(file_.get(), 0, SEEK_END) < 0) return errno_error("opening " + upload_->path);
  flushed_ = upload_->size;
  return {};
}

Result<void> UploadLease::catch_up() {
  if (!upload_->unhashed) return {};
  upload_->hasher = Hasher(upload_->hasher.algorithm());
  TRY(hash_file(upload_->path, upload_->hasher, upload_->size));
  upload_->unhashed = false;
  return {};
}

Result<void> UploadLease::append(Bytes bytes) {
  TRY(open());
  TRY(catch_up());
  auto written = write_all(file_.get(), bytes);
  if (!written.ok()) {
    file_.reset();
    return written;
  }
  upload_->hasher.update(bytes);
  upload_->size += bytes.size();
  if (upload_->size - flushed_ >= kFlushBytes) {
    (void)::sync_file_range(file_.get(), static_cast<off_t>(flushed_), static_cast<off_t>(upload_->size - flushed_), SYNC_FILE_RANGE_WRITE);
    flushed_ = upload_->size;
  }
  return {};
}

Result<void> UploadLease::commit(const Digest& digest, Store& store, Repository& repository) {
  auto finish = [&]() -> Result<void> {
    TRY(catch_up());
    std::string hex;
    if (upload_->hasher.algorithm() == digest.algorithm()) {
      hex = upload_->hasher.hex();
    } else {
      Hasher other(digest.algorithm());
      TRY(hash_file(upload_->path, other, upload_->size));
      hex = other.hex();
    }
    if (hex != digest.hex()) {
      return Error{Code::Mismatch, "the " + std::to_string(upload_->size) + " bytes that came are " + Digest::from_hex(digest.algorithm(), hex).str() + ", not " + digest.str()};
    }
    TRY(open());  // an empty blob has no file yet
    return store.adopt(upload_->path, file_.get(), digest, repository);
  };
  auto result = finish();
  cancel();  // on success the file has another name already
  return result;
}

void UploadLease::cancel() {
  file_.reset();
  ::unlink(upload_->path.c_str());
  upload_->gone = true;
}

}  // namespace archway::registry_server
