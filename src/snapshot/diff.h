#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/stream.h"
#include "format/tar.h"
#include "snapshot/tree.h"

namespace archway {

struct DiffOptions {
  std::optional<Time> clamp_mtime = {};  // SOURCE_DATE_EPOCH: later times become this one
  // The unpacked folders of lower.layers(), in their order. With them, what was copied up but not changed (chown -R to the same owner,
  // mv there and back) is recognised by its content, as BuildKit does, and dropped; and an unchanged folder keeps the owner that the
  // image gives it, even where this user namespace could not. Without them such files are written again.
  std::vector<std::string> lower_dirs = {};
};
// Writes an overlay upper dir as a layer tar, in the order and form BuildKit's differ has (builder.md 3.8): lexical walk,
// parents of a change once before it, whiteouts only for names that `lower` has, unchanged copied-up folders dropped,
// hardlinks, security.capability, PAX. Calls tar.finish(). Returns the index of what it wrote, which index_tar would say of it, too.
// Invalid or Unsupported names the path: a redirect or metacopy of overlayfs, a name that starts with ".wh.".
Result<LayerIndex> write_upper_as_tar(const std::string& upper_dir, const Tree& lower, const DiffOptions& options, TarWriter& tar);

}  // namespace archway
