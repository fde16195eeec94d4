#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/stream.h"

// What processor a program is for, by its first bytes (ELF gABI; registry.md 6.2).
namespace archway {

struct ElfInfo {
  uint8_t elf_class = 0;   // 1: 32-bit, 2: 64-bit
  uint8_t data = 0;        // 1: little, 2: big endian
  uint16_t type = 0;       // ET_REL 1, ET_EXEC 2, ET_DYN 3, ET_CORE 4
  uint16_t machine = 0;    // EM_X86_64 62, EM_AARCH64 183, ...
  uint32_t flags = 0;
  uint8_t os_abi = 0;
  uint64_t program_header_offset = 0;
  uint16_t program_header_size = 0, program_header_count = 0;
};
inline constexpr size_t kElfHeaderBytes = 64;
// nullopt where the bytes are no ELF header (wrong magic, or cut before e_machine).
std::optional<ElfInfo> read_elf_header(Bytes first_bytes);
// PT_INTERP, if it lies within `file_prefix` (the first bytes of the file, some 4 KiB).
std::optional<std::string> read_elf_interpreter(const ElfInfo& info, Bytes file_prefix);
// "x86-64", "AArch64", "ARM", "RISC-V 64", ..., "machine 4711"
std::string elf_machine_name(const ElfInfo& info);
// GOARCH of the machine: "amd64", "arm64", "arm", "386", "ppc64le", "s390x", "riscv64", ...; "" for what is no platform (BPF, AVR, EM_NONE).
std::string elf_architecture(const ElfInfo& info);

}  // namespace archway
