#pragma once

#include "format/json.h"

namespace archway {

// The seccomp section of an OCI config.json that containers of Docker get by default, for Docker's default capabilities:
// a list of allowed calls, everything else EPERM (clone3: ENOSYS, so that libc falls back to clone, whose flags can be seen).
// Under emulation the filter sees what QEMU calls, in the host's numbers.
Json default_seccomp();

}  // namespace archway
