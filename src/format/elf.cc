#include "format/elf.h"

#include <elf.h>

#include <algorithm>
#include <array>

namespace archway {

namespace {

constexpr uint16_t kLoongArch = 258;  // EM_LOONGARCH; newer than some <elf.h>
constexpr size_t kMaxInterpreterBytes = 4096;
constexpr uint32_t kMaxProgramHeaders = 1024;

// A whole number at `offset` in the file's byte order; nullopt past the end.
std::optional<uint64_t> number_at(Bytes bytes, uint8_t data, uint64_t offset, size_t size) {
  if (offset > bytes.size() || bytes.size() - offset < size) return std::nullopt;
  uint64_t value = 0;
  for (size_t i = 0; i < size; i++) {
    size_t at = data == ELFDATA2LSB ? size - 1 - i : i;
    value = value << 8 | static_cast<uint8_t>(bytes[offset + at]);
  }
  return value;
}

bool is_64(const ElfInfo& info) { return info.elf_class == ELFCLASS64; }
bool is_little(const ElfInfo& info) { return info.data == ELFDATA2LSB; }
bool is_n32(const ElfInfo& info) { return (info.flags & EF_MIPS_ABI2) != 0; }

}  // namespace

std::optional<ElfInfo> read_elf_header(Bytes first_bytes) {
  if (first_bytes.size() < 20 || !as_text(first_bytes).starts_with("\x7f" "ELF")) return std::nullopt;
  ElfInfo info;
  info.elf_class = static_cast<uint8_t>(first_bytes[EI_CLASS]);
  info.data = static_cast<uint8_t>(first_bytes[EI_DATA]);
  info.os_abi = static_cast<uint8_t>(first_bytes[EI_OSABI]);
  // Without these two nothing that follows can be read.
  if (info.elf_class != ELFCLASS32 && info.elf_class != ELFCLASS64) return std::nullopt;
  if (info.data != ELFDATA2LSB && info.data != ELFDATA2MSB) return std::nullopt;
  auto field = [&](size_t offset, size_t size) { return number_at(first_bytes, info.data, offset, size).value_or(0); };
  info.type = static_cast<uint16_t>(field(16, 2));
  info.machine = static_cast<uint16_t>(field(18, 2));
  info.program_header_offset = is_64(info) ? field(32, 8) : field(28, 4);
  info.flags = static_cast<uint32_t>(is_64(info) ? field(48, 4) : field(36, 4));
  info.program_header_size = static_cast<uint16_t>(is_64(info) ? field(54, 2) : field(42, 2));
  info.program_header_count = static_cast<uint16_t>(is_64(info) ? field(56, 2) : field(44, 2));
  return info;
}

std::optional<std::string> read_elf_interpreter(const ElfInfo& info, Bytes file_prefix) {
  size_t least = is_64(info) ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr);
  if (info.program_header_size < least) return std::nullopt;
  uint32_t count = std::min<uint32_t>(info.program_header_count, kMaxProgramHeaders);
  for (uint32_t i = 0; i < count; i++) {
    uint64_t relative = uint64_t{i} * info.program_header_size;
    if (info.program_header_offset > file_prefix.size() || relative > file_prefix.size()) return std::nullopt;
    uint64_t at = info.program_header_offset + relative;
    std::optional<uint64_t> type = number_at(file_prefix, info.data, at, 4);
    if (!type) return std::nullopt;
    if (*type != PT_INTERP) continue;
    std::optional<uint64_t> offset = is_64(info) ? number_at(file_prefix, info.data, at + 8, 8) : number_at(file_prefix, info.data, at + 4, 4);
    std::optional<uint64_t> size = is_64(info) ? number_at(file_prefix, info.data, at + 32, 8) : number_at(file_prefix, info.data, at + 16, 4);
    if (!offset || !size || *size > kMaxInterpreterBytes || *offset > file_prefix.size() || file_prefix.size() - *offset < *size) return std::nullopt;
    std::string_view text = as_text(file_prefix).substr(*offset, *size);
    text = text.substr(0, std::min(text.find('\0'), text.size()));
    if (text.empty()) return std::nullopt;
    return std::string(text);
  }
  return std::nullopt;
}

std::string elf_machine_name(const ElfInfo& info) {
  std::string bits = is_64(info) ? " 64" : " 32";
  switch (info.machine) {
    case EM_NONE: return "no machine";
    case EM_SPARC: return "SPARC";
    case EM_386: return "x86";
    case EM_68K: return "68000";
    case EM_MIPS: return "MIPS" + bits + (is_little(info) ? " little endian" : " big endian");
    case EM_PARISC: return "PA-RISC";
    case EM_SPARC32PLUS: return "SPARC 32+";
    case EM_PPC: return "PowerPC 32";
    case EM_PPC64: return is_little(info) ? "PowerPC 64 little endian" : "PowerPC 64";
    case EM_S390: return is_64(info) ? "S/390 64" : "S/390 31";
    case EM_ARM: return is_little(info) ? "ARM" : "ARM big endian";
    case EM_ALPHA: return "Alpha";
    case EM_SH: return "SuperH";
    case EM_SPARCV9: return "SPARC 64";
    case EM_IA_64: return "IA-64";
    case EM_X86_64: return is_64(info) ? "x86-64" : "x86-64 x32";
    case EM_AVR: return "AVR";
    case EM_XTENSA: return "Xtensa";
    case EM_MSP430: return "MSP430";
    case EM_AARCH64: return std::string("AArch64") + (is_64(info) ? "" : " ILP32") + (is_little(info) ? "" : " big endian");
    case EM_CUDA: return "CUDA";
    case EM_AMDGPU: return "AMD GPU";
    case EM_RISCV: return "RISC-V" + bits;
    case EM_BPF: return "BPF";
    case kLoongArch: return "LoongArch" + bits;
    default: return "machine " + std::to_string(info.machine);
  }
}

std::string elf_architecture(const ElfInfo& info) {
  switch (info.machine) {
    case EM_386: return "386";
    case EM_X86_64: return is_64(info) ? "amd64" : "";  // x32 needs a kernel that nobody builds
    case EM_AARCH64: return !is_64(info) ? "" : is_little(info) ? "arm64" : "arm64be";
    case EM_ARM: return is_little(info) ? "arm" : "armbe";
    case EM_PPC: return "ppc";
    case EM_PPC64: return is_little(info) ? "ppc64le" : "ppc64";
    case EM_S390: return is_64(info) ? "s390x" : "s390";
    case EM_RISCV: return is_64(info) ? "riscv64" : "riscv";
    case kLoongArch: return is_64(info) ? "loong64" : "";
    case EM_SPARC:
    case EM_SPARC32PLUS: return "sparc";
    case EM_SPARCV9: return "sparc64";
    case EM_MIPS:
      // n32 is a 32-bit file for a 64-bit processor: Go calls it mips64p32.
      if (is_64(info)) return is_little(info) ? "mips64le" : "mips64";
      if (is_n32(info)) return is_little(info) ? "mips64p32le" : "mips64p32";
      return is_little(info) ? "mipsle" : "mips";
    default: return "";
  }
}

}  // namespace archway
