#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/fd.h"
#include "image/descriptor.h"
#include "registry_server/index_file.h"

namespace archway::registry_server {

struct OpenBlob {
  Fd file;
  uint64_t size = 0;
};

// One repository: an OCI image layout (image-spec, image-layout.md) in a folder of its own, readable by skopeo, umoci and
// the like. Its manifests, and only those, are in index.json, one entry per tag, or one without a tag; blobs are in
// blobs/<algorithm>/<hex>, hard-linked with those of other repositories. It serves what it holds and nothing else. Thread safe.
class Repository {
 public:
  // Creates the folder, durably, where there is none and `create` says so; else null.
  static Result<std::shared_ptr<Repository>> open(const std::string& store_root, const std::string& name, bool create);

  bool has_blob(const Digest& digest) const;
  Result<OpenBlob> open_blob(const Digest& digest) const;  // NotFound
  std::string blob_path(const Digest& digest) const;
  // Gives the file at `path`, which is whole and synced, another name here. Durable when it returns.
  Result<void> link_blob(const std::string& path, const Digest& digest);
  // As link_blob, but takes the file away from `path`.
  Result<void> take_blob(const std::string& path, const Digest& digest);
  Result<void> remove_blob(const Digest& digest);  // NotFound; Exists where it is a manifest

  std::optional<Descriptor> find_tag(const std::string& tag);
  std::optional<Descriptor> find_manifest(const Digest& digest);
  std::vector<std::string> tags();  // in byte order
  // Puts a manifest, whose blob is here, into index.json, with these tags; they move when they had another. Durable.
  Result<void> put_manifest(const Descriptor& manifest, const std::vector<std::string>& tags);
  Result<void> remove_tag(const std::string& tag);         // NotFound; the manifest stays
  Result<void> remove_manifest(const Digest& digest);      // NotFound; its tags go too
  // Of manifests whose subject is `subject`, as the referrers API lists them, by digest.
  Result<std::vector<Descriptor>> referrers(const Digest& subject);

 private:
  struct Referrer {
    std::optional<Digest> subject;
    Descriptor descriptor;
  };
  Repository(std::string folder, std::string store_root) : folder_(std::move(folder)), store_root_(std::move(store_root)), index_(folder_) {}
  Result<Referrer> read_referrer(const Descriptor& manifest) const;

  std::string folder_, store_root_;
  IndexFile index_;
  std::mutex referrers_mutex_;
  std::map<Digest, Referrer> referrers_;  // what is known of manifests in index_; read when first asked for
};

}  // namespace archway::registry_server
