#pragma once

#include <cstdint>
#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/fd.h"
#include "dockerfile/run_mount.h"
#include "snapshot/layer_store.h"

namespace archway::build {

// Folders that RUN --mount shows to programs and that outlive the build: cache mounts, and copies of build contexts. Below `root`:
//     mounts/<name>/what        one line for people, after the kind and a space
//     mounts/<name>/door        flock: who chooses among the copies
//     mounts/<name>/<n>/        a copy, for where one is not to be shared
//         lock                  flock: who uses it; its mtime is when it was last taken
//         data/                 what is mounted
//         version list          of a context: which it is, and what is in it. Without `version`, nobody knows
//         bytes                 what data/ takes, as measured at this file's mtime
// A copy appears whole, by a rename. A kill leaves a cache as the program left it, and a context without its version: it is made anew.
// Thread safe, and safe between processes.
class MountStore {
 public:
  // `layers` gives scratch folders on the same file system. Borrowed.
  MountStore(const std::string& root, LayerStore& layers) : root_(root + "/mounts"), layers_(layers) {}

  // While `lock` is open, nobody removes the folder, and those who want it alone wait or get another.
  struct Taken {
    std::string data;
    Fd lock;
  };

  struct Cache {
    std::string name;                       // a digest of all that it is known by
    std::string what;                       // for people
    dockerfile::CacheSharing sharing = dockerfile::CacheSharing::Shared;
    std::function<Result<void>(const std::string& data)> fill;  // of a new one: gets an empty folder
  };
  // Shared: the first copy, together with others who share it. Locked: the first copy, alone. Both wait for who has it alone. Private: the
  // first copy that nobody has, or a new one.
  Result<Taken> take_cache(const Cache& cache, std::stop_token stop);

  struct Folder {
    std::string name;                       // what this folder's versions have in common
    std::string what;
    std::string version;
    // Makes `data` the version, out of an earlier one whose list was `list` ("": it is empty). Returns the list of what it holds now.
    std::function<Result<std::string>(const std::string& data, const std::string& list)> update;
  };
  // A copy of that version, which nobody changes as long as it is taken.
  Result<Taken> take_folder(const Folder& folder, std::stop_token stop);

  enum class Kind { Cache, Context };
  struct Entry {
    Kind kind = Kind::Cache;
    std::string id;                         // "<name>/<n>"
    std::string what;
    uint64_t bytes = 0;                     // a file of several names counts once
    Time used;
  };
  Result<std::vector<Entry>> entries();
  // False where it is in use. Only while nobody else has the store open: see BuildStore::prune.
  Result<bool> remove(const Entry& entry);
  // What is known of folders of which there is no copy. In the same circumstances.
  Result<void> remove_empty();

  static constexpr size_t kMaxCopies = 1000;

 private:
  struct Copies;
  Result<Entry> measure(const std::string& name, const std::string& copy, Kind kind, const std::string& what);
  std::string root_;
  LayerStore& layers_;
};

}  // namespace archway::build
