#include "registry_server/store.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>

#include "registry_server/route.h"

namespace archway::registry_server {

namespace {

struct DirCloser {
  void operator()(DIR* dir) const { ::closedir(dir); }
};
using Dir = std::unique_ptr<DIR, DirCloser>;

// A name has at most 255 bytes, so a repository lies at most this deep.
constexpr int kMaxDepth = 128;

void collect_names(const std::string& root, const std::string& name, int depth, std::vector<std::string>& names) {
  std::string folder = name.empty() ? root : root + "/" + name;
  if (!name.empty() && path_exists(folder + "/oci-layout")) names.push_back(name);
  Dir dir(::opendir(folder.c_str()));
  if (!dir || depth > kMaxDepth) return;
  while (dirent* entry = ::readdir(dir.get())) {
    if (entry->d_type != DT_DIR && entry->d_type != DT_UNKNOWN) continue;
    std::string inner = name.empty() ? entry->d_name : name + "/" + entry->d_name;
    // Leaves out ".", "..", "_blobs", and the "blobs" of a layout.
    if (is_repository_name(inner)) collect_names(root, inner, depth + 1, names);
  }
}

}  // namespace

Result<std::unique_ptr<Store>> Store::open(std::string root) {
  TRY(make_directories(root));
  Fd lock = TRY(open_file(root + "/_lock", O_RDWR | O_CREAT));
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) return Error{Code::Exists, "another registry server uses " + root, "stop it, or give --root another folder"};
    return errno_error("locking " + root);
  }
  TRY(make_directories(root + "/_uploads", 0700));
  for (const char* algorithm : {"sha256", "sha512"}) TRY(make_directories(root + "/_blobs/" + algorithm));
  TRY(sync_directory(root));
  auto store = std::unique_ptr<Store>(new Store(std::move(root), std::move(lock)));
  Store* self = store.get();
  store->sweeper_ = std::jthread([self](std::stop_token stop) { self->sweep_pool(stop); });
  return store;
}

Store::~Store() = default;

std::string Store::pool_path(const Digest& digest) const {
  return root_ + "/_blobs/" + std::string(digest.algorithm_name()) + "/" + digest.hex();
}

Result<std::shared_ptr<Repository>> Store::find(const std::string& name) { return get(name, false); }
Result<std::shared_ptr<Repository>> Store::find_or_create(const std::string& name) { return get(name, true); }

Result<std::shared_ptr<Repository>> Store::get(const std::string& name, bool create) {
  // Held while a repository is made: two that begin the same one must get the same object.
  auto repositories = repositories_.lock();
  auto found = repositories->find(name);
  if (found != repositories->end()) return found->second;
  auto repository = TRY(Repository::open(root_, name, create));
  if (repository) repositories->emplace(name, repository);
  return repository;
}

std::vector<std::string> Store::names() const {
  std::vector<std::string> names;
  collect_names(root_, "", 0, names);
  std::sort(names.begin(), names.end());
  return names;
}

Result<void> Store::adopt(const std::string& file, int fd, const Digest& digest, Repository& repository) {
  // Held somewhere already: one more link to those bytes, and these go.
  if (TRY(mount(nullptr, repository, digest))) {
    ::unlink(file.c_str());
    return {};
  }
  if (::fsync(fd) != 0) return errno_error("syncing " + file);
  // The pool's link is made while `file` still is one, so that forget_unused() never sees the blob with but one.
  (void)::link(file.c_str(), pool_path(digest).c_str());
  return repository.take_blob(file, digest);
}

Result<void> Store::adopt_bytes(std::string_view bytes, const Digest& digest, Repository& repository) {
  if (repository.has_blob(digest)) return {};
  std::string path = uploads_folder() + "/" + std::string(kManifestPrefix) + "XXXXXX";
  Fd fd(::mkostemp(path.data(), O_CLOEXEC));
  if (!fd) return errno_error("creating a file below " + uploads_folder());
  auto finish = [&]() -> Result<void> {
    TRY(write_all(fd.get(), as_bytes(bytes)));
    if (::fchmod(fd.get(), 0644) != 0) return errno_error("setting the mode of " + path);
    return adopt(path, fd.get(), digest, repository);
  };
  auto result = finish();
  if (!result.ok()) ::unlink(path.c_str());
  return result;
}

Result<bool> Store::mount(Repository* from, Repository& to, const Digest& digest) {
  if (to.has_blob(digest)) return true;
  std::string path = from ? from->blob_path(digest) : pool_path(digest);
  auto linked = to.link_blob(path, digest);
  if (linked.ok()) return true;
  // Gone, or with as many links as the file system allows: then its bytes have to come.
  bool has_none = linked.error().code == Code::NotFound || !path_exists(path);
  struct stat st = {};
  bool too_many = !has_none && ::stat(path.c_str(), &st) == 0 && st.st_nlink > 1 && ::pathconf(path.c_str(), _PC_LINK_MAX) <= static_cast<long>(st.st_nlink);
  if (has_none || too_many) return false;
  return std::move(linked).error();
}

void Store::forget_unused(const Digest& digest) {
  struct stat st = {};
  std::string path = pool_path(digest);
  // Should a mount link it between these two, the repository has its own link and loses nothing.
  if (::stat(path.c_str(), &st) == 0 && st.st_nlink == 1) ::unlink(path.c_str());
}

void Store::sweep_pool(std::stop_token stop) {
  for (HashAlgorithm algorithm : {HashAlgorithm::Sha256, HashAlgorithm::Sha512}) {
    std::string name = algorithm == HashAlgorithm::Sha256 ? "sha256" : "sha512";
    Dir dir(::opendir((root_ + "/_blobs/" + name).c_str()));
    if (!dir) continue;
    while (dirent* entry = ::readdir(dir.get())) {
      if (stop.stop_requested()) return;
      auto digest = Digest::parse(name + ":" + entry->d_name);
      if (digest.ok()) forget_unused(*digest);
    }
  }
}

}  // namespace archway::registry_server
