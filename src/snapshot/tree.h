#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "format/tar.h"
#include "image/digest.h"

// What a layer, and a stack of layers, holds - as metadata, without a mounted tree. COPY, ADD and WORKDIR are worked out on
// this, so that they need no mount and, where a base is only pushed on, not even its files.
namespace archway {

// One entry of a layer. Paths are canonical: no leading or trailing slash, no "." or ".."; the root is "".
struct TreeEntry {
  TarType type = TarType::Regular;  // Hardlink never appears in a merged tree: it is resolved to a regular entry with `link_target` set
  uint32_t mode = 0;                // permission bits and setuid, setgid, sticky
  uint32_t uid = 0, gid = 0;
  uint64_t size = 0;
  Time mtime = {};
  std::string link;                 // symlink's target; hardlink's canonical path
  uint32_t dev_major = 0, dev_minor = 0;
  std::vector<std::pair<std::string, std::string>> xattrs = {};
  bool operator==(const TreeEntry&) const = default;
};

// One layer's entries in path order, whiteouts apart. Immutable once built; kept on disk beside the layer.
struct LayerIndex {
  std::vector<std::pair<std::string, TreeEntry>> entries;  // sorted by path, unique (the last of equal names in the tar counts)
  std::vector<std::string> whiteouts;                      // paths removed from lower layers, sorted
  std::vector<std::string> opaque;                         // folders whose lower content is hidden, sorted
};
Result<LayerIndex> index_tar(Source& tar);                 // limits on entries, path length, metadata bytes
std::string write_layer_index(const LayerIndex& index);    // compact binary, with a checksum
Result<LayerIndex> read_layer_index(std::string_view bytes);

// A stack of layers merged, bottom first. Cheap to copy. Lookups resolve whiteouts and opaque folders.
class Tree {
 public:
  Tree() = default;
  Tree with(std::shared_ptr<const LayerIndex> layer) const;
  size_t depth() const { return layers_.size(); }

  struct Found {
    const TreeEntry* entry;
    size_t layer;         // which layer the entry comes from
  };
  // Exactly this path, last component not followed and no symlink on the way followed. The root always exists.
  std::optional<Found> lookup(std::string_view path) const;
  // Follows symlinks as the kernel would inside this root (at most 40); nullopt where dangling.
  // On success the canonical path of what was found.
  std::optional<std::string> resolve(std::string_view path, bool follow_last = true) const;
  // Resolves as much as exists and appends the rest: where a file created at `path` would end up.
  std::string resolve_for_create(std::string_view path) const;
  // Names in a folder, sorted; of the merged tree.
  std::vector<std::string> children(std::string_view path) const;
  const std::vector<std::shared_ptr<const LayerIndex>>& layers() const { return layers_; }

 private:
  std::vector<std::shared_ptr<const LayerIndex>> layers_;
};

}  // namespace archway
