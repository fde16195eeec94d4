#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>

#include <sys/stat.h>

#include "base/clock.h"
#include "base/result.h"

namespace archway::build {

// What identifies one state of a file without reading it. As in git's index: whoever changes a file's bytes cannot help but change its
// ctime, or replace the file by another.
struct FileStamp {
  uint64_t device = 0, inode = 0, size = 0;
  int64_t mtime_ns = 0, ctime_ns = 0;
  static FileStamp of(const struct stat& st);
  bool operator==(const FileStamp&) const = default;
};

struct KnownContent {
  std::array<unsigned char, 32> sha256 = {};
  bool has_capability = false;  // security.capability; setting one changes ctime
};

// Which file had which content when it was last read, kept in one file between builds, so that an unchanged context is not read again.
// Losing it costs time only: a cache file that is damaged, or another version's, counts as empty. Not for several threads at once;
// several processes may use one file, and the last to save wins.
class StatCache {
 public:
  explicit StatCache(std::string path, Clock& clock = system_clock()) : path_(std::move(path)), clock_(clock) { load(); }
  std::optional<KnownContent> find(const FileStamp& stamp);
  // `read_at`: a time before the first byte was read. A file that changed so shortly before that a second change could bear the same time
  // is not remembered; it will be read again next time.
  void remember(const FileStamp& stamp, const KnownContent& content, Time read_at);
  // Writes the file, atomically, if there is something new. Entries that no build asked for in kKeepDays are dropped.
  Result<void> save();
  size_t size() const { return entries_.size(); }

  static constexpr size_t kMaxEntries = 4'000'000;
  static constexpr int64_t kKeepDays = 30;

 private:
  struct Key {
    uint64_t device, inode;
    bool operator==(const Key&) const = default;
  };
  struct KeyHash {
    size_t operator()(const Key& key) const { return key.inode * 0x9E3779B97F4A7C15u ^ key.device; }
  };
  struct Entry {
    FileStamp stamp;
    KnownContent content;
    uint32_t used_day = 0;
  };
  void load();
  uint32_t today();

  std::string path_;
  Clock& clock_;
  std::unordered_map<Key, Entry, KeyHash> entries_;
  bool changed_ = false;
};

}  // namespace archway::build
