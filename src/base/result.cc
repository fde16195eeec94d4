#include "base/result.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "base/check.h"

namespace archway {

std::string_view code_name(Code code) {
  switch (code) {
    case Code::Invalid: return "invalid";
    case Code::NotFound: return "not found";
    case Code::Exists: return "exists";
    case Code::Unauthorized: return "unauthorized";
    case Code::Unavailable: return "unavailable";
    case Code::Unsupported: return "unsupported";
    case Code::Mismatch: return "mismatch";
    case Code::Cancelled: return "cancelled";
    case Code::Io: return "io";
    case Code::Internal: return "internal";
  }
  return "internal";
}

namespace {
Code code_of_errno(int error_number) {
  switch (error_number) {
    case ENOENT:
    case ENOTDIR: return Code::NotFound;
    case EEXIST: return Code::Exists;
    case EACCES:
    case EPERM: return Code::Unauthorized;
    case ENOSYS:
    case EOPNOTSUPP: return Code::Unsupported;
    case EINVAL:
    case ELOOP:
    case ENAMETOOLONG: return Code::Invalid;
    default: return Code::Io;
  }
}
}  // namespace

Error errno_error(std::string_view what, int error_number) {
  char buffer[128] = {};
  const char* text = strerror_r(error_number, buffer, sizeof buffer);
  Error error{code_of_errno(error_number), std::string(what) + ": " + text};
  if (error_number == ENOSPC) error.hint = "free some disk space and try again; nothing half-written was kept";
  return error;
}
Error errno_error(std::string_view what) { return errno_error(what, errno); }

void check_failed(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "archway: bug: %s:%d: CHECK(%s) failed\n", file, line, condition);
  std::abort();
}

}  // namespace archway
