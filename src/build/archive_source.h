#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/fd.h"
#include "snapshot/layer_writer.h"

namespace archway::build {

// A tar archive that ADD unpacks: plain, or packed by gzip, bzip2, xz or zstd. Its members can be opened in any order: a packed one is
// unpacked once, into an unlinked file in `scratch_dir`.
class ArchiveSource : public std::enable_shared_from_this<ArchiveSource> {
 public:
  struct Member {
    std::string path;     // canonical; "" is the archive's own "./"
    TreeEntry entry;      // a hard link's target, in entry.link, is canonical
    uint64_t offset = 0;  // of its data in the unpacked archive
  };
  // Null where the bytes are no archive (which is no error: the file is copied as it is).
  static Result<std::shared_ptr<ArchiveSource>> open_if_archive(const FileOpener& open, const std::string& scratch_dir, const std::string& name);
  const std::vector<Member>& members() const { return members_; }
  Result<std::unique_ptr<Source>> open(const Member& member) const;

 private:
  Fd file_;
  std::string name_;
  std::vector<Member> members_;
};

}  // namespace archway::build
