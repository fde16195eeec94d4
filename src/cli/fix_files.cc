#include "cli/fix_files.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit/collect.h"
#include "base/fd.h"

namespace archway::cli {

Result<void> replace_text(const std::string& path, std::string_view before, std::string_view after) {
  // rename() would put a file in the link's place.
  char real[PATH_MAX];
  if (!::realpath(path.c_str(), real)) return errno_error("finding " + path);
  std::string file = real;
  struct stat st = {};
  if (::stat(real, &st) != 0) return errno_error("looking at " + path);
  if (!S_ISREG(st.st_mode)) return Error{Code::Unsupported, path + " is no regular file"};
  std::string now = TRY(read_file(file, audit::kMaxTextFileBytes));
  if (now != before) return Error{Code::Mismatch, path + " was changed by somebody else just now; nothing was written", "run archway fix again"};
  std::string temporary = file + ".archway.XXXXXX";
  Fd fd(::mkostemp(temporary.data(), O_CLOEXEC));
  if (!fd) return errno_error("creating a file beside " + path);
  auto finish = [&]() -> Result<void> {
    TRY(write_all(fd.get(), as_bytes(after)).context("writing " + path));
    // The owner first: changing it takes set-user-id bits away.
    bool other_owner = st.st_uid != ::geteuid() || st.st_gid != ::getegid();
    if (other_owner && ::fchown(fd.get(), st.st_uid, st.st_gid) != 0) return errno_error("giving the new " + path + " to its owner");
    if (::fchmod(fd.get(), st.st_mode & 07777) != 0) return errno_error("setting the mode of " + path);
    if (::fsync(fd.get()) != 0) return errno_error("syncing " + path);
    if (::rename(temporary.c_str(), file.c_str()) != 0) return errno_error("renaming to " + path);
    return {};
  };
  auto result = finish();
  if (!result.ok()) ::unlink(temporary.c_str());
  return result;
}

}  // namespace archway::cli
