#include "snapshot/layer_store.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <set>
#include <thread>
#include <unordered_map>

#include "base/fd.h"
#include "base/log.h"
#include "base/text.h"
#include "snapshot/layer_stream.h"

// Below `root`:
//     layers/sha256/<hex>/index      see index_codec.cc
//     layers/sha256/<hex>/fs/        the files
//     layers/sha256/<hex>/fs.whole   that fs is whole, and the boot that says so
//     locks/<hex>                    flock: who makes, or removes, that layer
//     tmp/<session>/                 all work in progress of one open store, which holds a flock on it
// Nothing is fsynced: layers can be made again. What a power cut may leave: an index that is cut off fails its checksum; files of an
// fs that never reached the disk are shorter than the index says, and so an fs of an earlier boot is compared with its index, once.
namespace archway {

namespace {

constexpr uint64_t kMaxIndexFileBytes = 2ull << 30;
constexpr auto kLockPoll = std::chrono::milliseconds(20);

std::string boot_id() {
  static const std::string id = [] {
    auto text = read_file("/proc/sys/kernel/random/boot_id", 128);
    return text.ok() ? std::string(trim(*text)) : std::string("unknown boot");
  }();
  return id;
}

// As in write_file_atomic, less the syncing.
Result<void> write_whole(const std::string& temporary, const std::string& path, std::string_view text) {
  {
    Fd fd = TRY(open_file(temporary, O_WRONLY | O_CREAT | O_TRUNC));
    TRY(write_all(fd.get(), as_bytes(text)).context("writing " + path));
  }
  if (::rename(temporary.c_str(), path.c_str()) != 0) return errno_error("renaming to " + path);
  return {};
}

// Are all files there, as long as they should be? (ext4, xfs and btrfs write a file's data before the size that covers it.)
bool sizes_fit(const std::string& fs, const LayerIndex& index) {
  Fd root(::open(fs.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!root) return false;
  for (const auto& [path, entry] : index.entries) {
    struct stat st = {};
    if (path.empty()) continue;
    if (::fstatat(root.get(), path.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) return false;
    if (entry.type == TarType::Regular && static_cast<uint64_t>(st.st_size) != entry.size) return false;
  }
  return true;
}

// Removes what processes that are no more left in `tmp`. The caller holds the lock on `tmp`'s door.
void clean_sessions(const std::string& tmp) {
  std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir(tmp.c_str()), ::closedir);
  if (!dir) return;
  std::vector<std::string> dead;
  while (dirent* entry = ::readdir(dir.get())) {
    if (entry->d_name[0] == '.') continue;
    Fd session(::openat(::dirfd(dir.get()), entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (session && ::flock(session.get(), LOCK_EX | LOCK_NB) == 0) dead.emplace_back(entry->d_name);
  }
  for (const std::string& name : dead) {
    if (auto removed = remove_tree(tmp + "/" + name); !removed.ok()) log_warn(removed.error().message);
  }
}

}  // namespace

struct LayerStore::State {
  std::string root;
  std::string session;  // root/tmp/XXXXXX
  Fd session_lock;
  std::mutex mutex;
  std::condition_variable_any changed;
  std::set<std::string> busy;  // hex of layers that a thread of ours is making
  std::unordered_map<std::string, std::weak_ptr<const LayerIndex>> indexes;

  ~State() {
    // Scratch folders that outlive us keep it; the next open() cleans up.
    if (!session.empty()) ::rmdir(session.c_str());
  }

  std::string folder(const Digest& diff_id) const { return root + "/layers/" + std::string(diff_id.algorithm_name()) + "/" + diff_id.hex(); }
  std::string index_file(const Digest& diff_id) const { return folder(diff_id) + "/index"; }
  std::string fs(const Digest& diff_id) const { return folder(diff_id) + "/fs"; }
  std::string whole_file(const Digest& diff_id) const { return folder(diff_id) + "/fs.whole"; }

  // While it lives, nobody else, in this process or another, makes or removes the layer.
  class Turn {
   public:
    Turn(State& state, std::string hex) : state_(&state), hex_(std::move(hex)) {}
    Turn(Turn&& other) noexcept : file(std::move(other.file)), state_(std::exchange(other.state_, nullptr)), hex_(std::move(other.hex_)) {}
    ~Turn() {
      if (!state_) return;
      file.reset();
      std::lock_guard lock(state_->mutex);
      state_->busy.erase(hex_);
      state_->changed.notify_all();
    }
    Fd file;

   private:
    State* state_;
    std::string hex_;
  };

  Result<Turn> take_turn(const Digest& diff_id, std::stop_token stop) {
    Error stopped{Code::Cancelled, "stopped while waiting for layer " + diff_id.str()};
    {
      std::unique_lock lock(mutex);
      if (!changed.wait(lock, stop, [&] { return !busy.contains(diff_id.hex()); })) return stopped;
      busy.insert(diff_id.hex());
    }
    Turn turn(*this, diff_id.hex());
    turn.file = TRY(open_file(root + "/locks/" + diff_id.hex(), O_RDWR | O_CREAT, 0600));
    // Another process may hold it for as long as a download takes; flock cannot be told to stop, so it is asked now and then.
    while (::flock(turn.file.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno != EWOULDBLOCK && errno != EINTR) return errno_error("locking layer " + diff_id.str());
      if (stop.stop_requested()) return stopped;
      std::this_thread::sleep_for(kLockPoll);
    }
    return turn;
  }

  std::shared_ptr<const LayerIndex> remember(const Digest& diff_id, LayerIndex index) {
    auto shared = std::make_shared<const LayerIndex>(std::move(index));
    std::lock_guard lock(mutex);
    std::erase_if(indexes, [](const auto& item) { return item.second.expired(); });
    indexes[diff_id.hex()] = shared;
    return shared;
  }

  // From memory or disk; nullptr where there is none, or only a damaged one.
  std::shared_ptr<const LayerIndex> load_index(const Digest& diff_id) {
    {
      std::lock_guard lock(mutex);
      auto at = indexes.find(diff_id.hex());
      if (at != indexes.end()) {
        if (auto index = at->second.lock()) return index;
      }
    }
    auto bytes = read_file(index_file(diff_id), kMaxIndexFileBytes);
    if (!bytes.ok()) return nullptr;
    auto index = read_layer_index(*bytes);
    if (!index.ok()) {
      log_debug("layer " + diff_id.str() + ": " + index.error().message + "; making it again");
      return nullptr;
    }
    return remember(diff_id, std::move(*index));
  }

  bool fs_is_whole(const Digest& diff_id) {
    auto said = read_file(whole_file(diff_id), 128);
    if (!said.ok() || !path_exists(fs(diff_id))) return false;
    if (*said == boot_id()) return true;
    auto index = load_index(diff_id);
    if (!index || !sizes_fit(fs(diff_id), *index)) return false;
    auto dir = TempDir::create(session, "boot-");
    if (dir.ok()) (void)write_whole(*dir / "whole", whole_file(diff_id), boot_id()).ok();
    return true;
  }

  // Puts what lies in `work` in place; `fs` may be elsewhere, or "". The caller has the turn.
  Result<void> install(const Digest& diff_id, const TempDir& work, const std::string& made_fs, const LayerIndex& index) {
    TRY(make_directories(folder(diff_id)));
    TRY(write_whole(work / "index", index_file(diff_id), write_layer_index(index)));
    if (made_fs.empty()) return {};
    // An fs without its word that it is whole is what an earlier power cut or crash left.
    TRY(remove_tree(fs(diff_id)));
    if (::rename(made_fs.c_str(), fs(diff_id).c_str()) != 0) return errno_error("moving the layer to " + fs(diff_id));
    return write_whole(work / "whole", whole_file(diff_id), boot_id());
  }
};

LayerStore::LayerStore(std::string root) : state_(std::make_shared<State>()), root_(std::move(root)) { state_->root = root_; }

Result<std::shared_ptr<LayerStore>> LayerStore::open(std::string root) {
  TRY(make_directories(root + "/layers/sha256"));
  TRY(make_directories(root + "/layers/sha512"));
  TRY(make_directories(root + "/locks"));
  TRY(make_directories(root + "/tmp"));
  std::shared_ptr<LayerStore> store(new LayerStore(std::move(root)));
  State& state = *store->state_;
  // One at a time through the door: nobody takes a session for dead between its birth and its lock.
  Fd door = TRY(open_file(state.root + "/locks/tmp", O_RDWR | O_CREAT, 0600));
  while (::flock(door.get(), LOCK_EX) != 0) {
    if (errno != EINTR) return errno_error("locking " + state.root);
  }
  clean_sessions(state.root + "/tmp");
  TempDir session = TRY(TempDir::create(state.root + "/tmp", ""));
  state.session_lock = TRY(open_file(session.path(), O_RDONLY | O_DIRECTORY));
  if (::flock(state.session_lock.get(), LOCK_EX | LOCK_NB) != 0) return errno_error("locking " + session.path());
  state.session = session.release();
  return store;
}

Result<std::shared_ptr<const LayerIndex>> LayerStore::index(const Digest& diff_id, const Descriptor& blob, Provider& from, ProgressTask* progress,
                                                            std::stop_token stop) {
  if (auto index = state_->load_index(diff_id)) return index;
  auto turn = TRY(state_->take_turn(diff_id, stop));
  if (auto index = state_->load_index(diff_id)) return index;
  if (progress) progress->set_total(blob.size);
  LayerIndex index = TRY(stream_layer(diff_id, blob, from, {.progress = progress, .stop = stop}));
  TempDir work = TRY(TempDir::create(state_->session, "index-"));
  TRY(state_->install(diff_id, work, "", index));
  return state_->remember(diff_id, std::move(index));
}

Result<std::string> LayerStore::unpacked(const Digest& diff_id, const Descriptor& blob, Provider& from, ProgressTask* progress, std::stop_token stop) {
  if (state_->fs_is_whole(diff_id)) return state_->fs(diff_id);
  auto turn = TRY(state_->take_turn(diff_id, stop));
  if (state_->fs_is_whole(diff_id)) return state_->fs(diff_id);
  if (progress) progress->set_total(blob.size);
  TempDir work = TRY(TempDir::create(state_->session, "layer-"));
  std::string fs = work / "fs";
  TRY(make_directories(fs));
  LayerIndex index = TRY(stream_layer(diff_id, blob, from, {.unpack_to = fs, .progress = progress, .stop = stop}));
  TRY(state_->install(diff_id, work, fs, index));
  (void)state_->remember(diff_id, std::move(index));
  return state_->fs(diff_id);
}

Result<void> LayerStore::adopt(const Digest& diff_id, const std::string& dir, const LayerIndex& index) {
  auto turn = TRY(state_->take_turn(diff_id, {}));
  if (state_->fs_is_whole(diff_id)) return {};  // equal already; the caller's goes with its scratch folder
  TempDir work = TRY(TempDir::create(state_->session, "adopt-"));
  TRY(state_->install(diff_id, work, dir, index));
  (void)state_->remember(diff_id, index);
  return {};
}

Result<void> LayerStore::put_index(const Digest& diff_id, const LayerIndex& index) {
  if (state_->load_index(diff_id)) return {};
  auto turn = TRY(state_->take_turn(diff_id, {}));
  TempDir work = TRY(TempDir::create(state_->session, "index-"));
  TRY(state_->install(diff_id, work, "", index));
  (void)state_->remember(diff_id, index);
  return {};
}

Result<uint64_t> LayerStore::unpacked_bytes(const Digest& diff_id) const {
  auto index = state_->load_index(diff_id);
  if (!index) return Error{Code::NotFound, "layer " + diff_id.str() + ": not here"};
  uint64_t total = 0;
  for (const auto& [path, entry] : index->entries) total += entry.size;
  return total;
}

bool LayerStore::has_index(const Digest& diff_id) const { return state_->load_index(diff_id) != nullptr; }
bool LayerStore::has_unpacked(const Digest& diff_id) const { return state_->fs_is_whole(diff_id); }

Result<void> LayerStore::remove(const Digest& diff_id) {
  auto turn = TRY(state_->take_turn(diff_id, {}));
  {
    std::lock_guard lock(state_->mutex);
    state_->indexes.erase(diff_id.hex());
  }
  // Out of sight at once, then gone bit by bit.
  TempDir grave = TRY(TempDir::create(state_->session, "removed-"));
  if (::rename(state_->folder(diff_id).c_str(), (grave / "layer").c_str()) != 0 && errno != ENOENT) return errno_error("removing layer " + diff_id.str());
  return {};
}

Result<TempDir> LayerStore::scratch() { return TempDir::create(state_->session, "scratch-"); }

}  // namespace archway
