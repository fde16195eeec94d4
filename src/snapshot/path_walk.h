#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "snapshot/tree.h"

// Following symlinks in a tree that is only metadata, as the kernel does below a root it cannot leave.
namespace archway {

inline constexpr size_t kMaxSymlinks = 40;  // the kernel's MAXSYMLINKS

std::string_view parent_of(std::string_view canonical);  // "" for what lies in the root
std::string_view name_of(std::string_view canonical);
std::string join_path(std::string_view parent, std::string_view name);
// Is `path` inside of `folder` (not the folder itself)?
bool lies_below(std::string_view path, std::string_view folder);

struct Walked {
  std::string path;     // canonical
  bool complete = false;  // all of it exists
};
// The entry at a canonical path, its symlinks not followed, or nullptr. Never asked about the root.
using EntryAt = std::function<const TreeEntry*(std::string_view canonical)>;
// What does not exist is appended as it is, ".." taken literally. nullopt: more than kMaxSymlinks.
std::optional<Walked> walk_path(const EntryAt& entry_at, std::string_view path, bool follow_last);

}  // namespace archway
