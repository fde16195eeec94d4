#pragma once

#include <optional>
#include <string>

#include "base/clock.h"
#include "base/stream.h"
#include "format/tar.h"
#include "snapshot/tree.h"

namespace archway {

struct DiffOptions {
  std::optional<Time> clamp_mtime = {};  // SOURCE_DATE_EPOCH: later times become this one
};
// Writes an overlay upper dir as a layer tar, in the order and form BuildKit's differ has (builder.md 3.8): lexical walk,
// parents of a change once before it, whiteouts only for names that `lower` has, unchanged copied-up folders dropped,
// hardlinks, security.capability, PAX. Returns the index of what it wrote.
Result<LayerIndex> write_upper_as_tar(const std::string& upper_dir, const Tree& lower, const DiffOptions& options, TarWriter& tar);

}  // namespace archway
