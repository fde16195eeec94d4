#pragma once

#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "base/fd.h"
#include "base/hash.h"
#include "image/digest.h"
#include "registry_server/store.h"

namespace archway::registry_server {

inline constexpr size_t kMaxOpenUploads = 10'000;
// How long a request waits for another one that still writes to its upload: a client that was cut off comes back
// before the server has noticed.
inline constexpr std::chrono::milliseconds kUploadWait = std::chrono::seconds(5);

// What is known of one upload. Guarded by being leased.
struct Upload {
  std::string id, repository, path;
  Hasher hasher;
  uint64_t size = 0;
  bool leased = false, gone = false;
  bool unhashed = false;  // from before a restart: the hasher has not seen what is in the file
  std::chrono::steady_clock::time_point last_used = {};
};

class Uploads;

// The right to write to one upload, which one request at a time has. Used by one thread at a time.
class UploadLease {
 public:
  UploadLease(Uploads& uploads, std::shared_ptr<Upload> upload) : uploads_(uploads), upload_(std::move(upload)) {}
  UploadLease(const UploadLease&) = delete;
  ~UploadLease();

  const std::string& id() const { return upload_->id; }
  uint64_t size() const { return upload_->size; }
  // To be called before the first byte where the digest's algorithm is known then: saves reading the bytes again.
  void expect(HashAlgorithm algorithm);
  // What was written before a failure stays, and size() tells how much that is.
  Result<void> append(Bytes bytes);
  // Makes the bytes the blob `digest` of the repository, durably; the upload ends, also in failure. Mismatch where they
  // are others.
  Result<void> commit(const Digest& digest, Store& store, Repository& repository);
  void cancel();

 private:
  Result<void> open();
  Result<void> catch_up();

  Uploads& uploads_;
  std::shared_ptr<Upload> upload_;
  Fd file_;
  uint64_t flushed_ = 0;
};

// Uploads in progress: files below ROOT/_uploads, hashed while they are written. After a restart of the server an upload
// can be gone on with; what it has is then hashed anew. One that nobody has touched for `lifetime` is removed, as is
// what a kill left behind. Thread safe.
class Uploads {
 public:
  Uploads(std::string folder, std::chrono::seconds lifetime);

  // Unavailable where there are kMaxOpenUploads.
  Result<std::unique_ptr<UploadLease>> begin(const std::string& repository, HashAlgorithm algorithm);
  // NotFound where this repository has no such upload, Exists where another request keeps writing to it.
  Result<std::unique_ptr<UploadLease>> lease(const std::string& repository, const std::string& id);

 private:
  friend class UploadLease;
  std::string path_of(const std::string& repository, const std::string& id) const;
  std::shared_ptr<Upload> reopen(const std::string& repository, const std::string& id);
  void release(Upload& upload);
  void sweep();  // with mutex_ held

  std::string folder_;
  std::chrono::seconds lifetime_;
  std::mutex mutex_;
  std::condition_variable released_;
  std::map<std::string, std::shared_ptr<Upload>> uploads_;
  std::chrono::steady_clock::time_point last_sweep_ = {};
};

}  // namespace archway::registry_server
