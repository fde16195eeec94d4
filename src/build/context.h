#pragma once

#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/fd.h"
#include "build/file_source.h"
#include "build/stat_cache.h"
#include "dockerfile/ignore.h"

namespace archway::build {

// A folder that COPY and ADD take files from, without what an ignore file leaves out; all files are root's. Each folder in it is read
// once, when first asked for, and what was seen then holds for the life of the object: a file whose bytes or times are not what they
// were is an error, not a surprise in the image. Sockets are left out.
//
// The root's mode is 0755 whatever the folder's is, as with BuildKit, which has no way to send it. A folder that is ignored is seen as far
// as something in it is re-included. Of xattrs, security.capability is reported: no other gets into a layer.
//
// Nothing leads out of the folder: symlinks are followed in memory, with the folder as their root, and the kernel resolves each path that
// is opened the same way. Threads may share one.
class BuildContext final : public FileSource {
 public:
  struct Options {
    dockerfile::IgnoreMatcher ignore = {};
    std::string cache_file = {};  // where the stat cache is kept; "": not at all
    std::stop_token stop = {};
    Clock* clock = &system_clock();
  };
  static Result<std::shared_ptr<BuildContext>> open(const std::string& folder, Options options);
  ~BuildContext() override;

  Result<std::optional<std::string>> resolve(std::string_view path) override;
  Result<std::optional<File>> stat(const std::string& path) override;
  Result<std::vector<std::string>> children(const std::string& path) override;
  Result<std::unique_ptr<Source>> open(const std::string& path) override;
  Result<void> copy_to(const std::string& path, int fd) override;
  std::string lineage() const override;
  Result<std::string> content_digest(const std::string& path, const TreeEntry& entry) override;
  Result<void> prepare(const std::vector<std::string>& paths) override;

  // How many files were read for their digest, for tests and measurements.
  size_t files_hashed() const { return hashed_; }

  static constexpr size_t kMaxFiles = 4'000'000;

 private:
  struct Folder;
  struct Node {
    std::string name;
    TreeEntry entry;
    FileStamp stamp;
    std::string link_group;
    std::string digest;               // hex; "" while not known
    bool ignored = false;             // a folder that is only here for what is re-included below
    std::unique_ptr<Folder> folder;   // of a directory, once read
    dockerfile::IgnoreMatcher::ParentState verdicts;  // of a directory
  };
  struct Folder {
    std::deque<Node> nodes;           // sorted by name; they stay where they are
  };
  struct ToHash {
    Node* node;
    std::string path;
  };

  BuildContext(Fd root, std::string name, Options options);
  Result<void> read_folder(Node& node, const std::string& path, size_t depth);
  Result<std::optional<Node>> read_entry(int folder, const std::string& folder_path, const Node& parent, const char* name, unsigned char type,
                                         size_t depth);
  Result<void> read_metadata(int folder, Node& node, const struct stat& st, const std::string& path);
  Result<Node*> find(std::string_view path);
  Result<void> collect(Node& node, const std::string& path, size_t depth, std::vector<ToHash>& files);
  Result<KnownContent> hash(const ToHash& file);
  Result<void> hash_all(const std::vector<ToHash>& files);

  Fd root_;
  std::string name_;
  Options options_;
  std::mutex mutex_;        // of all below; not held while files are read
  std::mutex hashing_;      // held by who reads files: another waits, and then finds the digests there
  Node top_;
  std::unique_ptr<StatCache> cache_;
  size_t files_ = 0;
  size_t hashed_ = 0;
};

}  // namespace archway::build
