#pragma once

#include "format/tar.h"
#include "snapshot/index_builder.h"

namespace archway {

// A layer's tar and its index, written at once, so that they cannot differ.
class IndexingTar {
 public:
  IndexingTar(TarWriter& tar, const std::optional<Time>& clamp_mtime) : tar_(tar), clamp_mtime_(clamp_mtime) {}

  // `path` canonical. A hardlink has `entry.link` canonical. Data, `entry.size` bytes of it, follows with data().
  Result<void> begin(std::string_view path, const TreeEntry& entry);
  Result<void> data(Bytes bytes) { return tar_.data(bytes); }
  Result<void> whiteout(std::string_view path);
  Result<LayerIndex> finish();

 private:
  Result<void> write(const TarEntry& entry);
  TarWriter& tar_;
  std::optional<Time> clamp_mtime_;
  IndexBuilder builder_;
};

}  // namespace archway
