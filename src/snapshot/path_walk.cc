#include "snapshot/path_walk.h"

namespace archway {

std::string_view parent_of(std::string_view canonical) {
  size_t slash = canonical.rfind('/');
  return slash == std::string_view::npos ? std::string_view() : canonical.substr(0, slash);
}

std::string_view name_of(std::string_view canonical) {
  size_t slash = canonical.rfind('/');
  return slash == std::string_view::npos ? canonical : canonical.substr(slash + 1);
}

std::string join_path(std::string_view parent, std::string_view name) {
  std::string out(parent);
  if (!out.empty()) out += '/';
  out += name;
  return out;
}

bool lies_below(std::string_view path, std::string_view folder) {
  if (folder.empty()) return !path.empty();
  return path.size() > folder.size() && path.starts_with(folder) && path[folder.size()] == '/';
}

std::optional<Walked> walk_path(const EntryAt& entry_at, std::string_view path, bool follow_last) {
  Walked at{.path = "", .complete = true};
  std::string rest(path);  // what is still to go; symlinks' targets are put in front of it
  size_t begin = 0, symlinks = 0;
  while (begin < rest.size()) {
    size_t end = std::min(rest.find('/', begin), rest.size());
    std::string_view name = std::string_view(rest).substr(begin, end - begin);
    bool slash_follows = end < rest.size();
    size_t next = slash_follows ? end + 1 : end;
    if (name.empty() || name == ".") {
      begin = next;
      continue;
    }
    if (name == "..") {
      at.path.resize(parent_of(at.path).size());
      begin = next;
      continue;
    }
    std::string here = join_path(at.path, name);
    // Below something missing everything is missing, but ".." may lead back to what exists: ask again each time.
    const TreeEntry* entry = entry_at(here);
    if (!entry) at.complete = false;
    // A slash after a symlink, even the last byte of the path, means what it points to.
    if (entry && entry->type == TarType::Symlink && (follow_last || slash_follows)) {
      if (++symlinks > kMaxSymlinks) return std::nullopt;
      if (entry->link.starts_with('/')) at.path.clear();
      rest = entry->link + "/" + rest.substr(next);
      if (!slash_follows) rest.pop_back();
      begin = 0;
      continue;
    }
    if (entry && entry->type != TarType::Directory && slash_follows) at.complete = false;
    at.path = std::move(here);
    begin = next;
  }
  return at;
}

}  // namespace archway
