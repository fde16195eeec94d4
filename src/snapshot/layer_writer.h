#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include "base/stream.h"
#include "format/tar.h"
#include "snapshot/tree.h"

namespace archway {

// Gives the bytes of a file, from the start; called when they are written (once), on the writing thread.
using FileOpener = std::function<Result<std::unique_ptr<Source>>()>;

struct LayerInode;

// What to do with what is there already.
enum class OntoOther { Refuse, Replace };                      // something of another kind: COPY refuses, ADD of an archive replaces
enum class OntoDirectory { Keep, KeepButTime, TakeMetadata };  // a folder onto a folder. COPY: its top folder KeepButTime, folders below TakeMetadata

struct LayerWriterOptions {
  Time now = {};                             // of folders that come into being as somebody's parent
  uint32_t parent_mode = 0755, parent_uid = 0, parent_gid = 0;  // and what else they are
  std::optional<Time> clamp_mtime = {};      // SOURCE_DATE_EPOCH: later times become this one
  // Asked where a regular file was put over a file of the lower tree with the same mode, owner, size and mtime (in seconds): is it the
  // same, bytes and all? Then nothing is written for it, as BuildKit's differ would. Without this, it is written.
  std::function<Result<bool>(const std::string& path, const Tree::Found& lower)> same_content = {};
  std::stop_token stop = {};
};

// A layer made without a mounted tree: an upper dir in memory over `lower`, then written as the tar that BuildKit's differ makes of such
// an upper dir (same order, same parents; see snapshot/diff.h). What COPY, ADD, WORKDIR and heredocs are made of.
//
//     LayerWriter layer(parent, {.now = now});
//     auto where = layer.resolve_for_create("srv/app/");                     // follows what is there, put or lower
//     TRY(layer.put_directory(where, {.type = TarType::Directory, .mode = 0755}, OntoDirectory::KeepButTime));
//     TRY(layer.put_file(where + "/x", entry, [=] { return open_source(…); }));
//     LayerIndex index = TRY(layer.write(tar));
//
// All paths given must be canonical and are taken as they are, symlinks not followed: use resolve*() first. Parents that do not exist are
// made per the options; a parent that is no folder is Invalid. Used by one thread at a time.
class LayerWriter {
 public:
  explicit LayerWriter(Tree lower, LayerWriterOptions options = {});
  ~LayerWriter();
  LayerWriter(LayerWriter&&) noexcept;

  // The lower tree with what was put so far on it. Pointers hold until the next put.
  const TreeEntry* lookup(std::string_view path) const;
  std::optional<std::string> resolve(std::string_view path, bool follow_last = true) const;
  std::string resolve_for_create(std::string_view path) const;
  std::vector<std::string> children(std::string_view path) const;
  const Tree& lower() const;

  // mkdir -p: those that do not exist become `like` (mode, uid, gid, mtime); returns them, topmost first. Invalid where a non-folder is in the way.
  Result<std::vector<std::string>> make_directories(const std::string& path, const TreeEntry& like);
  Result<void> put_directory(const std::string& path, TreeEntry entry, OntoDirectory onto, OntoOther other = OntoOther::Refuse);
  // Replaces any file or symlink there. `entry.size` bytes must come out of `open`. `content` is what content_key() knows the bytes by: a
  // hash of them, or anything else that is equal only where the bytes are; "" where nothing is known.
  Result<void> put_file(const std::string& path, TreeEntry entry, FileOpener open, OntoOther other = OntoOther::Refuse, std::string content = {});
  Result<void> put_bytes(const std::string& path, TreeEntry entry, std::string bytes, OntoOther other = OntoOther::Refuse);  // sets the size
  Result<void> put_node(const std::string& path, TreeEntry entry, OntoOther other = OntoOther::Refuse);  // symlink, fifo, device
  // One more name for what was put at `target` (NotFound where nothing was).
  Result<void> put_link(const std::string& path, const std::string& target, OntoOther other = OntoOther::Refuse);
  bool empty() const;  // nothing put

  // A digest over all that write() would write, with each file's `content` in place of its bytes: equal keys, equal tars. "" where a file's
  // content is not known by anything but its bytes. Before write().
  Result<std::string> content_key() const;
  // Writes all changes and tar.finish(). The index is what index_tar would say of the written tar. Once only.
  // A folder put with the mode, owner and capability it has anyway is not written unless something in it is.
  Result<LayerIndex> write(TarWriter& tar);

 private:
  bool lower_entry_is_folder(std::string_view path) const;
  Result<bool> unchanged(const std::string& path, const TreeEntry& now) const;
  Result<void> each_change(const std::function<Result<void>(const std::string& path, const TreeEntry& entry, LayerInode* inode)>& entry,
                           const std::function<Result<void>(const std::string& path)>& whiteout) const;
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace archway
