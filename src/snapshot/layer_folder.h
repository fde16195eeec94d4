#pragma once

#include <memory>
#include <set>
#include <string>

#include "base/fd.h"
#include "snapshot/index_builder.h"

namespace archway {

enum class WhiteoutForm {
  Device,  // character device 0/0; an unprivileged user may make it since Linux 5.8
  Xattr,   // an empty file with user.overlay.whiteout, in a folder with user.overlay.opaque="x"; understood since Linux 6.7
};

// A layer's files on disk, made so that the folder can be a lower dir of an overlay mounted with `userxattr`. The folder is ours alone
// while this works on it (below a 0700 one), paths come from IndexBuilder, and no symlink is ever followed: openat2 with RESOLVE_BENEATH and
// RESOLVE_NO_SYMLINKS. What the process may not do is left out, so that it works in a user namespace with a single id: owners that have no
// mapping, devices (an empty file stands for them), xattrs other than user.* and security.capability. Used by one thread.
class LayerFolder {
 public:
  // `path` is an empty folder. `umask_is_zero`: else every mode is set once more.
  static Result<LayerFolder> open(const std::string& path, bool umask_is_zero, WhiteoutForm form = WhiteoutForm::Device);
  // Makes what IndexBuilder::add() asked for.
  Result<void> make(const IndexBuilder::Step& step, Source& data);
  // Whiteouts, and what has to come last: modes, owners and times of folders.
  Result<void> finish(const LayerIndex& index);

 private:
  LayerFolder(Fd root, bool umask_is_zero, WhiteoutForm form);
  Result<int> parent_fd(std::string_view parent);
  Result<Fd> make_parents(std::string_view folder);
  Result<void> remove_existing(int parent, const std::string& name, std::string_view path);
  Result<void> make_file(int parent, const std::string& name, const IndexBuilder::Step& step, Source& data);
  Result<void> make_link(int parent, const std::string& name, const IndexBuilder::Step& step);
  Result<void> make_node(int parent, const std::string& name, const IndexBuilder::Step& step);
  Result<void> set_owner(int parent, const char* name, const TreeEntry& entry, std::string_view path) const;
  Result<void> make_whiteout(std::string_view path);
  Result<void> set_folder(std::string_view path, const TreeEntry& entry);

  Fd root_;
  Fd parent_;                // of the entry before: layers come folder by folder
  std::string parent_path_;
  bool umask_is_zero_;
  WhiteoutForm form_;
  uint32_t uid_, gid_;
  std::set<std::string, PathOrder> implied_;  // folders made for their content only
  std::unique_ptr<std::byte[]> buffer_;
};

}  // namespace archway
