#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

// Processor architectures as the kernel and QEMU know them: what an ELF header says, which emulator runs it, and the
// smallest program that proves that it runs.
namespace archway {

struct MachineArchitecture {
  std::string_view goarch;     // "arm64"
  std::string_view qemu;       // "aarch64", as in qemu-aarch64-static
  uint8_t elf_class;           // 1: 32 bits, 2: 64 bits
  bool big_endian;
  uint16_t elf_machine;        // EM_AARCH64
  uint32_t elf_flags;          // e_flags of the probe program
  std::vector<uint32_t> code;  // exit(kProbeExitCode), as 32-bit words in the architecture's byte order
};
inline constexpr int kProbeExitCode = 42;

const std::vector<MachineArchitecture>& machine_architectures();
const MachineArchitecture* find_machine_architecture(std::string_view goarch);
// GOARCH of the processor we run on.
std::string host_goarch();
// A static ELF program of some 130 bytes that exits with kProbeExitCode and does nothing else.
std::string probe_program(const MachineArchitecture& architecture);
// What binfmt_misc matches: the first 20 bytes of an ELF executable or shared object of that machine.
struct ElfMagic {
  std::string magic;
  std::string mask;
};
ElfMagic elf_magic(const MachineArchitecture& architecture);

}  // namespace archway
