#include "build/copy_files.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <map>

#include "base/hash.h"
#include "base/text.h"
#include "build/archive_source.h"
#include "build/config_steps.h"
#include "snapshot/path_walk.h"

namespace archway::build {

using dockerfile::IgnoreMatcher;

namespace {

constexpr size_t kMaxCopyDepth = 1024;        // folders below a source

bool has_wildcards(std::string_view text) {
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\') ++i;
    else if (text[i] == '*' || text[i] == '?' || text[i] == '[') return true;
  }
  return false;
}

// "a//b/../c" and "/a/c" are "a/c"; nothing leads above the root.
std::string clean_source(std::string_view text) { return dockerfile::clean_path("/" + std::string(text)).substr(1); }

// join_path, where the second part may be empty.
std::string below(std::string_view folder, std::string_view path) { return path.empty() ? std::string(folder) : join_path(folder, path); }

Error cancelled() { return Error{Code::Cancelled, "cancelled"}; }

}  // namespace

// A walk below one source: what is included, and the pending parents that an include pattern has not reached yet.
struct CopyFiles::Visit {
  const Filters& filters;
  // Called for each included entry, parents first; `components` is the path relative to the source's top, "" for itself.
  std::function<Result<void>(const std::string& path, const std::string& components, const FileSource::File& file)> entry;
  std::vector<std::pair<std::string, std::string>> pending = {};  // path, components of folders not yet visited

  struct Verdict {
    bool included = true;
    bool excluded = false;
  };

  Result<Verdict> judge(const std::string& components, const IgnoreMatcher::ParentState& parent_include, const IgnoreMatcher::ParentState& parent_exclude,
                        IgnoreMatcher::ParentState& include, IgnoreMatcher::ParentState& exclude) const {
    Verdict verdict;
    if (components.empty()) return verdict;
    if (filters.include) verdict.included = TRY(filters.include->ignored(components, parent_include, include));
    if (filters.exclude) verdict.excluded = TRY(filters.exclude->ignored(components, parent_exclude, exclude));
    if (verdict.excluded) verdict.included = false;
    return verdict;
  }

  Result<void> walk(FileSource& source, const std::stop_token& stop, const std::string& path, const std::string& components,
                    const IgnoreMatcher::ParentState& parent_include, const IgnoreMatcher::ParentState& parent_exclude, size_t depth) {
    if (stop.stop_requested()) return cancelled();
    if (depth > kMaxCopyDepth) return Error{Code::Invalid, "/" + path + ": folders are nested deeper than " + std::to_string(kMaxCopyDepth)};
    IgnoreMatcher::ParentState include, exclude;
    Verdict verdict = TRY(judge(components, parent_include, parent_exclude, include, exclude));
    if (verdict.excluded && !filters.exclude->may_reinclude_below(components)) return {};
    auto file = TRY(source.stat(path));
    if (!file) return Error{Code::NotFound, "\"/" + path + "\": not found"};
    bool folder = file->entry.type == TarType::Directory;
    if (!verdict.included && !folder) return {};
    if (verdict.included) {
      // A folder that only leads to what an include pattern names is made when the first such thing is met.
      for (const auto& [parent_path, parent_components] : std::exchange(pending, {})) {
        auto parent = TRY(source.stat(parent_path));
        if (parent) TRY(entry(parent_path, parent_components, *parent));
      }
      TRY(entry(path, components, *file));
    }
    if (!folder) return {};
    if (!verdict.included) pending.emplace_back(path, components);
    size_t before = pending.size();
    for (const std::string& name : TRY(source.children(path))) {
      TRY(walk(source, stop, join_path(path, name), join_path(components, name), include, exclude, depth + 1));
    }
    if (!verdict.included && pending.size() == before && !pending.empty()) pending.pop_back();
    return {};
  }
};

// --- Which files.

Result<std::vector<std::string>> CopyFiles::expand_wildcards(const std::string& pattern) {
  // The components before the first with a wildcard are a path, the rest is matched against what lies below.
  std::vector<std::string> parts = split(pattern, '/');
  size_t first = 0;
  while (first < parts.size() && !has_wildcards(parts[first])) ++first;
  std::string base = join({parts.begin(), parts.begin() + static_cast<long>(first)}, "/");
  std::string rest = join({parts.begin() + static_cast<long>(first), parts.end()}, "/");
  auto resolved = TRY(source_->resolve(base));
  std::vector<std::string> found;
  if (!resolved) return found;
  TRY(walk_matching(*resolved, "", rest, found));
  return found;
}

Result<void> CopyFiles::walk_matching(const std::string& base, const std::string& relative, const std::string& pattern, std::vector<std::string>& found) {
  if (stop_.stop_requested()) return cancelled();
  size_t depth = static_cast<size_t>(std::count(relative.begin(), relative.end(), '/')) + !relative.empty();
  size_t wanted = static_cast<size_t>(std::count(pattern.begin(), pattern.end(), '/')) + 1;
  std::string path = below(base, relative);
  if (relative.empty() ? false : TRY(dockerfile::match_path(pattern, relative))) {
    found.push_back(path);
    return {};
  }
  if (depth >= wanted) return {};  // a pattern's component never matches a slash
  auto file = TRY(source_->stat(path));
  if (!file || file->entry.type != TarType::Directory) return {};
  for (const std::string& name : TRY(source_->children(path))) TRY(walk_matching(base, join_path(relative, name), pattern, found));
  return {};
}

Result<std::vector<CopyFiles::Match>> CopyFiles::matches(const std::string& pattern) {
  std::string clean = clean_source(pattern);
  std::vector<std::string> names;
  if (has_wildcards(clean)) {
    names = TRY(expand_wildcards(clean));
  } else {
    names.push_back(clean);
  }
  std::vector<Match> found;
  for (const std::string& name : names) {
    auto path = TRY(source_->resolve(name));
    if (!path) {
      return Error{Code::NotFound, "\"/" + name + "\": not found", "is it left out by .dockerignore, or named from another folder? Paths are relative to the build context"};
    }
    found.push_back({name, *path});
  }
  return found;
}

Result<std::pair<std::string, CopyFiles::Filters>> CopyFiles::filters_for(const std::string& source) {
  Filters filters;
  std::string top = source;
  if (op_.parents) {
    // Before "/./" is where the copied path begins.
    size_t pivot = source.find("/./");
    std::string pattern = pivot == std::string::npos ? source : source.substr(pivot + 3);
    top = pivot == std::string::npos ? "/" : source.substr(0, pivot);
    pattern = clean_source(pattern);
    if (!has_wildcards(top) && !has_wildcards(pattern)) {
      std::string required = clean_source(top + "/" + pattern);
      if (pattern.empty() || !TRY(source_->resolve(required))) return Error{Code::NotFound, "\"/" + required + "\": not found"};
    }
    filters.include = TRY(IgnoreMatcher::create({pattern}));
  }
  if (!op_.excludes.empty()) filters.exclude = TRY(IgnoreMatcher::create(op_.excludes));
  return std::pair(top, std::move(filters));
}

// --- The key.

Result<void> CopyFiles::digest_match(const Match& match, const Filters& filters, Hasher& hasher) {
  auto field = [&](std::string_view text) {
    hasher.update(std::to_string(text.size()) + ":");
    hasher.update(text);
  };
  std::map<std::string, std::string> groups;
  Visit visit{filters, [&](const std::string& path, const std::string& components, const FileSource::File& file) -> Result<void> {
                const TreeEntry& entry = file.entry;
                field(components);
                field(std::to_string(static_cast<int>(entry.type)) + " " + std::to_string(entry.mode) + " " + std::to_string(entry.uid) + " " +
                      std::to_string(entry.gid) + " " + std::to_string(entry.dev_major) + " " + std::to_string(entry.dev_minor));
                for (const auto& [name, value] : entry.xattrs) {
                  field(name);
                  field(value);
                }
                if (entry.type == TarType::Symlink) field(entry.link);
                if (entry.type != TarType::Regular) return {};
                field(TRY(source_->content_digest(path, entry)));
                if (!file.link_group.empty()) field(groups.try_emplace(file.link_group, components).first->second);
                return {};
              }};
  hasher.update("match ");
  size_t slash = match.name.rfind('/');
  field(slash == std::string::npos ? match.name : match.name.substr(slash + 1));
  return visit.walk(*source_, stop_, match.path, "", {}, {}, 0);
}

Result<std::string> CopyFiles::selection_digest() {
  Hasher hasher;
  std::vector<std::pair<Match, Filters>> all;
  for (const std::string& source : op_.sources) {
    auto [top, filters] = TRY(filters_for(source));
    for (Match& match : TRY(matches(top))) all.emplace_back(std::move(match), filters);
  }
  if (source_) {
    // Only a plain selection is prepared in bulk: with filters most of what lies there may not be wanted.
    std::vector<std::string> paths;
    for (const auto& [match, filters] : all) {
      if (!filters.include && !filters.exclude) paths.push_back(match.path);
    }
    TRY(source_->prepare(paths));
  }
  for (const auto& [match, filters] : all) TRY(digest_match(match, filters, hasher));
  return hasher.hex();
}

// --- What it becomes.

TreeEntry CopyFiles::parent_like(const std::optional<Owner>& owner) const {
  TreeEntry like{.type = TarType::Directory, .mode = 0755};
  if (auto octal = parse_uint(op_.chmod, 8)) like.mode = static_cast<uint32_t>(*octal) & 07777;
  if (owner) like.uid = owner->uid, like.gid = owner->gid;
  like.mtime = now_;
  return like;
}

// Where the copy of `name` goes: makes what must exist and decides between "into the folder" and "as this name".
Result<std::string> CopyFiles::prepare_target(LayerWriter& layer, const std::string& name, bool folder, const std::optional<Owner>& owner) {
  TreeEntry like = parent_like(owner);
  const std::string& destination = op_.destination;
  bool into = destination.ends_with('/');
  std::string ensure = into ? destination : destination.substr(0, destination.rfind('/'));
  TRY(layer.make_directories(layer.resolve_for_create(ensure), like));
  std::string target = layer.resolve_for_create(destination);
  const TreeEntry* there = target.empty() ? nullptr : layer.lookup(target);
  bool there_folder = target.empty() || (there && there->type == TarType::Directory);
  if (!folder && there_folder) {
    size_t slash = name.rfind('/');
    target = join_path(target, slash == std::string::npos ? name : name.substr(slash + 1));
  }
  TRY(layer.make_directories(folder && !there && !target.empty() ? target : std::string(parent_of(target)), like));
  return target;
}

Result<void> CopyFiles::put_match(LayerWriter& layer, const Match& match, const Filters& filters, const std::optional<Owner>& owner) {
  auto top = TRY(source_->stat(match.path));
  if (!top) return Error{Code::NotFound, "\"/" + match.name + "\": not found"};
  std::string target = TRY(prepare_target(layer, match.name, top->entry.type == TarType::Directory, owner));
  std::map<std::string, std::string> first_of_group;
  Visit visit{filters, [&](const std::string& path, const std::string& components, const FileSource::File& file) -> Result<void> {
                TreeEntry entry = file.entry;
                std::string place = below(target, components);
                if (owner) entry.uid = owner->uid, entry.gid = owner->gid;
                if (entry.type != TarType::Symlink) entry.mode = apply_chmod(op_.chmod, entry.mode, entry.type == TarType::Directory);
                if (entry.type == TarType::Directory) {
                  return layer.put_directory(place, entry, components.empty() ? OntoDirectory::KeepButTime : OntoDirectory::TakeMetadata);
                }
                if (entry.type != TarType::Regular) return layer.put_node(place, entry);
                if (!file.link_group.empty()) {
                  auto [known, first] = first_of_group.try_emplace(file.link_group, place);
                  if (!first && known->second != place) return layer.put_link(place, known->second);
                }
                std::string content = TRY(source_->content_identity(path, file.entry));
                return layer.put_file(place, entry, [source = source_, path] { return source->open(path); }, OntoOther::Refuse, std::move(content));
              }};
  return visit.walk(*source_, stop_, match.path, "", {}, {}, 0);
}

Result<void> CopyFiles::put_inline(LayerWriter& layer, const CopyOp::Inline& file, const std::optional<Owner>& owner) {
  std::string name = clean_source(file.name);
  std::string target = TRY(prepare_target(layer, name, false, owner));
  TreeEntry entry{.type = TarType::Regular, .mode = apply_chmod(op_.chmod, 0644, false)};
  entry.mtime = now_;
  if (owner) entry.uid = owner->uid, entry.gid = owner->gid;
  return layer.put_bytes(target, entry, file.data);
}

Result<void> CopyFiles::put_remote(LayerWriter& layer, const CopyOp::Remote& remote, const std::optional<Owner>& owner) {
  if (!remotes_) return Error{Code::Internal, "nobody to fetch " + remote.url};
  const RemoteFile file = TRY(remotes_->look(remote, *task_, stop_));
  std::string target = TRY(prepare_target(layer, remote.name, false, owner));
  // Nobody's but root's, as BuildKit has it: who may read it, the Dockerfile says.
  TreeEntry entry{.type = TarType::Regular, .mode = apply_chmod(op_.chmod, 0600, false)};
  entry.size = file.size;
  entry.mtime = file.mtime;
  if (owner) entry.uid = owner->uid, entry.gid = owner->gid;
  return layer.put_file(target, entry, [this, remote] { return remotes_->open(remote, *task_, stop_); }, OntoOther::Refuse, "sha256:" + file.sha256);
}

// Where an archive's member goes. As docker unpacks with the destination as its root, symlinks on the way, the archive's own or the image's,
// are followed inside that folder.
static Result<std::string> place_in(const LayerWriter& layer, const std::string& folder, const std::string& path) {
  auto entry_at = [&](std::string_view canonical) { return layer.lookup(below(folder, canonical)); };
  auto parent = walk_path(entry_at, parent_of(path), true);
  if (!parent) return Error{Code::Invalid, path + ": too many symlinks on the way"};
  return below(folder, below(parent->path, name_of(path)));
}

Result<bool> CopyFiles::put_archive(LayerWriter& layer, const Match& match, const std::optional<Owner>& owner, const std::string& scratch_dir) {
  auto file = TRY(source_->stat(match.path));
  if (!file || file->entry.type != TarType::Regular) return false;
  auto archive = TRY(ArchiveSource::open_if_archive([&] { return source_->open(match.path); }, scratch_dir, match.name));
  if (!archive) return false;
  std::string content = "member of " + TRY(source_->content_identity(match.path, file->entry));
  std::string folder = layer.resolve_for_create(op_.destination);
  TRY(layer.make_directories(folder, [&] {
    TreeEntry like{.type = TarType::Directory, .mode = 0755};
    if (owner) like.uid = owner->uid, like.gid = owner->gid;
    like.mtime = now_;
    return like;
  }()));
  for (const ArchiveSource::Member& member : archive->members()) {
    if (stop_.stop_requested()) return cancelled();
    TreeEntry entry = member.entry;
    if (owner) entry.uid = owner->uid, entry.gid = owner->gid;
    // An archive's nameless entry stands for the folder itself.
    if (member.path.empty() && entry.type != TarType::Directory) continue;
    std::string place = member.path.empty() ? folder : TRY(place_in(layer, folder, member.path));
    auto put = [&]() -> Result<void> {
      switch (entry.type) {
        case TarType::Directory: return layer.put_directory(place, entry, OntoDirectory::TakeMetadata, OntoOther::Replace);
        case TarType::Regular:
          return layer.put_file(place, entry, [archive, member] { return archive->open(member); }, OntoOther::Replace, content + "@" + std::to_string(member.offset));
        case TarType::Hardlink: {
          std::string first = TRY(place_in(layer, folder, entry.link));
          return layer.put_link(place, first, OntoOther::Replace);
        }
        default: return layer.put_node(place, entry, OntoOther::Replace);
      }
    };
    TRY(put().context(match.name + ": " + member.path));
  }
  return true;
}

Result<void> CopyFiles::put_source(LayerWriter& layer, const std::string& source, const std::optional<Owner>& owner, const std::string& scratch_dir) {
  auto [top, filters] = TRY(filters_for(source));
  for (const Match& match : TRY(matches(top))) {
    if (op_.unpack && TRY(put_archive(layer, match, owner, scratch_dir))) continue;
    TRY(put_match(layer, match, filters, owner));
  }
  return {};
}

Result<void> CopyFiles::put(LayerWriter& layer, const std::optional<Owner>& owner, const std::string& scratch_dir) {
  for (const std::string& source : op_.sources) TRY(put_source(layer, source, owner, scratch_dir));
  for (const CopyOp::Remote& remote : op_.remotes) TRY(put_remote(layer, remote, owner));
  for (const CopyOp::Inline& file : op_.inline_files) TRY(put_inline(layer, file, owner));
  return {};
}

// --- Owners.

namespace {

// The wanted fields of the line of `text` whose first field is `name`.
std::optional<std::vector<std::string>> find_line(std::string_view text, std::string_view name) {
  for (const std::string& line : split(text, '\n')) {
    std::vector<std::string> fields = split(line, ':');
    if (fields.size() >= 3 && fields[0] == name) return fields;
  }
  return std::nullopt;
}

std::optional<uint32_t> parse_id(std::string_view text) {
  if (text == "root") return 0;
  auto number = parse_uint(text);
  if (!number || *number > 0x7fffffff) return std::nullopt;
  return static_cast<uint32_t>(*number);
}

}  // namespace

Result<Owner> resolve_owner(std::string_view text, const std::function<Result<std::string>(const std::string& path)>& read) {
  auto [user, group] = cut(text, ':');
  Owner owner;
  if (auto id = parse_id(user)) {
    owner.uid = owner.gid = *id;
  } else if (!user.empty()) {
    std::string passwd = TRY(read("etc/passwd"));
    if (auto fields = find_line(passwd, user); fields && fields->size() >= 4) {
      owner.uid = parse_id((*fields)[2]).value_or(0);
      owner.gid = parse_id((*fields)[3]).value_or(0);
    }
  }
  if (group) {
    if (auto id = parse_id(*group)) {
      owner.gid = *id;
    } else {
      std::string groups = TRY(read("etc/group"));
      auto fields = find_line(groups, *group);
      if (fields) owner.gid = parse_id((*fields)[2]).value_or(0);
    }
  }
  return owner;
}

}  // namespace archway::build
