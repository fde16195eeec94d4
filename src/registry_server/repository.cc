#include "registry_server/repository.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "image/manifest.h"

namespace archway::registry_server {

namespace {

constexpr std::string_view kLayoutFile = R"({"imageLayoutVersion":"1.0.0"})";

Descriptor referrer_entry(const Descriptor& manifest, std::string artifact_type, Annotations annotations) {
  Descriptor entry{manifest.media_type, manifest.digest, manifest.size};
  entry.artifact_type = std::move(artifact_type);
  entry.annotations = std::move(annotations);
  return entry;
}

// What a kill in the middle of write_file_atomic leaves.
void remove_stale_temporaries(const std::string& folder) {
  auto handle = open_file(folder, O_RDONLY | O_DIRECTORY);
  if (!handle.ok() || ::flock(handle->get(), LOCK_EX | LOCK_NB) != 0) return;  // somebody is writing: next time
  std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir(folder.c_str()), &::closedir);
  if (!dir) return;
  while (dirent* entry = ::readdir(dir.get())) {
    std::string_view name = entry->d_name;
    if (name.starts_with("index.json.tmp.") || name.starts_with("oci-layout.tmp.")) ::unlinkat(::dirfd(dir.get()), entry->d_name, 0);
  }
}

Result<void> create_layout(const std::string& store_root, const std::string& name) {
  std::string folder = store_root + "/" + name;
  for (const char* algorithm : {"sha256", "sha512"}) TRY(make_directories(folder + "/blobs/" + algorithm));
  if (!path_exists(folder + "/index.json")) TRY(write_file_atomic(folder + "/index.json", write_index_state({})));
  // Every folder that may be new, from the inside out; oci-layout last: with it, the repository exists.
  for (std::string at = folder + "/blobs"; at.size() >= store_root.size(); at.resize(at.rfind('/'))) TRY(sync_directory(at));
  return write_file_atomic(folder + "/oci-layout", kLayoutFile);
}

}  // namespace

Result<std::shared_ptr<Repository>> Repository::open(const std::string& store_root, const std::string& name, bool create) {
  std::string folder = store_root + "/" + name;
  if (!path_exists(folder + "/oci-layout")) {
    if (!create) return std::shared_ptr<Repository>();
    TRY(create_layout(store_root, name).context("creating repository " + name));
  } else {
    remove_stale_temporaries(folder);
  }
  return std::shared_ptr<Repository>(new Repository(std::move(folder), store_root));
}

std::string Repository::blob_path(const Digest& digest) const {
  return folder_ + "/blobs/" + std::string(digest.algorithm_name()) + "/" + digest.hex();
}

bool Repository::has_blob(const Digest& digest) const { return path_exists(blob_path(digest)); }

Result<OpenBlob> Repository::open_blob(const Digest& digest) const {
  Fd file = TRY(open_file(blob_path(digest), O_RDONLY | O_NOFOLLOW));
  struct stat st = {};
  if (::fstat(file.get(), &st) != 0) return errno_error("reading the size of blob " + digest.str());
  return OpenBlob{std::move(file), static_cast<uint64_t>(st.st_size)};
}

Result<void> Repository::link_blob(const std::string& path, const Digest& digest) {
  std::string to = blob_path(digest);
  if (::link(path.c_str(), to.c_str()) != 0 && errno != EEXIST) {
    if (errno != ENOENT) return errno_error("linking blob " + digest.str());
    // A layout that another tool made has no folder for an algorithm that it did not use.
    if (!path_exists(path)) return errno_error("linking blob " + digest.str(), ENOENT);
    TRY(make_directories(to.substr(0, to.rfind('/'))));
    TRY(sync_directory(folder_ + "/blobs"));
    if (::link(path.c_str(), to.c_str()) != 0 && errno != EEXIST) return errno_error("linking blob " + digest.str());
  }
  return sync_directory(to.substr(0, to.rfind('/')));
}

Result<void> Repository::take_blob(const std::string& path, const Digest& digest) {
  TRY(link_blob(path, digest));
  ::unlink(path.c_str());
  return {};
}

Result<void> Repository::remove_blob(const Digest& digest) {
  auto state = TRY(index_.read());
  if (state->manifests.contains(digest)) return Error{Code::Exists, digest.str() + " is a manifest; delete it as one"};
  if (::unlink(blob_path(digest).c_str()) != 0) return errno_error("deleting blob " + digest.str());
  return sync_directory(folder_ + "/blobs/" + std::string(digest.algorithm_name()));
}

std::optional<Descriptor> Repository::find_tag(const std::string& tag) {
  auto state = index_.read();
  if (!state.ok()) return std::nullopt;
  auto found = (*state)->tags.find(tag);
  if (found == (*state)->tags.end()) return std::nullopt;
  return found->second;
}

std::optional<Descriptor> Repository::find_manifest(const Digest& digest) {
  auto state = index_.read();
  if (!state.ok()) return std::nullopt;
  auto found = (*state)->manifests.find(digest);
  if (found == (*state)->manifests.end()) return std::nullopt;
  return found->second;
}

std::vector<std::string> Repository::tags() {
  std::vector<std::string> names;
  auto state = index_.read();
  if (!state.ok()) return names;
  for (const auto& [tag, descriptor] : (*state)->tags) names.push_back(tag);
  return names;
}

Result<void> Repository::put_manifest(const Descriptor& manifest, const std::vector<std::string>& tags) {
  return index_.edit([&](IndexState& state) -> Result<bool> {
    auto known = state.manifests.find(manifest.digest);
    bool changed = known == state.manifests.end();
    // A body that is silent about its type is what it was last pushed as.
    if (!changed && known->second.media_type != manifest.media_type) {
      changed = true;
      for (auto& [tag, entry] : state.tags) {
        if (entry.digest == manifest.digest) entry.media_type = manifest.media_type;
      }
    }
    if (changed) state.manifests.insert_or_assign(manifest.digest, manifest);
    for (const std::string& tag : tags) {
      auto at = state.tags.find(tag);
      if (at != state.tags.end() && at->second.digest == manifest.digest) continue;
      state.set_tag(tag, manifest);
      changed = true;
    }
    return changed;
  });
}

Result<void> Repository::remove_tag(const std::string& tag) {
  return index_.edit([&](IndexState& state) -> Result<bool> {
    if (state.tags.erase(tag) == 0) return Error{Code::NotFound, "there is no tag " + tag};
    return true;
  });
}

Result<void> Repository::remove_manifest(const Digest& digest) {
  TRY(index_.edit([&](IndexState& state) -> Result<bool> {
    if (state.manifests.erase(digest) == 0) return Error{Code::NotFound, "there is no manifest " + digest.str()};
    std::erase_if(state.tags, [&](const auto& tag) { return tag.second.digest == digest; });
    return true;
  }));
  {
    std::lock_guard lock(referrers_mutex_);
    referrers_.erase(digest);
  }
  // The index is without it already, and durably so; that the bytes are gone may be forgotten in a crash.
  ::unlink(blob_path(digest).c_str());
  return {};
}

Result<Repository::Referrer> Repository::read_referrer(const Descriptor& manifest) const {
  OpenBlob blob = TRY(open_blob(manifest.digest));
  FdSource source(std::move(blob.file), manifest.digest.str());
  std::string raw = TRY(read_all(source, kMaxManifestBytes, manifest.digest.str()));
  if (is_index(manifest.media_type)) {
    ImageIndex index = TRY(parse_index(raw, manifest.media_type));
    std::optional<Digest> subject;
    if (index.subject) subject = index.subject->digest;
    return Referrer{std::move(subject), referrer_entry(manifest, index.artifact_type, index.annotations)};
  }
  Manifest image = TRY(parse_manifest(raw, manifest.media_type));
  std::optional<Digest> subject;
  if (image.subject) subject = image.subject->digest;
  std::string type = image.artifact_type.empty() ? image.config.media_type : image.artifact_type;
  return Referrer{std::move(subject), referrer_entry(manifest, std::move(type), image.annotations)};
}

Result<std::vector<Descriptor>> Repository::referrers(const Digest& subject) {
  auto state = TRY(index_.read());
  std::vector<Descriptor> found;
  std::lock_guard lock(referrers_mutex_);
  std::erase_if(referrers_, [&](const auto& known) { return !state->manifests.contains(known.first); });
  for (const auto& [digest, manifest] : state->manifests) {
    auto at = referrers_.find(digest);
    if (at == referrers_.end()) {
      auto read = read_referrer(manifest);
      // Another tool's entry may be no manifest, or its blob gone: then it refers to nothing.
      Referrer known = read.ok() ? std::move(*read) : Referrer{std::nullopt, manifest};
      at = referrers_.emplace(digest, std::move(known)).first;
    }
    if (at->second.subject == subject) found.push_back(at->second.descriptor);
  }
  return found;
}

}  // namespace archway::registry_server
