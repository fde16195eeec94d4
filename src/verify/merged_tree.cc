#include "verify/merged_tree.h"

#include <algorithm>

namespace archway {

namespace {

// The components of a path, last first, onto what is still to be walked.
void push_components(std::vector<std::string_view>& pending, std::string_view path) {
  while (!path.empty()) {
    size_t slash = path.rfind('/');
    std::string_view part = path.substr(slash == path.npos ? 0 : slash + 1);
    if (!part.empty() && part != ".") pending.push_back(part);
    path = path.substr(0, slash == path.npos ? 0 : slash);
  }
}

std::pair<std::string_view, std::string_view> split_last(std::string_view path) {
  size_t slash = path.rfind('/');
  if (slash == path.npos) return {"", path};
  return {path.substr(0, slash), path.substr(slash + 1)};
}

}  // namespace

// One walk serves both sides. A runtime that unpacks resolves the folders of a name inside the image, symlinks too, and makes those
// that are missing; a program that is started is looked up the same way, with nothing made. Names of new folders are borrowed from
// `path` or from a link's target, which live in the facts.
MergedTree::Found MergedTree::walk(std::string_view path, FollowLast follow_last, Create create) {
  std::vector<std::string_view> pending;
  push_components(pending, path);
  Found at{Found::How::Found, kRoot};
  int links = 0;
  while (!pending.empty()) {
    std::string_view name = pending.back();
    pending.pop_back();
    if (!nodes_[at.id].is_folder()) {
      obstacle_ = "is no folder";
      return {Found::How::Missing, at.id};
    }
    if (name == "..") {
      at.id = nodes_[at.id].parent;
      continue;
    }
    auto child = nodes_[at.id].children.find(name);
    if (child == nodes_[at.id].children.end()) {
      if (create == Create::No) return {Found::How::Missing, at.id};
      auto made = add_child(at.id, name);
      if (!made.ok()) return {Found::How::Missing, at.id};
      at.id = *made;
      continue;
    }
    const LayerEntry* entry = nodes_[child->second].entry;
    bool follow = entry && entry->kind == LayerEntry::Kind::Symlink && (!pending.empty() || follow_last == FollowLast::Yes);
    if (!follow) {
      at.id = child->second;
      continue;
    }
    if (++links > kMaxSymlinks) {
      obstacle_ = "is a loop of symlinks";
      return {Found::How::Loop, child->second};
    }
    at.through_links = true;
    push_components(pending, entry->link);
    if (entry->link.starts_with('/')) at.id = kRoot;
  }
  if (create == Create::Yes && !nodes_[at.id].is_folder()) {
    obstacle_ = "is no folder";
    return {Found::How::Missing, at.id};
  }
  return at;
}

Result<MergedTree::Id> MergedTree::add_child(Id folder, std::string_view name) {
  uint32_t depth = nodes_[folder].depth + 1;
  if (depth > kMaxDepth) {
    obstacle_ = "lies too deep (over 400 folders)";
    return Error{Code::Invalid, "too deep"};
  }
  if (nodes_.size() >= kMaxNodes) {
    obstacle_ = "is one too many (over 16 million names in the image)";
    return Error{Code::Invalid, "too many"};
  }
  Id id = static_cast<Id>(nodes_.size());
  nodes_.push_back({.parent = folder, .name = name, .layer = layers_, .depth = depth});
  nodes_[folder].children.emplace(name, id);
  return id;
}

// Whiteouts first: they hide what is below this layer, wherever they stand in its archive.
Result<void> MergedTree::apply(const LayerFacts& layer) {
  ++layers_;
  for (const std::string& path : layer.opaque) {
    Found folder = walk(path, FollowLast::Yes, Create::No);
    if (folder.how == Found::How::Found) nodes_[folder.id].children.clear();
  }
  for (const std::string& path : layer.whiteouts) {
    auto [parent, name] = split_last(path);
    Found folder = walk(parent, FollowLast::Yes, Create::No);
    if (folder.how == Found::How::Found) nodes_[folder.id].children.erase(name);
  }
  for (const LayerEntry& entry : layer.entries) TRY(put(entry, layers_));
  return {};
}

Result<void> MergedTree::put(const LayerEntry& entry, size_t layer) {
  auto refused = [&](std::string_view path, std::string_view why) {
    return Error{Code::Invalid, "layer " + std::to_string(layer) + " cannot be unpacked: at /" + entry.path + ": /" + std::string(path) + " " + std::string(why)};
  };
  auto [parent, name] = split_last(entry.path);
  Found folder = walk(parent, FollowLast::Yes, Create::Yes);
  if (folder.how != Found::How::Found) return refused(path_of(folder.id).substr(1), obstacle_);
  auto child = nodes_[folder.id].children.find(name);
  Id id;
  if (child == nodes_[folder.id].children.end()) {
    auto made = add_child(folder.id, name);
    if (!made.ok()) return refused(entry.path, obstacle_);
    id = *made;
  } else {
    id = child->second;
  }
  Node& node = nodes_[id];
  if (entry.kind == LayerEntry::Kind::Hardlink) return link_to(entry, node);
  // Folders merge; anything else takes the place of all that was there.
  if (entry.kind != LayerEntry::Kind::Folder || !node.is_folder()) node.children.clear();
  node.name = name;
  node.entry = &entry;
  node.layer = layer;
  return {};
}

Result<void> MergedTree::link_to(const LayerEntry& entry, Node& node) {
  Found target = walk(entry.link, FollowLast::No, Create::No);
  const Node& found = nodes_[target.id];
  if (target.how != Found::How::Found || &found == &node || found.is_folder()) {
    return Error{Code::Invalid, "layer " + std::to_string(layers_) + " cannot be unpacked: /" + entry.path + " is a hardlink to /" + entry.link + ", which is no file there"};
  }
  node.children.clear();
  node.entry = found.entry;
  node.layer = found.layer;
  return {};
}

std::string MergedTree::path_of(Id id) const {
  std::vector<std::string_view> names;
  for (; id != kRoot; id = nodes_[id].parent) names.push_back(nodes_[id].name);
  std::string path;
  for (auto name = names.rbegin(); name != names.rend(); ++name) path += "/" + std::string(*name);
  return path.empty() ? "/" : path;
}

void MergedTree::visit(const std::function<void(Id, const Node&)>& see) const {
  std::vector<Id> pending = {kRoot};
  while (!pending.empty()) {
    Id id = pending.back();
    pending.pop_back();
    if (id != kRoot) see(id, nodes_[id]);
    for (const auto& [name, child] : nodes_[id].children) pending.push_back(child);
  }
}

}  // namespace archway
