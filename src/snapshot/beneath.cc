#include "snapshot/beneath.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <string>

namespace archway {

int open_beneath(int root, std::string_view path, int flags) {
  open_how how = {};
  how.flags = static_cast<uint64_t>(flags) | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV;
  std::string text(path.empty() ? "." : path);
  for (;;) {
    long fd = ::syscall(SYS_openat2, root, text.c_str(), &how, sizeof how);
    // EAGAIN: something was renamed meanwhile and the kernel asks for another try.
    if (fd >= 0 || (errno != EAGAIN && errno != EINTR)) return static_cast<int>(fd);
  }
}

}  // namespace archway
