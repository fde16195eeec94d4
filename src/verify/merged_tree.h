#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "verify/layer_facts.h"

namespace archway {

// What a container sees: layers laid over each other, bottom first, as runtimes unpack them (image-spec, layer.md "Applying
// Changesets"). Borrows the layers' facts, which must outlive it and stay unchanged. Not thread safe while layers are applied.
class MergedTree {
 public:
  using Id = uint32_t;
  static constexpr Id kRoot = 0;
  static constexpr size_t kMaxDepth = 400;         // folders in folders, as archway unpacks them
  static constexpr size_t kMaxNodes = 16'000'000;
  static constexpr int kMaxSymlinks = 40;          // as Linux has it (MAXSYMLINKS)

  struct Node {
    Id parent = kRoot;
    std::string_view name = {};
    const LayerEntry* entry = nullptr;  // null: a folder that is only implied
    size_t layer = 0;                   // 1-based; of the layer that has the entry, which for a hardlink may be a lower one
    uint32_t depth = 0;
    std::map<std::string_view, Id> children = {};
    bool is_folder() const { return !entry || entry->kind == LayerEntry::Kind::Folder; }
  };

  MergedTree() : nodes_(1) {}
  // Invalid where no runtime could unpack it: a file used as a folder, a hardlink to nothing, a limit passed.
  Result<void> apply(const LayerFacts& layer);

  struct Found {
    enum class How { Found, Missing, Loop } how = How::Missing;
    Id id = kRoot;           // where Found
    bool through_links = false;
  };
  // Follows symlinks as the kernel would with the image as its root.
  Found resolve(std::string_view path) const { return const_cast<MergedTree*>(this)->walk(path, FollowLast::Yes, Create::No); }
  const Node& node(Id id) const { return nodes_[id]; }
  std::string path_of(Id id) const;  // "/usr/bin/env"
  // Everything that is there but the root, in no order.
  void visit(const std::function<void(Id, const Node&)>& see) const;

 private:
  enum class FollowLast { Yes, No };
  enum class Create { Yes, No };
  Found walk(std::string_view path, FollowLast follow_last, Create create);
  Result<void> put(const LayerEntry& entry, size_t layer);
  Result<void> link_to(const LayerEntry& entry, Node& node);
  Result<Id> add_child(Id folder, std::string_view name);
  std::vector<Node> nodes_;
  size_t layers_ = 0;
  std::string_view obstacle_ = {};  // why the last walk that creates came to nothing
};

}  // namespace archway
