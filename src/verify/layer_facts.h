#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "format/elf.h"
#include "image/content.h"
#include "verify/script.h"

// What verifying needs to know of a layer: every name in it, and the first bytes of every file. Read in one pass, nothing kept.
namespace archway {

inline constexpr size_t kProgramPrefixBytes = 8192;      // where linkers put PT_INTERP
inline constexpr size_t kMaxLayerEntries = 4'000'000;
inline constexpr uint64_t kMaxLayerNameBytes = 512 << 20;  // paths, links and interpreters together
inline constexpr size_t kMaxLayerPathBytes = 4095;       // PATH_MAX less its NUL

// What a file's first bytes say it is.
struct Program {
  enum class Format { Elf, Script, WindowsPe, MachO } format = Format::Elf;
  ElfInfo elf = {};
  std::string interpreter = {};  // PT_INTERP; "" where there is none (static) or it is not among the first bytes
  Script script = {};
};

struct LayerEntry {
  enum class Kind : uint8_t { Folder, File, Symlink, Hardlink, Other } kind = Kind::File;
  bool executable = false;       // for anybody
  std::string path;              // canonical: no leading slash, no "." or ".."
  std::string link = {};         // as written; of a hardlink: canonical
  std::unique_ptr<const Program> program = {};  // null: none of the formats above
};

// Immutable once read; shared by the images that have the layer.
struct LayerFacts {
  std::vector<LayerEntry> entries = {};    // in the order of the archive
  std::vector<std::string> whiteouts = {}; // names taken away from the layers below
  std::vector<std::string> opaque = {};    // folders whose content below is hidden
  std::optional<Digest> diff_id = {};      // of the unpacked bytes, where it was asked for, or the layer is not packed
};

enum class DiffId { Compute, Leave };

// Reads the blob to its end, so size and digest have been checked when this succeeds. Errors: what the provider says, Mismatch where
// the blob is not what it should be, Invalid where it is no archive or over a limit, Unsupported for layers that cannot be read.
Result<LayerFacts> read_layer_facts(Provider& provider, const Descriptor& layer, DiffId diff_id, ProgressTask* progress = nullptr, std::stop_token stop = {});

// "./a//b/../c" is "a/c", "/" is "". Invalid where ".." leads out of the root, or it is too long.
Result<std::string> canonical_layer_path(std::string_view path);

}  // namespace archway
