#include "build/subtree.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <unordered_map>

#include "base/fd.h"
#include "base/hash.h"
#include "base/thread_pool.h"
#include "snapshot/path_walk.h"

namespace archway::build {

namespace {

constexpr char kCapability[] = "security.capability";
constexpr size_t kFilesPerThread = 64;

Error cancelled() { return Error{Code::Cancelled, "cancelled"}; }

void add_field(std::string& out, std::string_view field) {
  out += std::to_string(field.size());
  out += ':';
  out += field;
}

// Everything but times.
void add_content(std::string& out, const Subtree::Entry& entry) {
  add_field(out, entry.path);
  add_field(out, std::to_string(static_cast<int>(entry.type)) + " " + std::to_string(entry.mode) + " " + std::to_string(entry.uid) + " " +
                     std::to_string(entry.gid) + " " + std::to_string(entry.shared));
  add_field(out, entry.content);
  add_field(out, entry.capability);
}

Result<std::string_view> take_field(std::string_view& text) {
  size_t size = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), size);
  const size_t used = static_cast<size_t>(end - text.data());
  if (error != std::errc() || used >= text.size() || text[used] != ':' || size > text.size() - used - 1) return Error{Code::Invalid, "a damaged list of files"};
  std::string_view field = text.substr(used + 1, size);
  text.remove_prefix(used + 1 + size);
  return field;
}

Result<int64_t> take_number(std::string_view& text) {
  std::string_view field = TRY(take_field(text));
  int64_t number = 0;
  auto [end, error] = std::from_chars(field.data(), field.data() + field.size(), number);
  if (error != std::errc() || end != field.data() + field.size()) return Error{Code::Invalid, "a damaged list of files"};
  return number;
}

}  // namespace

// --- What is there.

Result<Subtree> Subtree::list(FileSource& source, const std::string& path, std::stop_token stop) {
  auto top = TRY(source.resolve(path));
  if (!top) return Error{Code::NotFound, "\"/" + path + "\": not found", "is it left out by .dockerignore, or named from another folder? Paths are relative to the build context"};
  Subtree subtree;
  subtree.top_ = *top;
  TRY(source.prepare({*top}));
  TRY(subtree.add(source, *top, "", stop));
  subtree.groups_.clear();
  subtree.compute_keys();
  return subtree;
}

Result<void> Subtree::add(FileSource& source, const std::string& path, const std::string& relative, std::stop_token& stop) {
  if (stop.stop_requested()) return cancelled();
  auto file = TRY(source.stat(path));
  if (!file) return Error{Code::NotFound, "\"/" + path + "\": not found"};
  const TreeEntry& found = file->entry;
  Entry entry{relative, found.type, found.mode, found.uid, found.gid, file->mtime, ""};
  for (const auto& [name, value] : found.xattrs) {
    if (name == kCapability) entry.capability = value;
  }
  if (found.type == TarType::Symlink) {
    entry.content = found.link;
  } else if (found.type == TarType::CharDevice || found.type == TarType::BlockDevice) {
    entry.content = std::to_string(found.dev_major) + " " + std::to_string(found.dev_minor);
  } else if (found.type == TarType::Regular && !file->link_group.empty()) {
    auto [first, is_first] = groups_.try_emplace(file->link_group, relative);
    entry.shared = true;
    if (!is_first) {
      entry.type = TarType::Hardlink;
      entry.content = first->second;
    }
  }
  if (entry.type == TarType::Regular) entry.content = TRY(source.content_digest(path, found));
  entries_.push_back(std::move(entry));
  if (found.type != TarType::Directory) return {};
  for (const std::string& name : TRY(source.children(path))) TRY(add(source, join_path(path, name), join_path(relative, name), stop));
  return {};
}

void Subtree::compute_keys() {
  Hasher content, version;
  std::string text;
  for (const Entry& entry : entries_) {
    text.clear();
    add_content(text, entry);
    content.update(text);
    if (entry.type != TarType::Directory) add_field(text, std::to_string(entry.mtime.nanoseconds));
    version.update(text);
  }
  content_key_ = content.hex();
  version_ = version.hex();
}

std::string Subtree::encode() const {
  std::string out;
  for (const Entry& entry : entries_) {
    add_field(out, entry.path);
    for (int64_t number : {static_cast<int64_t>(entry.type), int64_t{entry.mode}, int64_t{entry.uid}, int64_t{entry.gid}, entry.mtime.nanoseconds, int64_t{entry.shared}}) {
      add_field(out, std::to_string(number));
    }
    add_field(out, entry.content);
    add_field(out, entry.capability);
  }
  return out;
}

Result<std::vector<Subtree::Entry>> Subtree::decode(std::string_view text) {
  std::vector<Entry> entries;
  while (!text.empty()) {
    Entry entry;
    entry.path = TRY(take_field(text));
    entry.type = static_cast<TarType>(TRY(take_number(text)));
    entry.mode = static_cast<uint32_t>(TRY(take_number(text)));
    entry.uid = static_cast<uint32_t>(TRY(take_number(text)));
    entry.gid = static_cast<uint32_t>(TRY(take_number(text)));
    entry.mtime = Time{TRY(take_number(text))};
    entry.shared = TRY(take_number(text)) != 0;
    entry.content = TRY(take_field(text));
    entry.capability = TRY(take_field(text));
    entries.push_back(std::move(entry));
  }
  return entries;
}

// --- The copy.

namespace {

// The folder is ours alone, its paths are canonical and all folders in it are ours: nothing is followed that a path does not name.
class CopyUpdate {
 public:
  CopyUpdate(FileSource& source, const Subtree& wanted, Fd root, std::stop_token stop) : source_(source), wanted_(wanted), root_(std::move(root)), stop_(std::move(stop)) {}

  Result<void> run(const std::vector<Subtree::Entry>& there) {
    choose(there);
    TRY(remove_old());
    TRY(make_folders());
    const size_t threads = std::min(processor_count(), files_.size() / kFilesPerThread + 1);
    TRY(parallel_for(files_.size(), threads, [&](size_t i) { return make_file(*files_[i]); }));
    for (const Subtree::Entry* entry : others_) TRY(make_other(*entry));
    return finish_folders();
  }

 private:
  std::string name_of(const Subtree::Entry& entry) const {
    if (entry.path.empty()) return wanted_.is_folder() ? "." : kSingleFile;
    return entry.path;
  }
  static std::string making(const Subtree::Entry& entry) { return "copying /" + entry.path; }

  void choose(const std::vector<Subtree::Entry>& there) {
    std::unordered_map<std::string_view, const Subtree::Entry*> old, wanted;
    for (const Subtree::Entry& entry : there) old.emplace(entry.path, &entry);
    for (const Subtree::Entry& entry : wanted_.entries()) {
      wanted.emplace(entry.path, &entry);
      auto known = old.find(entry.path);
      if (entry.type == TarType::Directory) {
        folders_.push_back(&entry);
        if (known == old.end() || known->second->type != TarType::Directory) new_folders_.push_back(&entry);
        continue;
      }
      // One of several names is made again with all the others: which of them are one file may have changed.
      if (known != old.end() && *known->second == entry && !entry.shared) continue;
      (entry.type == TarType::Regular ? files_ : others_).push_back(&entry);
      if (known != old.end()) removed_.push_back(known->second);
    }
    for (const Subtree::Entry& entry : there) {
      auto now = wanted.find(entry.path);
      const bool became_folder = now != wanted.end() && entry.type != TarType::Directory && now->second->type == TarType::Directory;
      if (now == wanted.end() || became_folder) removed_.push_back(&entry);
    }
  }

  // What is deeper first: a folder is empty when its turn comes.
  Result<void> remove_old() {
    std::sort(removed_.begin(), removed_.end(), [](const Subtree::Entry* a, const Subtree::Entry* b) { return path_less(b->path, a->path); });
    for (const Subtree::Entry* entry : removed_) {
      if (stop_.stop_requested()) return cancelled();
      const int flags = entry->type == TarType::Directory ? AT_REMOVEDIR : 0;
      if (::unlinkat(root_.get(), name_of(*entry).c_str(), flags) != 0 && errno != ENOENT) return errno_error("removing the old /" + entry->path);
    }
    return {};
  }

  Result<void> make_folders() {
    for (const Subtree::Entry* entry : new_folders_) {
      if (entry->path.empty()) continue;
      if (::mkdirat(root_.get(), entry->path.c_str(), 0700) != 0) return errno_error(making(*entry));
    }
    return {};
  }

  Result<void> set_owner(int fd, const Subtree::Entry& entry) const {
    if (entry.uid == ::geteuid() && entry.gid == ::getegid()) return {};
    if (::fchown(fd, entry.uid, entry.gid) == 0 || errno == EINVAL || errno == EPERM) return {};
    return errno_error(making(entry) + ": setting its owner");
  }

  static void times_of(const Subtree::Entry& entry, timespec (&times)[2]) {
    const int64_t seconds = entry.mtime.seconds();
    times[0] = times[1] = {.tv_sec = seconds, .tv_nsec = entry.mtime.nanoseconds - seconds * 1'000'000'000};
  }

  Result<void> make_file(const Subtree::Entry& entry) {
    if (stop_.stop_requested()) return cancelled();
    Fd fd(::openat(root_.get(), name_of(entry).c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!fd) return errno_error(making(entry));
    TRY(source_.copy_to(join_in_source(entry.path), fd.get()));
    TRY(set_owner(fd.get(), entry));
    if (::fchmod(fd.get(), entry.mode) != 0) return errno_error(making(entry) + ": setting its mode");
    // Where we may not set it, programs from the context run without.
    if (!entry.capability.empty()) (void)::fsetxattr(fd.get(), kCapability, entry.capability.data(), entry.capability.size(), 0);
    timespec times[2];
    times_of(entry, times);
    if (::futimens(fd.get(), times) != 0) return errno_error(making(entry) + ": setting its time");
    return {};
  }

  std::string join_in_source(const std::string& relative) const { return relative.empty() ? wanted_.top() : join_path(wanted_.top(), relative); }

  Result<void> make_other(const Subtree::Entry& entry) {
    const std::string name = name_of(entry);
    if (entry.type == TarType::Hardlink) {
      if (::linkat(root_.get(), entry.content.c_str(), root_.get(), name.c_str(), 0) != 0) return errno_error(making(entry));
      return {};
    }
    int made = -1;
    if (entry.type == TarType::Symlink) {
      made = ::symlinkat(entry.content.c_str(), root_.get(), name.c_str());
    } else if (entry.type == TarType::Fifo) {
      made = ::mknodat(root_.get(), name.c_str(), S_IFIFO | (entry.mode & 0777), 0);
    } else {
      unsigned major = 0, minor = 0;
      if (std::sscanf(entry.content.c_str(), "%u %u", &major, &minor) != 2) return Error{Code::Internal, making(entry) + ": a device without numbers"};
      made = ::mknodat(root_.get(), name.c_str(), (entry.type == TarType::CharDevice ? S_IFCHR : S_IFBLK) | (entry.mode & 0777), makedev(major, minor));
      // In a user namespace devices cannot be made; nothing could open one in a container either.
      if (made != 0 && errno == EPERM) return {};
    }
    if (made != 0) return errno_error(making(entry));
    timespec times[2];
    times_of(entry, times);
    if (::utimensat(root_.get(), name.c_str(), times, AT_SYMLINK_NOFOLLOW) != 0) return errno_error(making(entry) + ": setting its time");
    return {};
  }

  // Last, and the deepest first: a folder's mode may lock us out of it, and what is made in it changes its time.
  Result<void> finish_folders() {
    for (auto entry = folders_.rbegin(); entry != folders_.rend(); ++entry) {
      const std::string name = name_of(**entry);
      Fd fd(::openat(root_.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
      if (!fd) return errno_error(making(**entry));
      TRY(set_owner(fd.get(), **entry));
      if (::fchmod(fd.get(), (*entry)->mode) != 0) return errno_error(making(**entry) + ": setting its mode");
      timespec times[2];
      times_of(**entry, times);
      if (::futimens(fd.get(), times) != 0) return errno_error(making(**entry) + ": setting its time");
    }
    return {};
  }

  FileSource& source_;
  const Subtree& wanted_;
  Fd root_;
  std::stop_token stop_;
  std::vector<const Subtree::Entry*> folders_, new_folders_, files_, others_, removed_;
};

}  // namespace

Result<void> update_copy(FileSource& source, const Subtree& wanted, const std::vector<Subtree::Entry>& there, const std::string& folder, std::stop_token stop) {
  Fd root = TRY(open_file(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  return CopyUpdate(source, wanted, std::move(root), std::move(stop)).run(there);
}

Result<std::shared_ptr<const Subtree>> Subtrees::of(FileSource& source, const std::string& path, std::stop_token stop) {
  std::lock_guard lock(mutex_);
  auto& known = known_[{&source, path}];
  if (!known) {
    Subtree listed = TRY(Subtree::list(source, path, std::move(stop)));
    known = std::make_shared<const Subtree>(std::move(listed));
  }
  return known;
}

}  // namespace archway::build
