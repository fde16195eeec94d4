#include "build/mount_store.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <set>
#include <thread>

#include "base/text.h"

namespace archway::build {

using dockerfile::CacheSharing;

namespace {

constexpr auto kLockPoll = std::chrono::milliseconds(20);
constexpr uint64_t kMaxWhatBytes = 64 << 10, kMaxVersionBytes = 256, kMaxListBytes = 4ull << 30;
constexpr size_t kMaxMeasuredDepth = 500;  // folders below it are not counted
constexpr const char* kKindNames[] = {"cache", "context"};  // in the order of MountStore::Kind

// A power cut may have taken what was never synced: what was whole at an earlier boot is not known to be.
std::string boot_id() {
  auto text = read_file("/proc/sys/kernel/random/boot_id", 128);
  return text.ok() ? std::string(trim(*text)) : "unknown boot";
}

// False where another has it.
Result<bool> try_lock(int fd, int how, const std::string& what) {
  while (::flock(fd, how | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) return false;
    if (errno != EINTR) return errno_error("locking " + what);
  }
  return true;
}

// flock cannot be told to stop, so it is asked now and then.
Result<void> wait_for_lock(int fd, const std::string& what, const std::stop_token& stop) {
  while (!TRY(try_lock(fd, LOCK_EX, what))) {
    if (stop.stop_requested()) return Error{Code::Cancelled, "stopped while waiting for " + what};
    std::this_thread::sleep_for(kLockPoll);
  }
  return {};
}

Result<void> write_plain(const std::string& path, std::string_view text) {
  Fd fd = TRY(open_file(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600));
  return write_all(fd.get(), as_bytes(text)).context("writing " + path);
}

std::vector<std::string> names_in(const std::string& folder) {
  std::vector<std::string> names;
  std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir(folder.c_str()), ::closedir);
  while (dirent* entry = dir ? ::readdir(dir.get()) : nullptr) {
    if (entry->d_name[0] != '.') names.emplace_back(entry->d_name);
  }
  return names;
}

// The copies of one folder, by number.
std::vector<uint64_t> copies_in(const std::string& folder) {
  std::vector<uint64_t> numbers;
  for (const std::string& name : names_in(folder)) {
    if (auto number = parse_uint(name)) numbers.push_back(*number);
  }
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

// What a cache holds was made by strangers: no symlink is followed, no mount crossed, and depth has an end.
uint64_t bytes_below(int folder, dev_t device, size_t depth, std::set<ino_t>& counted) {
  std::unique_ptr<DIR, int (*)(DIR*)> dir(::fdopendir(folder), ::closedir);
  if (!dir) {
    ::close(folder);
    return 0;
  }
  uint64_t total = 0;
  while (dirent* entry = ::readdir(dir.get())) {
    const std::string_view name = entry->d_name;
    struct stat st = {};
    if (name == "." || name == ".." || ::fstatat(::dirfd(dir.get()), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 || st.st_dev != device) continue;
    const bool is_folder = S_ISDIR(st.st_mode);
    if (is_folder || st.st_nlink == 1 || counted.insert(st.st_ino).second) total += static_cast<uint64_t>(st.st_blocks) * 512;
    if (!is_folder || depth == kMaxMeasuredDepth) continue;
    const int below = ::openat(::dirfd(dir.get()), entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (below >= 0) total += bytes_below(below, device, depth + 1, counted);
  }
  return total;
}

uint64_t bytes_of(const std::string& folder) {
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  struct stat st = {};
  if (fd < 0 || ::fstat(fd, &st) != 0) {
    if (fd >= 0) ::close(fd);
    return 0;
  }
  std::set<ino_t> counted;
  return bytes_below(fd, st.st_dev, 0, counted);
}

Time mtime_of(const std::string& path) {
  struct stat st = {};
  if (::stat(path.c_str(), &st) != 0) return {};
  return Time{int64_t{st.st_mtim.tv_sec} * 1'000'000'000 + st.st_mtim.tv_nsec};
}

}  // namespace

// One folder's copies, with its door held.
struct MountStore::Copies {
  MountStore& store;
  std::string folder;
  Fd door;

  static Result<Copies> open(MountStore& store, const std::string& name, Kind kind, const std::string& what, std::stop_token stop) {
    Copies copies{store, store.root_ + "/" + name, {}};
    TRY(make_directories(copies.folder, 0700));
    copies.door = TRY(open_file(copies.folder + "/door", O_RDWR | O_CREAT, 0600));
    TRY(wait_for_lock(copies.door.get(), what, stop));
    if (!path_exists(copies.folder + "/what")) TRY(write_plain(copies.folder + "/what", std::string(kKindNames[static_cast<size_t>(kind)]) + " " + what));
    return copies;
  }

  std::string place(uint64_t number) const { return folder + "/" + std::to_string(number); }

  // The copy, locked; its lock empty where another has it.
  Result<Taken> try_copy(uint64_t number, int how) const {
    Taken taken{place(number) + "/data", TRY(open_file(place(number) + "/lock", O_RDWR | O_CREAT, 0600))};
    if (!TRY(try_lock(taken.lock.get(), how, taken.data))) taken.lock.reset();
    else (void)::futimens(taken.lock.get(), nullptr);
    return taken;
  }

  // Whole or not at all: `fill` works aside.
  Result<Taken> make_copy(int how, const std::function<Result<void>(const std::string& copy)>& fill) const {
    const auto numbers = copies_in(folder);
    uint64_t number = 0;
    while (std::binary_search(numbers.begin(), numbers.end(), number)) ++number;
    if (number >= kMaxCopies) return Error{Code::Io, folder + ": more than " + std::to_string(kMaxCopies) + " copies in use at once"};
    TempDir work = TRY(store.layers_.scratch());
    TRY(make_directories(work / "copy/data", 0700));
    TRY(fill(work / "copy"));
    if (::rename((work / "copy").c_str(), place(number).c_str()) != 0) return errno_error("creating " + place(number));
    Taken taken = TRY(try_copy(number, how));
    if (!taken.lock) return Error{Code::Internal, "a new mount is in use"};
    return taken;
  }
};

Result<MountStore::Taken> MountStore::take_cache(const Cache& cache, std::stop_token stop) {
  const int how = cache.sharing == CacheSharing::Shared ? LOCK_SH : LOCK_EX;
  const bool any_copy = cache.sharing == CacheSharing::Private;
  for (;;) {
    {
      Copies copies = TRY(Copies::open(*this, cache.name, Kind::Cache, cache.what, stop));
      const auto numbers = copies_in(copies.folder);
      for (size_t i = 0; i < (any_copy ? numbers.size() : std::min<size_t>(numbers.size(), 1)); ++i) {
        Taken taken = TRY(copies.try_copy(numbers[i], how));
        if (taken.lock) return taken;
      }
      if (numbers.empty() || any_copy) return copies.make_copy(how, [&](const std::string& copy) { return cache.fill(copy + "/data"); });
    }
    // Not behind the door, where others would wait for more than they have to.
    if (stop.stop_requested()) return Error{Code::Cancelled, "stopped while waiting for " + cache.what};
    std::this_thread::sleep_for(kLockPoll);
  }
}

Result<MountStore::Taken> MountStore::take_folder(const Folder& wanted, std::stop_token stop) {
  Copies copies = TRY(Copies::open(*this, wanted.name, Kind::Context, wanted.what, stop));
  const std::string version = wanted.version + " " + boot_id();
  auto version_of = [](const std::string& copy) { return read_file(copy + "/version", kMaxVersionBytes).value_or(""); };
  const auto numbers = copies_in(copies.folder);
  for (uint64_t number : numbers) {
    if (version_of(copies.place(number)) != version) continue;
    Taken taken = TRY(copies.try_copy(number, LOCK_SH));
    if (taken.lock) return taken;
  }
  // The door stays ours while a copy is made: who wants the same waits, and finds it.
  auto update = [&](const std::string& copy, const std::string& list) -> Result<void> {
    std::string now = TRY(wanted.update(copy + "/data", list));
    TRY(write_plain(copy + "/list", now));
    return write_plain(copy + "/version", version);
  };
  for (uint64_t number : numbers) {
    Taken taken = TRY(copies.try_copy(number, LOCK_EX));
    if (!taken.lock) continue;
    const std::string copy = copies.place(number);
    const std::string said = version_of(copy);
    const bool known = said.ends_with(" " + boot_id());
    if (::unlink((copy + "/version").c_str()) != 0 && errno != ENOENT) return errno_error("changing " + copy);
    std::string list = known ? read_file(copy + "/list", kMaxListBytes).value_or("") : "";
    if (list.empty()) {
      TRY(remove_tree(taken.data));
      TRY(make_directories(taken.data, 0700));
    }
    TRY(update(copy, list));
    // Nobody else takes it meanwhile: the door is ours.
    if (::flock(taken.lock.get(), LOCK_SH) != 0) return errno_error("locking " + copy);
    return taken;
  }
  return copies.make_copy(LOCK_SH, [&](const std::string& copy) { return update(copy, ""); });
}

// --- What there is.

Result<MountStore::Entry> MountStore::measure(const std::string& name, const std::string& copy, Kind kind, const std::string& what) {
  const std::string place = root_ + "/" + name + "/" + copy;
  Entry entry{kind, name + "/" + copy, what, 0, mtime_of(place + "/lock")};
  const std::string note = place + "/bytes";
  // Used later than it was measured, it is measured again; in use, what is measured is not for keeping.
  if (mtime_of(note) > entry.used) {
    if (auto bytes = parse_uint(read_file(note, 64).value_or(""))) {
      entry.bytes = *bytes;
      return entry;
    }
  }
  Fd lock = TRY(open_file(place + "/lock", O_RDWR | O_CREAT, 0600));
  const bool idle = TRY(try_lock(lock.get(), LOCK_EX, place));
  entry.bytes = bytes_of(place + "/data");
  if (idle) TRY(write_plain(note, std::to_string(entry.bytes)));
  return entry;
}

Result<std::vector<MountStore::Entry>> MountStore::entries() {
  std::vector<Entry> found;
  for (const std::string& name : names_in(root_)) {
    auto what = read_file(root_ + "/" + name + "/what", kMaxWhatBytes);
    auto [kind, text] = cut(what.ok() ? std::string_view(*what) : "cache ?", ' ');
    for (uint64_t copy : copies_in(root_ + "/" + name)) {
      Entry entry = TRY(measure(name, std::to_string(copy), kind == kKindNames[1] ? Kind::Context : Kind::Cache, std::string(text.value_or(""))));
      found.push_back(std::move(entry));
    }
  }
  return found;
}

Result<bool> MountStore::remove(const Entry& entry) {
  const std::string place = root_ + "/" + entry.id;
  const std::string folder = place.substr(0, place.rfind('/'));
  Fd door = TRY(open_file(folder + "/door", O_RDWR | O_CREAT, 0600));
  Fd lock = TRY(open_file(place + "/lock", O_RDWR | O_CREAT, 0600));
  if (!TRY(try_lock(door.get(), LOCK_EX, folder)) || !TRY(try_lock(lock.get(), LOCK_EX, place))) return false;
  // Out of sight at once, then gone bit by bit.
  TempDir grave = TRY(layers_.scratch());
  if (::rename(place.c_str(), (grave / "mount").c_str()) != 0) return errno_error("removing " + place);
  if (copies_in(folder).empty() && ::rename(folder.c_str(), (grave / "folder").c_str()) != 0) return errno_error("removing " + folder);
  return true;
}

Result<void> MountStore::remove_empty() {
  for (const std::string& name : names_in(root_)) {
    if (copies_in(root_ + "/" + name).empty()) TRY(remove_tree(root_ + "/" + name));
  }
  return {};
}

}  // namespace archway::build
