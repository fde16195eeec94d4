#include "snapshot/indexing_tar.h"

#include <algorithm>

#include "snapshot/path_walk.h"

namespace archway {

Result<void> IndexingTar::write(const TarEntry& entry) {
  (void)TRY(builder_.add(entry));
  return tar_.begin(entry);
}

Result<void> IndexingTar::begin(std::string_view path, const TreeEntry& entry) {
  if (name_of(path).starts_with(".wh.")) {
    return Error{Code::Unsupported, "file " + std::string(path) + ": in a layer, names that start with .wh. mean that something was removed",
                 "rename or remove it in the step that made it"};
  }
  TarEntry out;
  out.path = path;
  if (entry.type == TarType::Directory) out.path += '/';
  out.type = entry.type;
  out.mode = entry.mode;
  out.uid = entry.uid;
  out.gid = entry.gid;
  out.size = entry.type == TarType::Regular ? entry.size : 0;
  out.mtime = clamp_mtime_ ? std::min(entry.mtime, *clamp_mtime_) : entry.mtime;
  out.link = entry.link;
  out.dev_major = entry.dev_major;
  out.dev_minor = entry.dev_minor;
  for (const auto& xattr : entry.xattrs) {
    if (xattr.first == "security.capability") out.xattrs.push_back(xattr);
  }
  return write(out);
}

Result<void> IndexingTar::whiteout(std::string_view path) {
  TarEntry out;  // mode 0, 1970, as containerd has them since 2.0
  out.path = join_path(parent_of(path), ".wh." + std::string(name_of(path)));
  return write(out);
}

Result<LayerIndex> IndexingTar::finish() {
  TRY(tar_.finish());
  return builder_.take();
}

}  // namespace archway
