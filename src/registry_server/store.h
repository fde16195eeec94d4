#pragma once

#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/fd.h"
#include "base/sync.h"
#include "registry_server/repository.h"

namespace archway::registry_server {

// Files that hold manifests for a moment, in uploads_folder().
inline constexpr std::string_view kManifestPrefix = "manifest-";

// A folder of repositories:
//     ROOT/<repository>/{oci-layout,index.json,blobs/<algorithm>/<hex>}   an OCI image layout each
//     ROOT/_blobs/<algorithm>/<hex>                                       every blob once more, by hard link
//     ROOT/_uploads/                                                      what is not whole yet
//     ROOT/_lock                                                          held by the one server that uses it
// No repository's name begins with "_". A blob that comes a second time, or is mounted, costs a link; one that no
// repository holds any longer (a link count of one) is dropped from _blobs. Losing a link of _blobs, in a crash or a
// race, only means that a blob is stored twice: no repository depends on _blobs. Thread safe.
class Store {
 public:
  // Exists where another server uses the folder.
  static Result<std::unique_ptr<Store>> open(std::string root);
  ~Store();

  // Null where there is none.
  Result<std::shared_ptr<Repository>> find(const std::string& name);
  Result<std::shared_ptr<Repository>> find_or_create(const std::string& name);
  std::vector<std::string> names() const;  // in byte order

  // Moves a file, also open as `fd`, whose bytes are known to be those of `digest`, into the repository. Durable on return.
  Result<void> adopt(const std::string& file, int fd, const Digest& digest, Repository& repository);
  Result<void> adopt_bytes(std::string_view bytes, const Digest& digest, Repository& repository);
  // Links a blob from `from` (null: any repository) into `to`; false where it is not there.
  Result<bool> mount(Repository* from, Repository& to, const Digest& digest);
  // After a blob or manifest has gone from a repository.
  void forget_unused(const Digest& digest);

  std::string uploads_folder() const { return root_ + "/_uploads"; }

 private:
  Store(std::string root, Fd lock) : root_(std::move(root)), lock_(std::move(lock)) {}
  std::string pool_path(const Digest& digest) const;
  Result<std::shared_ptr<Repository>> get(const std::string& name, bool create);
  void sweep_pool(std::stop_token stop);

  std::string root_;
  Fd lock_;
  Sync<std::map<std::string, std::shared_ptr<Repository>>> repositories_;
  std::jthread sweeper_;
};

}  // namespace archway::registry_server
