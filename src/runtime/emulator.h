#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "runtime/machine_architecture.h"

// QEMU user emulation by binfmt_misc.
namespace archway {

// A static qemu for the architecture in PATH: qemu-<arch>-static, or a qemu-<arch> that needs no loader (inside the container
// there is none).
std::optional<std::string> find_emulator(const MachineArchitecture& architecture);

// The name of an enabled registration for the architecture in `folder` that the kernel opened at once (flag F), so that it works
// in containers. `unusable` gets the name of one that lacks the flag.
std::optional<std::string> find_registration(const MachineArchitecture& architecture, const std::string& folder = "/proc/sys/fs/binfmt_misc",
                                             std::string* unusable = nullptr);

// The line for binfmt_misc/register. Flags: F opens the interpreter now; C takes the credentials of the program (su, sudo;
// implies O); P passes argv[0], which QEMU learns by AT_FLAGS.
std::string registration_line(const MachineArchitecture& architecture, const std::string& interpreter);

// Mounts the binfmt_misc of our own user namespace and registers the emulator. Unsupported before Linux 6.7.
Result<void> register_privately(const MachineArchitecture& architecture, const std::string& interpreter);

}  // namespace archway
