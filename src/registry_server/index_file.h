#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/result.h"
#include "format/json.h"
#include "image/descriptor.h"

namespace archway::registry_server {

inline constexpr std::string_view kRefName = "org.opencontainers.image.ref.name";

// What an index.json says. Entries with a ref.name annotation are tags.
struct IndexState {
  std::map<std::string, Descriptor> tags;      // with all annotations of their entries
  std::map<Digest, Descriptor> manifests;      // every manifest that has an entry, without ref.name
  std::vector<Json> foreign = {};              // entries that we cannot read; kept as they are
  Json rest = {};                              // the other members of the file

  void set_tag(const std::string& tag, const Descriptor& manifest);
};

Result<IndexState> parse_index_state(std::string_view text);
std::string write_index_state(const IndexState& state);

// The index.json of one layout folder. Written whole to a temporary file, synced, renamed over the old one, and the
// folder synced; a lock on the folder keeps other archways out meanwhile. Changes that come while one is being
// written are put together into the next (group commit). What other tools write into the file is seen. Thread safe.
class IndexFile {
 public:
  explicit IndexFile(std::string folder) : folder_(std::move(folder)) {}

  // The newest state; a file that is missing reads as empty.
  Result<std::shared_ptr<const IndexState>> read();
  // Applies `change`, which says whether there is anything to write; its error leaves all as it was. Durable on return.
  Result<void> edit(std::function<Result<bool>(IndexState&)> change);

 private:
  struct Stamp {
    uint64_t inode = 0;
    int64_t seconds = 0, nanoseconds = 0, size = -1;
    bool operator==(const Stamp&) const = default;
  };
  struct Pending {
    std::function<Result<bool>(IndexState&)> change;
    Result<void> outcome;
    bool done = false;
  };
  Stamp stamp() const;
  std::string path() const { return folder_ + "/index.json"; }
  Result<std::shared_ptr<const IndexState>> load();
  void write_batch(const std::vector<Pending*>& batch);
  Result<void> write_changed(const std::vector<Pending*>& batch);

  std::string folder_;
  std::mutex mutex_;
  std::condition_variable written_;
  std::deque<Pending*> queue_;
  bool writing_ = false;
  std::shared_ptr<const IndexState> state_;
  Stamp state_stamp_;
};

}  // namespace archway::registry_server
