#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/fd.h"
#include "base/stream.h"
#include "snapshot/tree.h"

namespace archway::build {

// Files that COPY and ADD take: a build context or another stage. Paths are canonical ("a/b", the root is "").
class FileSource {
 public:
  struct File {
    TreeEntry entry;          // as it would be copied; owner 0:0 for contexts
    std::string link_group;   // files with an equal one are names of one file; "" for the usual case
    Time mtime = {};          // to the nanosecond where that is known; a layer's has whole seconds
  };
  virtual ~FileSource() = default;
  // Follows symlinks inside the source; nullopt where nothing is there.
  virtual Result<std::optional<std::string>> resolve(std::string_view path) = 0;
  virtual Result<std::optional<File>> stat(const std::string& path) = 0;  // of the path itself, a symlink not followed
  virtual Result<std::vector<std::string>> children(const std::string& path) = 0;  // names, sorted
  virtual Result<std::unique_ptr<Source>> open(const std::string& path) = 0;
  // Writes the bytes of a regular file to `fd`, which is empty: by sharing blocks or inside the kernel where it can.
  virtual Result<void> copy_to(const std::string& path, int fd);
  // What a later build of the same folder has in common with this one; "" where nothing is known of later builds.
  virtual std::string lineage() const { return ""; }
  // sha256 of a regular file's bytes, hex.
  virtual Result<std::string> content_digest(const std::string& path, const TreeEntry& entry) = 0;
  // Something that is equal only where the bytes are, at no cost where that can be: what LayerWriter knows a file's content by.
  virtual Result<std::string> content_identity(const std::string& path, const TreeEntry& entry) {
    std::string digest = TRY(content_digest(path, entry));
    return "sha256:" + digest;
  }
  // Learns the digests of all regular files at and below these paths, on several threads: what follows is then answered from memory.
  virtual Result<void> prepare(const std::vector<std::string>& paths) { (void)paths; return {}; }
};

// All bytes of one file into an empty one. Shares the blocks (reflink) where the file system can.
Result<void> copy_bytes(int from, int to);

// A stage or an image: metadata from the merged tree, bytes from the unpacked layers (one folder per layer of the tree).
class TreeSource final : public FileSource {
 public:
  TreeSource(Tree tree, std::vector<std::string> folders) : tree_(std::move(tree)), folders_(std::move(folders)) {}
  Result<std::optional<std::string>> resolve(std::string_view path) override;
  Result<std::optional<File>> stat(const std::string& path) override;
  Result<std::vector<std::string>> children(const std::string& path) override;
  Result<std::unique_ptr<Source>> open(const std::string& path) override;
  Result<std::string> content_digest(const std::string& path, const TreeEntry& entry) override;
  Result<std::string> content_identity(const std::string& path, const TreeEntry& entry) override;

 private:
  Tree tree_;
  std::vector<std::string> folders_;
};

}  // namespace archway::build
