#include "snapshot/layer_writer.h"

#include <algorithm>
#include <set>

#include "base/hash.h"
#include "snapshot/indexing_tar.h"
#include "snapshot/path_walk.h"

namespace archway {

// What names point to; several, where there are hardlinks.
struct LayerInode {
  TreeEntry entry;
  FileOpener open = {};         // of a regular file
  std::string written_as = {};  // its first name in the tar
  std::string content = {};     // what content_key() knows its bytes by
};

namespace {

using Inode = LayerInode;

constexpr size_t kReadBytes = 512 * 1024;

std::string_view kind_name(TarType type) {
  switch (type) {
    case TarType::Directory: return "folder";
    case TarType::Symlink: return "symlink";
    case TarType::Regular: case TarType::Hardlink: return "file";
    default: return "special file";
  }
}

std::string capability_of(const TreeEntry& entry) {
  for (const auto& [name, value] : entry.xattrs) {
    if (name == "security.capability") return value;
  }
  return {};
}

bool same_metadata(const TreeEntry& a, const TreeEntry& b) {
  return a.type == b.type && a.mode == b.mode && a.uid == b.uid && a.gid == b.gid && capability_of(a) == capability_of(b);
}

}  // namespace

struct LayerWriter::State {
  Tree lower;
  LayerWriterOptions options;
  std::map<std::string, std::shared_ptr<Inode>, PathOrder> upper;
  std::set<std::string, PathOrder> cut;  // folders of the lower tree that were replaced: all in them is gone, whatever stands there now

  const TreeEntry* lower_entry(std::string_view path) const {
    if (!cut.empty()) {
      for (std::string_view at = path; !at.empty(); at = parent_of(at)) {
        if (cut.contains(at)) return nullptr;
      }
    }
    auto found = lower.lookup(path);
    return found ? found->entry : nullptr;
  }

  const TreeEntry* lookup(std::string_view path) const {
    auto own = upper.find(path);
    if (own != upper.end()) return &own->second->entry;
    for (std::string_view above = parent_of(path); !above.empty(); above = parent_of(above)) {
      auto at = upper.find(above);
      if (at == upper.end()) continue;
      if (at->second->entry.type != TarType::Directory) return nullptr;
    }
    return lower_entry(path);
  }

  Result<void> make_parents(const std::string& path) {
    std::string parent(parent_of(path));
    if (parent.empty()) return {};
    return make_directories(parent, {.type = TarType::Directory, .mode = options.parent_mode, .uid = options.parent_uid, .gid = options.parent_gid,
                                     .size = 0, .mtime = options.now, .link = {}}, nullptr);
  }

  Result<void> make_directories(const std::string& path, const TreeEntry& like, std::vector<std::string>* made) {
    if (path.empty()) return {};
    if (const TreeEntry* there = lookup(path)) {
      if (there->type == TarType::Directory) return {};
      return Error{Code::Invalid, "cannot make the folder /" + path + ": there is a " + std::string(kind_name(there->type)) + " of that name"};
    }
    TRY(make_directories(std::string(parent_of(path)), like, made));
    auto inode = std::make_shared<Inode>(Inode{.entry = like});
    inode->entry.type = TarType::Directory;
    inode->entry.size = 0;
    upper[path] = std::move(inode);
    if (made) made->push_back(path);
    return {};
  }

  // Makes room for something that is no folder, or (`folder`) for a folder where none is.
  Result<void> make_room(const std::string& path, bool folder, OntoOther other) {
    if (path.empty()) return Error{Code::Invalid, "cannot replace the root folder"};
    TRY(make_parents(path));
    const TreeEntry* there = lookup(path);
    if (!there) return {};
    bool was_folder = there->type == TarType::Directory;
    if (was_folder && !folder && other == OntoOther::Refuse) return Error{Code::Invalid, "cannot replace the folder /" + path + " with a file"};
    if (folder && other == OntoOther::Refuse) return Error{Code::Invalid, "cannot copy a folder onto /" + path + ", which is a " + std::string(kind_name(there->type))};
    for (auto at = upper.lower_bound(path); at != upper.end() && (at->first == path || lies_below(at->first, path));) at = upper.erase(at);
    const TreeEntry* below = lower_entry(path);
    if (below && below->type == TarType::Directory) cut.insert(path);
    return {};
  }
};

LayerWriter::LayerWriter(Tree lower, LayerWriterOptions options) : state_(std::make_unique<State>()) {
  state_->lower = std::move(lower);
  state_->options = std::move(options);
}
LayerWriter::~LayerWriter() = default;
LayerWriter::LayerWriter(LayerWriter&&) noexcept = default;

const Tree& LayerWriter::lower() const { return state_->lower; }
bool LayerWriter::empty() const { return state_->upper.empty(); }
const TreeEntry* LayerWriter::lookup(std::string_view path) const { return state_->lookup(path); }

std::optional<std::string> LayerWriter::resolve(std::string_view path, bool follow_last) const {
  auto walked = walk_path([this](std::string_view at) { return lookup(at); }, path, follow_last);
  if (!walked || !walked->complete) return std::nullopt;
  return std::move(walked->path);
}

std::string LayerWriter::resolve_for_create(std::string_view path) const {
  auto walked = walk_path([this](std::string_view at) { return lookup(at); }, path, true);
  return walked ? std::move(walked->path) : canonical_path(path).value_or(std::string());
}

std::vector<std::string> LayerWriter::children(std::string_view path) const {
  const TreeEntry* folder = lookup(path);
  if (!folder || folder->type != TarType::Directory) return {};
  std::set<std::string> names;
  if (path.empty() || lower_entry_is_folder(path)) {
    for (std::string& name : state_->lower.children(path)) {
      if (state_->lower_entry(join_path(path, name))) names.insert(std::move(name));
    }
  }
  size_t skip = path.empty() ? 0 : path.size() + 1;
  for (auto at = state_->upper.upper_bound(path); at != state_->upper.end() && lies_below(at->first, path); ++at) {
    names.insert(at->first.substr(skip, at->first.find('/', skip) - skip));
  }
  return {names.begin(), names.end()};
}

bool LayerWriter::lower_entry_is_folder(std::string_view path) const {
  const TreeEntry* entry = state_->lower_entry(path);
  return entry && entry->type == TarType::Directory;
}

Result<std::vector<std::string>> LayerWriter::make_directories(const std::string& path, const TreeEntry& like) {
  std::vector<std::string> made;
  TRY(state_->make_directories(path, like, &made));
  return made;
}

Result<void> LayerWriter::put_directory(const std::string& path, TreeEntry entry, OntoDirectory onto, OntoOther other) {
  entry.type = TarType::Directory;
  entry.size = 0;
  entry.link.clear();
  const TreeEntry* there = lookup(path);
  if (there && there->type == TarType::Directory) {
    if (onto == OntoDirectory::Keep) return {};
    if (onto == OntoDirectory::KeepButTime) {
      Time mtime = entry.mtime;
      entry = *there;
      entry.mtime = mtime;
    }
  } else {
    TRY(state_->make_room(path, true, other));
  }
  if (path.empty()) return {};  // a layer of BuildKit's never names the root
  state_->upper[path] = std::make_shared<Inode>(Inode{.entry = std::move(entry)});
  return {};
}

Result<void> LayerWriter::put_file(const std::string& path, TreeEntry entry, FileOpener open, OntoOther other, std::string content) {
  TRY(state_->make_room(path, false, other));
  entry.type = TarType::Regular;
  entry.link.clear();
  state_->upper[path] = std::make_shared<Inode>(Inode{.entry = std::move(entry), .open = std::move(open), .written_as = {}, .content = std::move(content)});
  return {};
}

Result<void> LayerWriter::put_bytes(const std::string& path, TreeEntry entry, std::string bytes, OntoOther other) {
  entry.size = bytes.size();
  auto shared = std::make_shared<const std::string>(std::move(bytes));
  std::string content = "sha256:" + sha256_hex(*shared);
  return put_file(path, std::move(entry), [shared]() -> Result<std::unique_ptr<Source>> { return std::unique_ptr<Source>(std::make_unique<StringSource>(*shared)); },
                  other, std::move(content));
}

Result<void> LayerWriter::put_node(const std::string& path, TreeEntry entry, OntoOther other) {
  if (entry.type == TarType::Regular || entry.type == TarType::Directory || entry.type == TarType::Hardlink) {
    return Error{Code::Internal, "put_node of /" + path + ", a " + std::string(kind_name(entry.type))};
  }
  TRY(state_->make_room(path, false, other));
  entry.size = 0;
  state_->upper[path] = std::make_shared<Inode>(Inode{.entry = std::move(entry)});
  return {};
}

Result<void> LayerWriter::put_link(const std::string& path, const std::string& target, OntoOther other) {
  auto at = state_->upper.find(target);
  if (at == state_->upper.end() || at->second->entry.type == TarType::Directory) {
    return Error{Code::NotFound, "cannot link /" + path + " to /" + target + ", which is no file of the same layer"};
  }
  if (path == target) return {};
  std::shared_ptr<Inode> inode = at->second;  // outlives its name, should making room take that away
  TRY(state_->make_room(path, false, other));
  state_->upper[path] = std::move(inode);
  return {};
}

namespace {

// The tar, in path order, which is a map's; parents of a change before it.
class Emission {
 public:
  Emission(LayerWriterOptions& options, TarWriter& tar) : options_(options), out_(tar, options.clamp_mtime), buffer_(kReadBytes) {}
  IndexingTar& out() { return out_; }

  Result<void> write(const std::string& path, Inode& inode) {
    if (options_.stop.stop_requested()) return Error{Code::Cancelled, "stopped while writing a layer"};
    if (inode.entry.type == TarType::Directory) return out_.begin(path, inode.entry);
    if (!inode.written_as.empty()) {
      TreeEntry link = inode.entry;
      link.type = TarType::Hardlink;
      link.size = 0;
      link.link = inode.written_as;
      return out_.begin(path, link);
    }
    inode.written_as = path;
    TRY(out_.begin(path, inode.entry));
    if (inode.entry.type != TarType::Regular || inode.entry.size == 0) return {};
    auto source = TRY(inode.open().context("reading what becomes /" + path));
    return data(path, *source, inode.entry.size);
  }

 private:
  Result<void> data(const std::string& path, Source& source, uint64_t size) {
    for (uint64_t left = size; left > 0;) {
      size_t n = TRY(source.read(std::span(buffer_).first(std::min<uint64_t>(left, buffer_.size()))).context("reading what becomes /" + path));
      if (n == 0) return Error{Code::Io, "what becomes /" + path + " is shorter than the " + std::to_string(size) + " bytes it was when the step began"};
      if (options_.stop.stop_requested()) return Error{Code::Cancelled, "stopped while writing a layer"};
      TRY(out_.data(Bytes(buffer_).first(n)));
      left -= n;
    }
    return {};
  }

  LayerWriterOptions& options_;
  IndexingTar out_;
  std::vector<std::byte> buffer_;
};

}  // namespace

// Names that a replaced folder had and its successor has not: overlayfs calls that one opaque, a layer has to list them.
static void collect_gone(const LayerWriter& writer, const std::string& folder, std::set<std::string, PathOrder>* gone) {
  for (const std::string& name : writer.lower().children(folder)) {
    std::string path = join_path(folder, name);
    const TreeEntry* now = writer.lookup(path);
    if (!now) gone->insert(path);
    else if (now->type == TarType::Directory && writer.lower().lookup(path)->entry->type == TarType::Directory) collect_gone(writer, path, gone);
  }
}

// What of a put entry the lower tree has already, to the letter: BuildKit's differ drops it.
Result<bool> LayerWriter::unchanged(const std::string& path, const TreeEntry& now) const {
  auto below = state_->lower.lookup(path);
  if (!below || !same_metadata(now, *below->entry)) return false;
  const TreeEntry& was = *below->entry;
  if (now.type == TarType::Directory) return true;
  bool same = now.size == was.size && now.mtime.seconds() == was.mtime.seconds();
  // Without a fraction of a second there is nothing in which they could differ.
  bool exact = same && now.mtime == was.mtime;
  if (exact && now.type == TarType::Symlink && now.link == was.link) return true;
  if (exact && now.type == TarType::Regular && now.size == 0) return true;
  return same && now.type == TarType::Regular && state_->options.same_content && TRY(state_->options.same_content(path, *below));
}

// All changes in path order, each after the folders that hold it. `inode` is null for folders that are there for their content only.
Result<void> LayerWriter::each_change(const std::function<Result<void>(const std::string& path, const TreeEntry& entry, Inode* inode)>& entry,
                                      const std::function<Result<void>(const std::string& path)>& whiteout) const {
  const State& state = *state_;
  std::set<std::string, PathOrder> gone, written;
  for (const std::string& path : state.cut) {
    const TreeEntry* now = lookup(path);
    if (now && now->type == TarType::Directory) collect_gone(*this, path, &gone);
  }
  std::function<Result<void>(std::string_view)> parents = [&](std::string_view path) -> Result<void> {
    std::string parent(parent_of(path));
    if (parent.empty() || !written.insert(parent).second) return {};
    TRY(parents(parent));
    return entry(parent, *lookup(parent), nullptr);
  };
  auto next_gone = gone.begin();
  auto write_gone_before = [&](const std::string* path) -> Result<void> {
    for (; next_gone != gone.end() && (!path || path_less(*next_gone, *path)); ++next_gone) {
      TRY(parents(*next_gone));
      TRY(whiteout(*next_gone));
    }
    return {};
  };
  for (const auto& [path, inode] : state.upper) {
    TRY(write_gone_before(&path));
    if (TRY(unchanged(path, inode->entry))) continue;
    TRY(parents(path));
    if (inode->entry.type == TarType::Directory && !written.insert(path).second) continue;
    TRY(entry(path, inode->entry, inode.get()));
  }
  return write_gone_before(nullptr);
}

Result<std::string> LayerWriter::content_key() const {
  Hasher hasher;
  auto field = [&](std::string_view text) {
    hasher.update(std::to_string(text.size()) + ":");
    hasher.update(text);
  };
  std::map<const Inode*, std::string> first_names;
  bool known = true;
  auto add = [&](const std::string& path, const TreeEntry& entry, Inode* inode) -> Result<void> {
    Time mtime = state_->options.clamp_mtime && entry.mtime > *state_->options.clamp_mtime ? *state_->options.clamp_mtime : entry.mtime;
    field(path);
    for (int64_t number : {static_cast<int64_t>(entry.type), static_cast<int64_t>(entry.mode), static_cast<int64_t>(entry.uid), static_cast<int64_t>(entry.gid),
                           static_cast<int64_t>(entry.size), mtime.seconds(), static_cast<int64_t>(entry.dev_major), static_cast<int64_t>(entry.dev_minor)}) {
      field(std::to_string(number));
    }
    field(entry.link);
    for (const auto& [name, value] : entry.xattrs) {
      field(name);
      field(value);
    }
    if (!inode || entry.type != TarType::Regular) return {};
    field(first_names.try_emplace(inode, path).first->second);
    if (entry.size > 0 && inode->content.empty()) known = false;
    field(inode->content);
    return {};
  };
  auto remove = [&](const std::string& path) -> Result<void> {
    field(path);
    field("gone");
    return {};
  };
  TRY(each_change(add, remove));
  return known ? hasher.hex() : std::string();
}

Result<LayerIndex> LayerWriter::write(TarWriter& tar) {
  Emission emission(state_->options, tar);
  auto add = [&](const std::string& path, const TreeEntry& entry, Inode* inode) { return inode ? emission.write(path, *inode) : emission.out().begin(path, entry); };
  TRY(each_change(add, [&](const std::string& path) { return emission.out().whiteout(path); }));
  return emission.out().finish();
}

}  // namespace archway
