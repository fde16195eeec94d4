#pragma once

#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "snapshot/tree.h"

namespace archway {

// Turns a tar's entries, one by one in its order, into a LayerIndex - and says for each what that means for files on disk, so
// that an unpacked layer and its index cannot come to differ. Paths are resolved here, on metadata: through symlinks that the same layer
// made, never out of the root. (The unpacker then lets the kernel follow no symlink at all.)
class IndexBuilder {
 public:
  explicit IndexBuilder(const LayerLimits& limits = kLayerLimits) : limits_(limits) {}

  struct Step {
    enum class Kind {
      Nothing,  // a whiteout (see index()), the tar's own metadata, a hardlink to itself
      Make,     // make `entry` at `path`
    } kind = Kind::Nothing;
    std::string_view path;             // as long as the next add()
    const TreeEntry* entry = nullptr;
    bool replaces = false;             // something is there (for a Directory: something that is no folder, which goes with all below it)
    bool exists = false;               // for a Directory: there is one already, which gets this metadata
  };
  // Invalid names the entry: a path out of the root, one below a file, a hardlink to a folder, a limit.
  Result<Step> add(const TarEntry& entry);
  // The end. The builder is empty afterwards.
  LayerIndex take();

 private:
  struct Node {
    TreeEntry entry;
    bool implied = false;  // a folder that only its content tells of
  };
  using Nodes = std::map<std::string, Node, PathOrder>;

  Result<std::string> resolve(std::string_view canonical);
  Result<std::string> resolve_parent(std::string_view parent);
  Result<Step> place(std::string path, TreeEntry entry);
  Result<TreeEntry> link_to(std::string_view path, std::string_view target);
  Result<void> count(size_t bytes);
  void forget(Nodes::iterator at);
  void release_name(const std::string& path, const TreeEntry& entry);

  LayerLimits limits_;
  Nodes nodes_;
  std::map<std::string, bool, PathOrder> whiteouts_;  // true: opaque
  std::unordered_map<std::string, std::vector<std::string>> links_;  // file → its further names
  std::string last_parent_, last_resolved_;           // tars come folder by folder
  bool last_valid_ = false;
  size_t entries_ = 0;
  uint64_t metadata_bytes_ = 0;
};

// overlayfs takes orders from these; nobody else than it and us may set them.
bool is_overlay_xattr(std::string_view name);

}  // namespace archway
