#include "runtime/machine_architecture.h"

#include <sys/utsname.h>

namespace archway {

const std::vector<MachineArchitecture>& machine_architectures() {
  static const std::vector<MachineArchitecture> all = {
      // mov eax,60; mov edi,42; syscall
      {"amd64", "x86_64", 2, false, 62, 0, {0x00003cb8, 0x002abf00, 0x050f0000}},
      // mov eax,1; mov ebx,42; int 0x80
      {"386", "i386", 1, false, 3, 0, {0x000001b8, 0x002abb00, 0x80cd0000}},
      // mov x0,#42; mov x8,#93; svc #0
      {"arm64", "aarch64", 2, false, 183, 0, {0xd2800540, 0xd2800ba8, 0xd4000001}},
      // mov r0,#42; mov r7,#1; svc #0 (EABI version 5)
      {"arm", "arm", 1, false, 40, 0x05000000, {0xe3a0002a, 0xe3a07001, 0xef000000}},
      // li a0,42; li a7,93; ecall
      {"riscv64", "riscv64", 2, false, 243, 0, {0x02a00513, 0x05d00893, 0x00000073}},
      // li r0,1; li r3,42; sc (ABI version 2)
      {"ppc64le", "ppc64le", 2, false, 21, 2, {0x38000001, 0x3860002a, 0x44000002}},
      // lghi %r2,42; svc 1
      {"s390x", "s390x", 2, true, 22, 0, {0xa729002a, 0x0a010000}},
      // addi.w $a0,$zero,42; addi.w $a7,$zero,93; syscall 0
      {"loong64", "loongarch64", 2, false, 258, 3, {0x0280a804, 0x0281740b, 0x002b0000}},
      // addiu $a0,$zero,42; addiu $v0,$zero,5058; syscall (n64)
      {"mips64le", "mips64el", 2, false, 8, 0x80000007, {0x2404002a, 0x240213c2, 0x0000000c}},
  };
  return all;
}

const MachineArchitecture* find_machine_architecture(std::string_view goarch) {
  for (const MachineArchitecture& one : machine_architectures()) {
    if (one.goarch == goarch) return &one;
  }
  return nullptr;
}

std::string host_goarch() {
  utsname names = {};
  ::uname(&names);
  std::string_view machine = names.machine;
  if (machine.starts_with("arm") || machine == "aarch64_be") return "arm";
  if (machine.size() == 4 && machine[0] == 'i' && machine.ends_with("86")) return "386";
  for (const MachineArchitecture& one : machine_architectures()) {
    if (one.qemu == machine) return std::string(one.goarch);
  }
  return std::string(machine);
}

namespace {

// Writes numbers in an architecture's byte order.
struct Writer {
  bool big_endian;
  std::string bytes = {};
  void number(uint64_t value, int size) {
    for (int i = 0; i < size; ++i) {
      int shift = 8 * (big_endian ? size - 1 - i : i);
      bytes.push_back(static_cast<char>(value >> shift & 0xff));
    }
  }
};

}  // namespace

std::string probe_program(const MachineArchitecture& architecture) {
  bool wide = architecture.elf_class == 2;
  int word = wide ? 8 : 4;
  uint64_t header = wide ? 64 : 52, program_header = wide ? 56 : 32, base = 0x400000;
  uint64_t start = header + program_header, size = start + 4 * architecture.code.size();
  Writer out{architecture.big_endian};
  out.bytes = std::string("\x7f" "ELF", 4) + static_cast<char>(architecture.elf_class) + (architecture.big_endian ? '\2' : '\1') + '\1' + std::string(9, '\0');
  out.number(2, 2);  // ET_EXEC
  out.number(architecture.elf_machine, 2);
  out.number(1, 4);
  out.number(base + start, word);  // e_entry
  out.number(header, word);        // e_phoff
  out.number(0, word);
  out.number(architecture.elf_flags, 4);
  for (uint64_t half : {header, program_header, uint64_t{1}, uint64_t{0}, uint64_t{0}, uint64_t{0}}) out.number(half, 2);
  out.number(1, 4);                // PT_LOAD
  if (wide) out.number(5, 4);      // PF_R | PF_X
  out.number(0, word);
  out.number(base, word);
  out.number(base, word);
  out.number(size, word);
  out.number(size, word);
  if (!wide) out.number(5, 4);
  out.number(0x10000, word);
  for (uint32_t instruction : architecture.code) out.number(instruction, 4);
  return out.bytes;
}

ElfMagic elf_magic(const MachineArchitecture& architecture) {
  Writer magic{architecture.big_endian}, mask{architecture.big_endian};
  magic.bytes = std::string("\x7f" "ELF", 4) + static_cast<char>(architecture.elf_class) + (architecture.big_endian ? '\2' : '\1') + '\1' + std::string(9, '\0');
  mask.bytes = std::string(16, '\xff');
  mask.bytes[7] = '\0';         // the OS ABI: System V, GNU, ...
  magic.number(2, 2);
  mask.number(0xfffe, 2);       // ET_EXEC (2) and ET_DYN (3)
  magic.number(architecture.elf_machine, 2);
  mask.number(0xffff, 2);
  return {magic.bytes, mask.bytes};
}

}  // namespace archway
