#pragma once

#include "format/json.h"

namespace archway {

// The seccomp section of an OCI config.json that containers of Docker get by default, for Docker's default capabilities:
// a list of allowed calls, everything else EPERM (clone3: ENOSYS, so that libc falls back to clone, whose flags can be seen).
// Compiling it is what a container's start costs most, per architecture that it covers (measured: crun 6 ms of processor time without,
// 8 with one, 18 with three). So: without x32, which kernels leave off, and under emulation, where every call is QEMU's, one only.
Json default_seccomp(bool emulated);

}  // namespace archway
