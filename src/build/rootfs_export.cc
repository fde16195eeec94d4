#include "build/rootfs_export.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <map>

#include "snapshot/path_walk.h"

namespace archway::build {

namespace {

// Calls `body` for each entry below the root, folders before what is in them.
Result<void> each_entry(FileSource& files, const std::string& path, const std::stop_token& stop,
                        const std::function<Result<void>(const std::string&, const FileSource::File&)>& body) {
  if (stop.stop_requested()) return Error{Code::Cancelled, "cancelled"};
  for (const std::string& name : TRY(files.children(path))) {
    std::string child = join_path(path, name);
    auto file = TRY(files.stat(child));
    if (!file) continue;
    TRY(body(child, *file));
    if (file->entry.type == TarType::Directory) TRY(each_entry(files, child, stop, body));
  }
  return {};
}

Time clamped(Time time, const std::optional<Time>& limit) { return limit && time > *limit ? *limit : time; }

}  // namespace

Result<void> export_tar(FileSource& files, const RootfsExportOptions& options, TarWriter& tar) {
  std::map<std::string, std::string> first_names;
  if (!options.prefix.empty()) TRY(tar.begin({.path = options.prefix, .type = TarType::Directory, .mode = 0755}));
  return each_entry(files, "", options.stop, [&](const std::string& path, const FileSource::File& file) -> Result<void> {
    const TreeEntry& from = file.entry;
    TarEntry entry{.path = options.prefix + path, .type = from.type, .mode = from.mode, .uid = from.uid, .gid = from.gid};
    entry.mtime = clamped(from.mtime, options.clamp_mtime);
    entry.dev_major = from.dev_major;
    entry.dev_minor = from.dev_minor;
    entry.xattrs = from.xattrs;
    if (from.type == TarType::Directory) entry.path += "/";
    if (from.type == TarType::Symlink) entry.link = from.link;
    if (from.type != TarType::Regular) return tar.begin(entry);
    if (!file.link_group.empty()) {
      auto [known, first] = first_names.try_emplace(file.link_group, entry.path);
      if (!first) {
        entry.type = TarType::Hardlink;
        entry.link = known->second;
        return tar.begin(entry);
      }
    }
    entry.size = from.size;
    auto data = TRY(files.open(path));
    return tar.add(entry, *data);
  });
}

namespace {

// The folder that holds `path`, opened without following a symlink on the way: what an earlier run, or somebody else, left there cannot
// lead us out of the destination.
Result<Fd> open_parent(int root, const std::string& path) {
  Fd folder = TRY(open_at(root, ".", O_RDONLY | O_DIRECTORY));
  std::string_view rest = parent_of(path);
  while (!rest.empty()) {
    size_t slash = rest.find('/');
    std::string name(rest.substr(0, slash));
    folder = TRY(open_at(folder.get(), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW).context(path));
    rest = slash == std::string_view::npos ? std::string_view() : rest.substr(slash + 1);
  }
  return folder;
}

Result<void> set_time(int folder, const std::string& name, Time time) {
  timespec times[2] = {{0, UTIME_OMIT}, {static_cast<time_t>(time.seconds()), static_cast<long>(time.nanoseconds - time.seconds() * 1'000'000'000)}};
  if (::utimensat(folder, name.c_str(), times, AT_SYMLINK_NOFOLLOW) != 0) return errno_error("setting the time of " + name);
  return {};
}

Result<void> write_entry(FileSource& files, int folder, const std::string& path, const TreeEntry& entry) {
  std::string name(name_of(path));
  if (entry.type == TarType::Directory) {
    if (::mkdirat(folder, name.c_str(), 0755) != 0 && errno != EEXIST) return errno_error("creating " + path);
    return {};
  }
  if (::unlinkat(folder, name.c_str(), 0) != 0 && errno != ENOENT) return errno_error("replacing " + path);
  if (entry.type == TarType::Symlink) {
    if (::symlinkat(entry.link.c_str(), folder, name.c_str()) != 0) return errno_error("creating " + path);
    return {};
  }
  if (entry.type == TarType::Fifo) {
    if (::mkfifoat(folder, name.c_str(), entry.mode & 0777) != 0) return errno_error("creating " + path);
    return {};
  }
  if (entry.type != TarType::Regular) return {};
  Fd file = TRY(open_at(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
  auto data = TRY(files.open(path));
  FdSink sink(file.get());
  auto copied = archway::copy(*data, sink);
  if (!copied.ok()) {
    ::unlinkat(folder, name.c_str(), 0);  // no half of a file under its own name
    return std::move(copied).error().within(path);
  }
  if (::fchmod(file.get(), entry.mode & 0777) != 0) return errno_error("setting the mode of " + path);
  return {};
}

}  // namespace

Result<void> export_folder(FileSource& files, const RootfsExportOptions& options, const std::string& folder) {
  std::string target = options.prefix.empty() ? folder : folder + "/" + options.prefix;
  while (target.size() > 1 && target.back() == '/') target.pop_back();
  TRY(make_directories(target));
  Fd root = TRY(open_file(target, O_RDONLY | O_DIRECTORY));
  std::vector<std::pair<std::string, TreeEntry>> folders;
  TRY(each_entry(files, "", options.stop, [&](const std::string& path, const FileSource::File& file) -> Result<void> {
    Fd parent = TRY(open_parent(root.get(), path));
    TRY(write_entry(files, parent.get(), path, file.entry));
    if (file.entry.type == TarType::Directory) {
      folders.emplace_back(path, file.entry);
      return {};
    }
    if (file.entry.type == TarType::CharDevice || file.entry.type == TarType::BlockDevice) return {};
    return set_time(parent.get(), std::string(name_of(path)), clamped(file.entry.mtime, options.clamp_mtime));
  }));
  // Modes and times of folders last: filling them changes the time, and a read-only one could not be filled.
  for (auto it = folders.rbegin(); it != folders.rend(); ++it) {
    Fd parent = TRY(open_parent(root.get(), it->first));
    std::string name(name_of(it->first));
    if (::fchmodat(parent.get(), name.c_str(), (it->second.mode & 0777) | 0700, 0) != 0) return errno_error("setting the mode of " + it->first);
    TRY(set_time(parent.get(), name, clamped(it->second.mtime, options.clamp_mtime)));
  }
  return {};
}

}  // namespace archway::build
