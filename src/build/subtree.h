#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "build/file_source.h"

namespace archway::build {

// All that lies at and below one path of a source: what RUN --mount=type=bind shows of a build context.
class Subtree {
 public:
  struct Entry {
    std::string path;          // relative to the top, which is ""
    TarType type = TarType::Regular;
    uint32_t mode = 0, uid = 0, gid = 0;
    Time mtime = {};
    std::string content;       // of a file its sha256; of a symlink its target; of a second name the first's path; of a device its numbers
    std::string capability = {};
    bool shared = false;       // one of a file's several names, of which the first is the file
    bool operator==(const Entry&) const = default;
  };

  // `path` as written, symlinks are followed inside the source. NotFound where nothing is there.
  static Result<Subtree> list(FileSource& source, const std::string& path, std::stop_token stop);
  bool is_folder() const { return entries_.front().type == TarType::Directory; }
  const std::string& top() const { return top_; }  // where it is in the source
  const std::vector<Entry>& entries() const { return entries_; }  // parents first
  // Names, modes, owners and bytes, but no times: what a program's result may depend on.
  const std::string& content_key() const { return content_key_; }
  // With the files' times, which make and cargo go by; not those of folders, which change with files that are ignored, too.
  const std::string& version() const { return version_; }

  // As kept beside a copy. Damaged text is Invalid.
  std::string encode() const;
  static Result<std::vector<Entry>> decode(std::string_view text);

 private:
  Result<void> add(FileSource& source, const std::string& path, const std::string& relative, std::stop_token& stop);
  void compute_keys();
  std::string top_, content_key_, version_;
  std::vector<Entry> entries_;
  std::map<std::string, std::string> groups_;  // link group -> first path
};

// The name under which a copy holds a subtree that is one file.
inline constexpr const char* kSingleFile = "file";

// Makes `folder` hold the subtree; `there` is what it holds now, which is kept where it is the same. A file that is replaced is a new
// file. Nothing is synced. On failure the folder is of no use.
Result<void> update_copy(FileSource& source, const Subtree& wanted, const std::vector<Subtree::Entry>& there, const std::string& folder, std::stop_token stop);

// Subtrees of this build's contexts, each listed once. Thread safe.
class Subtrees {
 public:
  Result<std::shared_ptr<const Subtree>> of(FileSource& source, const std::string& path, std::stop_token stop);

 private:
  std::mutex mutex_;
  std::map<std::pair<FileSource*, std::string>, std::shared_ptr<const Subtree>> known_;
};

}  // namespace archway::build
