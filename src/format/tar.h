#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/stream.h"

// tar, read leniently (ustar, GNU, PAX, old) and written as Go's archive/tar writes PAX, which is what BuildKit's
// layers are: POSIX.1-2001 pax, with extended headers only where ustar cannot say it.
namespace archway {

enum class TarType : uint8_t { Regular, Hardlink, Symlink, CharDevice, BlockDevice, Directory, Fifo };

struct TarEntry {
  std::string path;      // as in the archive; a directory's trailing slash stays. "": readers take it for the top folder
  TarType type = TarType::Regular;
  uint32_t mode = 0;     // 07777
  uint64_t uid = 0, gid = 0;
  std::string user_name = {}, group_name = {};
  uint64_t size = 0;     // of the data that follows; 0 for all but Regular
  Time mtime = {};
  std::string link = {};
  uint32_t dev_major = 0, dev_minor = 0;
  std::vector<std::pair<std::string, std::string>> xattrs = {};  // from SCHILY.xattr.*, sorted by name
};

inline constexpr size_t kMaxTarPathBytes = 4096;
inline constexpr size_t kMaxPaxHeaderBytes = 1 << 20;

// Reads entry by entry; the data of the current entry may be read, or left: next() passes over it.
// Errors are Invalid with the byte offset. Ends at two zero blocks, or at the end of input on a block boundary.
// Sparse files (GNU, PAX 1.0) are refused as Unsupported, by name.
class TarReader {
 public:
  explicit TarReader(Source& source);
  ~TarReader();
  Result<std::optional<TarEntry>> next();  // nullopt: the end
  Source& data();                          // of the current entry; ends after its size
  uint64_t data_offset() const;            // where the current entry's data begins, in bytes from the start
 private:
  struct State;
  std::unique_ptr<State> state_;
};
// Whether the block begins a tar archive: checksum right, type known (what ADD looks at).
bool looks_like_tar(Bytes first_512);

class TarWriter {
 public:
  explicit TarWriter(Sink& sink);
  ~TarWriter();
  // mtime is truncated to whole seconds. For Regular, exactly entry.size bytes of data must follow before the next call.
  Result<void> begin(const TarEntry& entry);
  Result<void> data(Bytes bytes);
  Result<void> add(const TarEntry& entry, Source& data);   // begin + all the data; a short or long source is an error
  Result<void> finish();                                   // two zero blocks
  uint64_t written() const;
 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace archway
