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

// What one layer may hold. Beyond it is Invalid, and names the entry.
struct LayerLimits {
  size_t entries = 4'000'000;
  size_t path_bytes = 4095;            // PATH_MAX less its NUL
  size_t name_bytes = 255;             // NAME_MAX
  size_t depth = 400;                  // folders in folders; removing a tree holds one descriptor per level
  uint64_t metadata_bytes = 512 << 20;  // names, links and xattrs together
};
inline constexpr LayerLimits kLayerLimits = {};

// Path order is the order in which a walk that sorts each folder meets things: byte by byte, "/" before all other bytes.
// So a folder is followed by all that is in it. It is not the order of std::string, where "a-b" comes before "a/b".
bool path_less(std::string_view a, std::string_view b);
struct PathOrder {
  using is_transparent = void;
  bool operator()(std::string_view a, std::string_view b) const { return path_less(a, b); }
};
// "./a//b/../c" and "/a/c/" are "a/c". Invalid where ".." leads above the root, or a limit is passed.
Result<std::string> canonical_path(std::string_view path, const LayerLimits& limits = kLayerLimits);

// One entry of a layer. Paths are canonical: no leading or trailing slash, no "." or ".."; the root is "".
struct TreeEntry {
  TarType type = TarType::Regular;  // in a LayerIndex, Hardlink too: then `link` says where the rest is. Tree never answers with one
  uint32_t mode = 0;                // permission bits and setuid, setgid, sticky
  uint32_t uid = 0, gid = 0;
  uint64_t size = 0;
  Time mtime = {};                  // whole seconds
  std::string link = {};            // symlink's target as written; hardlink's canonical path
  uint32_t dev_major = 0, dev_minor = 0;
  std::vector<std::pair<std::string, std::string>> xattrs = {};
  bool operator==(const TreeEntry&) const = default;
};

// One layer's entries in path order, whiteouts apart. Immutable once built; kept on disk beside the layer.
// A path whose parents are symlinks of the same layer is listed where it really ends up.
struct LayerIndex {
  std::vector<std::pair<std::string, TreeEntry>> entries;  // in path order, unique (the last of equal names in the tar counts)
  std::vector<std::string> whiteouts;                      // paths removed from lower layers, in path order; never also in entries
  std::vector<std::string> opaque;                         // folders whose lower content is hidden, in path order
  const TreeEntry* find(std::string_view path) const;      // exactly this entry, or nullptr
  bool operator==(const LayerIndex&) const = default;
};
// Reads to the end of the archive (not of the source). Whiteouts are `.wh.NAME`, `.wh..wh..opq`, and overlayfs's own (character
// device 0/0); AUFS's `.wh..wh.*` is passed over; xattrs that would steer overlayfs are dropped.
Result<LayerIndex> index_tar(Source& tar, const LayerLimits& limits = kLayerLimits);
std::string write_layer_index(const LayerIndex& index);    // compact binary, with a checksum
Result<LayerIndex> read_layer_index(std::string_view bytes);

// A stack of layers merged, bottom first. Cheap to copy. Lookups resolve whiteouts and opaque folders.
// A folder that is only implied by what is in it has the metadata of the same folder in a lower layer; where there is none,
// it is 0755, root's, of 1970.
class Tree {
 public:
  Tree() = default;
  Tree with(std::shared_ptr<const LayerIndex> layer) const;
  size_t depth() const { return layers_.size(); }

  // A hardlink is answered with the entry it links to, so two names of one file have the same `entry`. `name` is the path under
  // which the layer holds that entry (and its tar the data). Both live as long as the layer. `link` is only set for symlinks.
  struct Found {
    const TreeEntry* entry;
    size_t layer;         // which layer the entry comes from (for a folder only implied: the topmost that implies it)
    std::string_view name = {};
  };
  // Exactly this path (canonical), last component not followed and no symlink on the way followed. The root always exists.
  std::optional<Found> lookup(std::string_view path) const;
  // Follows symlinks as the kernel would inside this root (at most 40); nullopt where dangling.
  // On success the canonical path of what was found.
  std::optional<std::string> resolve(std::string_view path, bool follow_last = true) const;
  // Resolves as much as exists and appends the rest: where a file created at `path` would end up.
  std::string resolve_for_create(std::string_view path) const;
  // Names in a folder, sorted; of the merged tree. Empty where `path` (canonical) is no folder.
  std::vector<std::string> children(std::string_view path) const;
  const std::vector<std::shared_ptr<const LayerIndex>>& layers() const { return layers_; }

 private:
  std::vector<std::shared_ptr<const LayerIndex>> layers_;
};

}  // namespace archway
