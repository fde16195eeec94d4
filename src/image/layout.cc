#include "image/layout.h"

#include <dirent.h>

#include <cstring>

#include "base/fd.h"
#include "image/manifest.h"

namespace archway {

namespace {

constexpr uint64_t kMaxLayoutFileBytes = 4096;

Result<void> check_layout_file(const std::string& dir) {
  auto raw = read_file(dir + "/oci-layout", kMaxLayoutFileBytes);
  if (!raw.ok()) {
    if (raw.error().code != Code::NotFound || !path_exists(dir)) return std::move(raw).error();
    return Error{Code::Invalid, dir + " is not an OCI image layout: it has no file \"oci-layout\""};
  }
  Json json = TRY(parse_json(*raw).context("reading " + dir + "/oci-layout"));
  const std::string& version = json["imageLayoutVersion"].string();
  if (!version.starts_with("1.")) return Error{Code::Unsupported, dir + " is an OCI image layout of version \"" + version + "\"; archway knows 1.0.0"};
  return {};
}

bool is_empty_folder(const std::string& dir) {
  std::unique_ptr<DIR, int (*)(DIR*)> handle(::opendir(dir.c_str()), ::closedir);
  if (!handle) return false;
  while (dirent* entry = ::readdir(handle.get())) {
    if (std::strcmp(entry->d_name, ".") != 0 && std::strcmp(entry->d_name, "..") != 0) return false;
  }
  return true;
}

}  // namespace

Result<std::shared_ptr<Layout>> Layout::open(std::string dir) {
  TRY(check_layout_file(dir));
  auto blobs = TRY(BlobStore::open(dir));
  return std::shared_ptr<Layout>(new Layout(std::move(dir), std::move(blobs)));
}

Result<std::shared_ptr<Layout>> Layout::create(std::string dir) {
  if (!path_exists(dir + "/oci-layout")) {
    TRY(make_directories(dir));
    // Another process may be making the same layout right now, so what a layout has may be there already.
    bool begun = path_exists(dir + "/blobs") || path_exists(dir + "/oci-layout");
    if (!begun && !is_empty_folder(dir)) {
      return Error{Code::Exists, dir + " holds other things and is not an OCI image layout", "name a new or an empty folder"};
    }
    auto blobs = TRY(BlobStore::open(dir));
    TRY(write_file_atomic(dir + "/oci-layout", kLayoutFile));
  }
  return open(std::move(dir));
}

Result<std::vector<Descriptor>> Layout::entries() const {
  auto entries = read_layout_index(dir_);
  // A layout that was just made has no index yet.
  if (!entries.ok() && entries.error().code == Code::NotFound) return std::vector<Descriptor>();
  return entries;
}

Result<Root> Layout::resolve(std::string_view name) {
  auto known = TRY(entries());
  Descriptor entry = TRY(find_in_layout(known, name, dir_));
  std::string raw = TRY(read_blob(*blobs_, entry, kMaxManifestBytes).context(dir_));
  Descriptor plain{entry.media_type, entry.digest, entry.size};
  return Root{std::move(plain), std::move(raw)};
}

Result<void> Layout::add(const Descriptor& entry) {
  return update_layout_index(dir_, [&](std::string_view index) { return add_to_layout_index(index, entry); });
}

Result<std::unique_ptr<Source>> Layout::open(const Descriptor& blob) { return blobs_->open(blob); }
Result<PutOutcome> Layout::put(const Descriptor& blob, Provider& from, ProgressTask* progress, std::stop_token stop) {
  return blobs_->put(blob, from, progress, stop);
}
Result<void> Layout::tag(const Descriptor& root, std::string_view raw, std::string_view name) { return blobs_->tag(root, raw, name); }

}  // namespace archway
