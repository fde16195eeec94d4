#include "snapshot/index_builder.h"

#include <limits>

#include "snapshot/path_walk.h"

namespace archway {

namespace {

constexpr std::string_view kWhiteout = ".wh.";
constexpr std::string_view kAufsMetadata = ".wh..wh.";
constexpr std::string_view kOpaque = ".wh..wh..opq";

Error refuse(const TarEntry& entry, std::string_view why) {
  return {Code::Invalid, "layer entry " + entry.path.substr(0, 256) + ": " + std::string(why)};
}

// What the names on the way say: AUFS's own bookkeeping is to be passed over, and nothing lies below a whiteout.
enum class Special { None, Aufs, BelowWhiteout };
Special special_names(std::string_view canonical) {
  for (size_t at = 0; at < canonical.size();) {
    size_t end = std::min(canonical.find('/', at), canonical.size());
    std::string_view name = canonical.substr(at, end - at);
    bool last = end == canonical.size();
    if (name.starts_with(kAufsMetadata) && !(last && name == kOpaque)) return Special::Aufs;
    if (name.starts_with(kWhiteout) && !last) return Special::BelowWhiteout;
    at = end + 1;
  }
  return Special::None;
}

Result<TreeEntry> metadata_of(const TarEntry& entry, const LayerLimits& limits) {
  // The largest id is (uid_t)-1, which to chown means "leave it".
  constexpr uint64_t kMaxId = std::numeric_limits<uint32_t>::max() - 1;
  if (entry.uid > kMaxId || entry.gid > kMaxId) return refuse(entry, "owner beyond 32 bits");
  TreeEntry out{.type = entry.type,
                .mode = entry.mode & 07777,
                .uid = static_cast<uint32_t>(entry.uid),
                .gid = static_cast<uint32_t>(entry.gid),
                .size = entry.type == TarType::Regular ? entry.size : 0,
                .mtime = Time::from_seconds(entry.mtime.seconds())};
  if (entry.type == TarType::CharDevice || entry.type == TarType::BlockDevice) {
    out.dev_major = entry.dev_major;
    out.dev_minor = entry.dev_minor;
  }
  if (entry.type == TarType::Symlink) {
    if (entry.link.empty()) return refuse(entry, "a symlink to nothing");
    if (entry.link.size() > limits.path_bytes) return refuse(entry, "a symlink's target of over " + std::to_string(limits.path_bytes) + " bytes");
    if (entry.link.find('\0') != std::string::npos) return refuse(entry, "a symlink's target with a NUL byte in it");
    out.link = entry.link;
  }
  for (const auto& xattr : entry.xattrs) {
    if (!is_overlay_xattr(xattr.first)) out.xattrs.push_back(xattr);
  }
  return out;
}

size_t metadata_size(const TreeEntry& entry) {
  size_t bytes = entry.link.size();
  for (const auto& [name, value] : entry.xattrs) bytes += name.size() + value.size();
  return bytes;
}

}  // namespace

bool is_overlay_xattr(std::string_view name) { return name.starts_with("user.overlay.") || name.starts_with("trusted.overlay."); }

Result<void> IndexBuilder::count(size_t bytes) {
  if (++entries_ > limits_.entries) return Error{Code::Invalid, "a layer of more than " + std::to_string(limits_.entries) + " entries"};
  metadata_bytes_ += bytes;
  if (metadata_bytes_ > limits_.metadata_bytes) {
    return Error{Code::Invalid, "a layer with more than " + std::to_string(limits_.metadata_bytes) + " bytes of names, links and xattrs"};
  }
  return {};
}

Result<std::string> IndexBuilder::resolve(std::string_view canonical) {
  auto entry_at = [this](std::string_view path) -> const TreeEntry* {
    auto at = nodes_.find(path);
    return at == nodes_.end() ? nullptr : &at->second.entry;
  };
  auto walked = walk_path(entry_at, canonical, true);
  if (!walked) return Error{Code::Invalid, "too many symlinks in " + std::string(canonical)};
  return canonical_path(walked->path, limits_);  // a symlink may have made it too long, or too deep
}

Result<std::string> IndexBuilder::resolve_parent(std::string_view parent) {
  if (last_valid_ && parent == last_parent_) return last_resolved_;
  std::string resolved = TRY(resolve(parent));
  for (size_t end = 0; end < resolved.size();) {
    end = std::min(resolved.find('/', end + 1), resolved.size());
    std::string_view folder = std::string_view(resolved).substr(0, end);
    auto at = nodes_.lower_bound(folder);
    if (at == nodes_.end() || at->first != folder) {
      TRY(count(folder.size()));
      nodes_.emplace_hint(at, folder, Node{.entry = {.type = TarType::Directory, .mode = 0755}, .implied = true});
    } else if (at->second.entry.type != TarType::Directory) {
      return Error{Code::Invalid, "lies below " + std::string(folder) + ", which is no folder"};
    }
  }
  last_parent_ = parent;
  last_resolved_ = resolved;
  last_valid_ = true;
  return resolved;
}

Result<TreeEntry> IndexBuilder::link_to(std::string_view path, std::string_view target) {
  std::string canonical = TRY(canonical_path(target, limits_));
  if (canonical.empty()) return Error{Code::Invalid, "a hard link to the root"};
  std::string parent = TRY(resolve(parent_of(canonical)));
  TreeEntry out{.type = TarType::Hardlink, .link = join_path(parent, name_of(canonical))};
  auto at = nodes_.find(out.link);
  if (at != nodes_.end() && at->second.entry.type == TarType::Directory) return Error{Code::Invalid, "a hard link to a folder, " + out.link};
  if (at != nodes_.end() && at->second.entry.type == TarType::Hardlink && out.link != path) out.link = at->second.entry.link;
  return out;
}

void IndexBuilder::release_name(const std::string& path, const TreeEntry& entry) {
  if (entry.type == TarType::Hardlink) {
    auto names = links_.find(entry.link);
    if (names != links_.end()) std::erase(names->second, path);
    return;
  }
  auto names = links_.find(path);
  if (names == links_.end()) return;
  std::vector<std::string> others = std::move(names->second);
  links_.erase(names);
  if (others.empty()) return;
  // The file lives on under its other names; the first of them stands for it now.
  std::string heir = std::move(others.front());
  others.erase(others.begin());
  nodes_.find(heir)->second.entry = entry;
  for (const std::string& other : others) nodes_.find(other)->second.entry.link = heir;
  links_.emplace(std::move(heir), std::move(others));
}

void IndexBuilder::forget(Nodes::iterator at) {
  last_valid_ = false;
  const std::string folder = at->first;
  while (at != nodes_.end() && (at->first == folder || lies_below(at->first, folder))) {
    release_name(at->first, at->second.entry);
    at = nodes_.erase(at);
  }
}

Result<IndexBuilder::Step> IndexBuilder::place(std::string path, TreeEntry entry) {
  Step step;
  step.kind = Step::Kind::Make;
  bool ends_it = nodes_.empty() || path_less(nodes_.rbegin()->first, path);  // tars mostly come in order
  auto at = ends_it ? nodes_.end() : nodes_.lower_bound(path);
  if (at != nodes_.end() && at->first == path) {
    if (at->second.entry.type == TarType::Directory && entry.type == TarType::Directory) {
      at->second = Node{.entry = std::move(entry)};
      step.exists = true;
    } else {
      forget(at);
      step.replaces = true;
      at = nodes_.lower_bound(path);
    }
  }
  if (!step.exists) {
    if (entry.type == TarType::Hardlink) links_[entry.link].push_back(path);
    at = nodes_.emplace_hint(at, std::move(path), Node{.entry = std::move(entry)});
  }
  step.path = at->first;
  step.entry = &at->second.entry;
  return step;
}

Result<IndexBuilder::Step> IndexBuilder::add(const TarEntry& entry) {
  auto in_entry = [&] { return "layer entry " + entry.path.substr(0, 256); };
  std::string canonical = TRY(canonical_path(entry.path, limits_).context("layer entry"));
  switch (special_names(canonical)) {
    case Special::None: break;
    case Special::Aufs: return Step{};
    case Special::BelowWhiteout: return refuse(entry, "lies below a whiteout");
  }
  TreeEntry metadata = TRY(metadata_of(entry, limits_));
  TRY(count(canonical.size() + metadata_size(metadata)).context(in_entry()));
  if (canonical.empty()) {
    if (entry.type != TarType::Directory) return refuse(entry, "the root has to be a folder");
    Step step = TRY(place(std::string(), std::move(metadata)));
    step.exists = true;
    return step;
  }
  std::string parent = TRY(resolve_parent(parent_of(canonical)).context(in_entry()));
  std::string_view name = name_of(canonical);
  if (name == kOpaque) {
    whiteouts_[parent] = true;
    return Step{};
  }
  if (name.starts_with(kWhiteout)) {
    std::string_view hidden = name.substr(kWhiteout.size());
    if (hidden.empty() || hidden == "." || hidden == "..") return refuse(entry, "a whiteout of nothing");
    whiteouts_.emplace(join_path(parent, hidden), false);
    return Step{};
  }
  std::string path = join_path(parent, name);
  if (path.size() > limits_.path_bytes) return refuse(entry, "longer than " + std::to_string(limits_.path_bytes) + " bytes");
  // To overlayfs, which is to mount this, such a device says that there is nothing.
  if (entry.type == TarType::CharDevice && entry.dev_major == 0 && entry.dev_minor == 0) {
    whiteouts_.emplace(std::move(path), false);
    return Step{};
  }
  if (entry.type == TarType::Hardlink) {
    TreeEntry link = TRY(link_to(path, entry.link).context(in_entry()));
    if (link.link == path) return nodes_.contains(path) ? Result<Step>(Step{}) : refuse(entry, "a hard link to itself");
    metadata.link = std::move(link.link);
  }
  return place(std::move(path), std::move(metadata));
}

LayerIndex IndexBuilder::take() {
  LayerIndex index;
  for (const auto& [path, is_opaque] : whiteouts_) {
    auto at = nodes_.find(path);
    if (at == nodes_.end() && !path.empty()) {
      if (!is_opaque) index.whiteouts.push_back(path);
    } else if (path.empty() || at->second.entry.type == TarType::Directory) {
      // "Removed, and made anew" is what opaque means; it has to have an entry then.
      if (at != nodes_.end()) at->second.implied = false;
      index.opaque.push_back(path);
    }
  }
  index.entries.reserve(nodes_.size());
  for (auto& [path, node] : nodes_) {
    if (!node.implied) index.entries.emplace_back(path, std::move(node.entry));
  }
  *this = IndexBuilder(limits_);
  return index;
}

Result<LayerIndex> index_tar(Source& tar, const LayerLimits& limits) {
  TarReader reader(tar);
  IndexBuilder builder(limits);
  while (auto entry = TRY(reader.next())) TRY(builder.add(*entry));
  return builder.take();
}

}  // namespace archway
