#include "build/context.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "base/hash.h"
#include "base/log.h"
#include "base/text.h"
#include "base/thread_pool.h"
#include "snapshot/path_walk.h"

namespace archway::build {
namespace {

constexpr char kCapability[] = "security.capability";
constexpr size_t kMaxCapabilityBytes = 256;
constexpr size_t kMaxLinkBytes = 4095;
// Below this many files a second thread costs more than it brings.
constexpr size_t kFilesPerThread = 16;

Error cancelled() { return Error{Code::Cancelled, "cancelled"}; }
Error changed(const std::string& path) {
  return Error{Code::Invalid, "/" + path + " changed while the build was reading it", "run the build again when nothing writes to the build context"};
}

std::optional<TarType> type_of(mode_t mode) {
  switch (mode & S_IFMT) {
    case S_IFREG: return TarType::Regular;
    case S_IFDIR: return TarType::Directory;
    case S_IFLNK: return TarType::Symlink;
    case S_IFCHR: return TarType::CharDevice;
    case S_IFBLK: return TarType::BlockDevice;
    case S_IFIFO: return TarType::Fifo;
    default: return std::nullopt;  // a socket: it means something to its process only
  }
}

Result<std::string> read_link(int folder, const char* name, const std::string& path) {
  std::array<char, kMaxLinkBytes + 1> target;
  const ssize_t size = ::readlinkat(folder, name, target.data(), target.size());
  if (size < 0) return errno_error("reading the link /" + path);
  if (static_cast<size_t>(size) > kMaxLinkBytes) return Error{Code::Invalid, "/" + path + ": a symlink of more than " + std::to_string(kMaxLinkBytes) + " bytes"};
  return std::string(target.data(), static_cast<size_t>(size));
}

// There is no getxattrat before Linux 6.13; /proc/self/fd/N/name is as good, and follows no symlink at the end.
Result<std::string> read_capability(int folder, const std::string& name, const std::string& path) {
  std::array<char, kMaxCapabilityBytes> value;
  const std::string place = "/proc/self/fd/" + std::to_string(folder) + "/" + name;
  const ssize_t size = ::lgetxattr(place.c_str(), kCapability, value.data(), value.size());
  if (size >= 0) return std::string(value.data(), static_cast<size_t>(size));
  if (errno == ENODATA || errno == ENOTSUP || errno == ENOENT || errno == EPERM) return std::string();
  return errno_error("reading the capabilities of /" + path);
}

std::array<unsigned char, 32> from_hex(std::string_view hex) {
  std::array<unsigned char, 32> bytes = {};
  for (size_t i = 0; i < bytes.size() * 2 && i < hex.size(); ++i) {
    const char c = hex[i];
    const int digit = c <= '9' ? c - '0' : c - 'a' + 10;
    bytes[i / 2] = static_cast<unsigned char>(bytes[i / 2] << 4 | digit);
  }
  return bytes;
}
std::string hex_of(const std::array<unsigned char, 32>& bytes) { return to_hex({reinterpret_cast<const char*>(bytes.data()), bytes.size()}); }

}  // namespace

BuildContext::BuildContext(Fd root, std::string name, Options options) : root_(std::move(root)), name_(std::move(name)), options_(std::move(options)) {
  if (!options_.cache_file.empty()) cache_ = std::make_unique<StatCache>(options_.cache_file, *options_.clock);
}

BuildContext::~BuildContext() {
  if (!cache_) return;
  auto saved = cache_->save();
  if (!saved.ok()) log_warn("keeping what is known of the build context's files: " + saved.error().message);
}

Result<std::shared_ptr<BuildContext>> BuildContext::open(const std::string& folder, Options options) {
  Fd root = TRY(open_file(folder, O_RDONLY | O_DIRECTORY).context("opening the build context"));
  struct stat st = {};
  if (::fstat(root.get(), &st) != 0) return errno_error("looking at the build context " + folder);
  std::shared_ptr<BuildContext> context(new BuildContext(std::move(root), folder, std::move(options)));
  context->top_.entry.type = TarType::Directory;
  context->top_.entry.mode = 0755;
  context->top_.entry.mtime = Time::from_seconds(st.st_mtim.tv_sec);
  return context;
}

// --- What is there.

Result<void> BuildContext::read_metadata(int folder, Node& node, const struct stat& st, const std::string& path) {
  node.stamp = FileStamp::of(st);
  node.entry.mode = st.st_mode & 07777;
  node.entry.mtime = Time::from_seconds(st.st_mtim.tv_sec);
  switch (node.entry.type) {
    case TarType::Symlink: node.entry.link = TRY(read_link(folder, node.name.c_str(), path)); break;
    case TarType::CharDevice:
    case TarType::BlockDevice:
      node.entry.dev_major = major(st.st_rdev);
      node.entry.dev_minor = minor(st.st_rdev);
      break;
    case TarType::Regular: {
      node.entry.size = node.stamp.size;
      if (st.st_nlink > 1) node.link_group = std::to_string(st.st_dev) + ":" + std::to_string(st.st_ino);
      const auto known = cache_ ? cache_->find(node.stamp) : std::nullopt;
      if (known) node.digest = hex_of(known->sha256);
      if (!known || known->has_capability) {
        std::string capability = TRY(read_capability(folder, node.name, path));
        if (!capability.empty()) node.entry.xattrs.emplace_back(kCapability, std::move(capability));
      }
      break;
    }
    default: break;
  }
  return {};
}

// One name in a folder; nullopt where it is not to be seen.
Result<std::optional<BuildContext::Node>> BuildContext::read_entry(int folder, const std::string& folder_path, const Node& parent, const char* name,
                                                                   unsigned char type, size_t depth) {
  Node node;
  node.name = name;
  const std::string path = join_path(folder_path, node.name);
  if (path.size() > kLayerLimits.path_bytes) return Error{Code::Invalid, "a path of more than " + std::to_string(kLayerLimits.path_bytes) + " bytes: /" + path};
  node.ignored = TRY(options_.ignore.ignored(path, parent.verdicts, node.verdicts));
  // What is ignored and no folder need not even be looked at.
  if (node.ignored && type != DT_DIR && type != DT_UNKNOWN) return std::optional<Node>();

  struct stat st = {};
  if (::fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) return std::optional<Node>();  // gone since the folder was read
    return errno_error("looking at /" + path);
  }
  const auto tar_type = type_of(st.st_mode);
  if (!tar_type) return std::optional<Node>();
  node.entry.type = *tar_type;
  if (node.ignored) {
    if (*tar_type != TarType::Directory || !options_.ignore.may_reinclude_below(path)) return std::optional<Node>();
    TRY(read_folder(node, path, depth + 1));
    if (node.folder->nodes.empty()) return std::optional<Node>();
  }
  if (++files_ > kMaxFiles) return Error{Code::Invalid, "the build context " + name_ + " has more than " + std::to_string(kMaxFiles) + " files", "leave some out with a .dockerignore"};
  TRY(read_metadata(folder, node, st, path));
  if (*tar_type != TarType::Directory) node.verdicts = {};
  return std::optional<Node>(std::move(node));
}

Result<void> BuildContext::read_folder(Node& node, const std::string& path, size_t depth) {
  if (node.folder) return {};
  if (options_.stop.stop_requested()) return cancelled();
  if (depth > kLayerLimits.depth) return Error{Code::Invalid, "/" + path + ": folders are nested deeper than " + std::to_string(kLayerLimits.depth)};
  Fd folder = TRY(open_in_root(root_.get(), path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW).context("reading the build context " + name_));
  std::unique_ptr<DIR, int (*)(DIR*)> entries(::fdopendir(folder.get()), &::closedir);
  if (!entries) return errno_error("reading /" + path);
  const int fd = folder.release();
  auto read = std::make_unique<Folder>();
  for (;;) {
    errno = 0;
    const dirent* item = ::readdir(entries.get());
    if (!item) {
      if (errno != 0) return errno_error("reading /" + path);
      break;
    }
    const std::string_view name = item->d_name;
    if (name == "." || name == "..") continue;
    auto entry = TRY(read_entry(fd, path, node, item->d_name, item->d_type, depth));
    if (entry) read->nodes.push_back(std::move(*entry));
  }
  std::sort(read->nodes.begin(), read->nodes.end(), [](const Node& a, const Node& b) { return a.name < b.name; });
  node.folder = std::move(read);
  return {};
}

// The entry at a canonical path, no symlink followed; null where there is none.
Result<BuildContext::Node*> BuildContext::find(std::string_view path) {
  Node* node = &top_;
  size_t depth = 0;
  for (size_t begin = 0; begin < path.size();) {
    if (node->entry.type != TarType::Directory) return static_cast<Node*>(nullptr);
    TRY(read_folder(*node, std::string(path.substr(0, begin == 0 ? 0 : begin - 1)), depth++));
    const size_t end = std::min(path.find('/', begin), path.size());
    const std::string_view name = path.substr(begin, end - begin);
    std::deque<Node>& nodes = node->folder->nodes;
    auto found = std::lower_bound(nodes.begin(), nodes.end(), name, [](const Node& a, std::string_view b) { return a.name < b; });
    if (found == nodes.end() || found->name != name) return static_cast<Node*>(nullptr);
    node = &*found;
    begin = end + 1;
  }
  return node;
}

Result<std::optional<std::string>> BuildContext::resolve(std::string_view path) {
  std::lock_guard lock(mutex_);
  Result<void> trouble;
  auto walked = walk_path(
      [&](std::string_view canonical) -> const TreeEntry* {
        auto node = find(canonical);
        if (!node.ok()) trouble = std::move(node).error();
        return node.ok() && *node ? &(*node)->entry : nullptr;
      },
      path, true);
  TRY(std::move(trouble));
  if (!walked || !walked->complete) return std::optional<std::string>();
  return std::optional(std::move(walked->path));
}

Result<std::optional<FileSource::File>> BuildContext::stat(const std::string& path) {
  std::lock_guard lock(mutex_);
  const Node* node = TRY(find(path));
  if (!node) return std::optional<File>();
  // The root has no stamp: nothing is read from it.
  const Time mtime = node == &top_ ? node->entry.mtime : Time{node->stamp.mtime_ns};
  return std::optional(File{node->entry, node->link_group, mtime});
}

Result<std::vector<std::string>> BuildContext::children(const std::string& path) {
  std::lock_guard lock(mutex_);
  Node* node = TRY(find(path));
  std::vector<std::string> names;
  if (!node || node->entry.type != TarType::Directory) return names;
  TRY(read_folder(*node, path, static_cast<size_t>(std::count(path.begin(), path.end(), '/')) + !path.empty()));
  names.reserve(node->folder->nodes.size());
  for (const Node& child : node->folder->nodes) names.push_back(child.name);
  return names;
}

// --- Contents.

// O_NONBLOCK: should the file have become a pipe meanwhile, nobody waits for its other end.
Result<std::unique_ptr<Source>> BuildContext::open(const std::string& path) {
  FileStamp expected;
  {
    std::lock_guard lock(mutex_);
    const Node* node = TRY(find(path));
    if (!node || node->entry.type != TarType::Regular) return Error{Code::NotFound, "/" + path + ": no regular file in the build context"};
    expected = node->stamp;
  }
  Fd file = TRY(open_in_root(root_.get(), path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
  struct stat st = {};
  if (::fstat(file.get(), &st) != 0) return errno_error("looking at /" + path);
  if (!S_ISREG(st.st_mode) || FileStamp::of(st) != expected) return changed(path);
  return std::unique_ptr<Source>(std::make_unique<FdSource>(std::move(file), "/" + path));
}

Result<void> BuildContext::copy_to(const std::string& path, int fd) {
  auto source = TRY(open(path));
  const int from = static_cast<FdSource*>(source.get())->fd();
  struct stat before = {}, after = {};
  if (::fstat(from, &before) != 0) return errno_error("looking at /" + path);
  TRY(copy_bytes(from, fd).context("/" + path));
  // open() has compared the file with what was hashed; this says that it stayed so.
  if (::fstat(from, &after) != 0) return errno_error("looking at /" + path);
  if (FileStamp::of(before) != FileStamp::of(after)) return changed(path);
  return {};
}

std::string BuildContext::lineage() const {
  struct stat st = {};
  if (::fstat(root_.get(), &st) != 0) return "";
  return std::to_string(st.st_dev) + ":" + std::to_string(st.st_ino);
}

Result<KnownContent> BuildContext::hash(const ToHash& file) {
  if (options_.stop.stop_requested()) return cancelled();
  Fd fd = TRY(open_in_root(root_.get(), file.path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
  struct stat st = {};
  if (::fstat(fd.get(), &st) != 0) return errno_error("looking at /" + file.path);
  if (!S_ISREG(st.st_mode) || FileStamp::of(st) != file.node->stamp) return changed(file.path);
  const int raw = fd.get();
  FdSource source(std::move(fd), "/" + file.path);
  HashingSink sink(nullptr);
  TRY(archway::copy(source, sink));
  if (::fstat(raw, &st) != 0) return errno_error("looking at /" + file.path);
  if (FileStamp::of(st) != file.node->stamp || sink.count() != file.node->stamp.size) return changed(file.path);
  return KnownContent{from_hex(sink.hex()), !file.node->entry.xattrs.empty()};
}

// Called with hashing_ held, so that `digest` of these nodes is nobody else's to write.
Result<void> BuildContext::hash_all(const std::vector<ToHash>& files) {
  if (files.empty()) return {};
  const Time began = options_.clock->now();
  std::vector<std::optional<KnownContent>> contents(files.size());
  const size_t threads = std::min(processor_count(), files.size() / kFilesPerThread + 1);
  auto done = parallel_for(files.size(), threads, [&](size_t i) -> Result<void> {
    contents[i] = TRY(hash(files[i]));
    return {};
  });
  std::lock_guard lock(mutex_);
  for (size_t i = 0; i < files.size(); ++i) {
    if (!contents[i]) continue;
    ++hashed_;
    files[i].node->digest = hex_of(contents[i]->sha256);
    if (cache_) cache_->remember(files[i].node->stamp, *contents[i], began);
  }
  return done;
}

Result<std::string> BuildContext::content_digest(const std::string& path, const TreeEntry&) {
  std::lock_guard hashing(hashing_);
  Node* node = nullptr;
  {
    std::lock_guard lock(mutex_);
    node = TRY(find(path));
    if (!node || node->entry.type != TarType::Regular) return Error{Code::NotFound, "/" + path + ": no regular file in the build context"};
    if (!node->digest.empty()) return node->digest;
  }
  TRY(hash_all({{node, path}}));
  std::lock_guard lock(mutex_);
  return node->digest;
}

Result<void> BuildContext::collect(Node& node, const std::string& path, size_t depth, std::vector<ToHash>& files) {
  if (node.entry.type == TarType::Regular && node.digest.empty()) files.push_back({&node, path});
  if (node.entry.type != TarType::Directory) return {};
  TRY(read_folder(node, path, depth));
  for (Node& child : node.folder->nodes) TRY(collect(child, join_path(path, child.name), depth + 1, files));
  return {};
}

Result<void> BuildContext::prepare(const std::vector<std::string>& paths) {
  std::lock_guard hashing(hashing_);
  std::vector<ToHash> files;
  {
    std::lock_guard lock(mutex_);
    for (const std::string& path : paths) {
      Node* node = TRY(find(path));
      if (node) TRY(collect(*node, path, static_cast<size_t>(std::count(path.begin(), path.end(), '/')) + !path.empty(), files));
    }
  }
  // One file may have been named twice.
  std::sort(files.begin(), files.end(), [](const ToHash& a, const ToHash& b) { return a.path < b.path; });
  files.erase(std::unique(files.begin(), files.end(), [](const ToHash& a, const ToHash& b) { return a.node == b.node; }), files.end());
  TRY(hash_all(files));
  std::lock_guard lock(mutex_);
  if (cache_) {
    // A cache that cannot be written is no reason to fail a build.
    auto saved = cache_->save();
    if (!saved.ok()) log_warn("keeping what is known of the build context's files: " + saved.error().message);
  }
  return {};
}

}  // namespace archway::build
