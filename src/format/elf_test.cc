#include "format/elf.h"

#include <elf.h>
#include <gtest/gtest.h>

#include <fcntl.h>

#include <cstring>

#include "base/fd.h"

namespace archway {
namespace {

std::string header(uint8_t elf_class, uint8_t data, uint16_t machine, uint32_t flags = 0) {
  std::string bytes("\x7f" "ELF", 4);
  bytes.resize(kElfHeaderBytes, '\0');
  bytes[4] = static_cast<char>(elf_class);
  bytes[5] = static_cast<char>(data);
  auto put = [&](size_t offset, size_t size, uint64_t value) {
    for (size_t i = 0; i < size; i++) bytes[offset + (data == 1 ? i : size - 1 - i)] = static_cast<char>(value >> (8 * i));
  };
  put(16, 2, ET_DYN);
  put(18, 2, machine);
  put(elf_class == 2 ? 48 : 36, 4, flags);
  return bytes;
}

TEST(Elf, KnowsMachines) {
  struct Case {
    uint8_t elf_class, data;
    uint16_t machine;
    uint32_t flags;
    std::string name, architecture;
  };
  for (const Case& c : std::vector<Case>{{2, 1, 62, 0, "x86-64", "amd64"},
                                         {1, 1, 62, 0, "x86-64 x32", ""},
                                         {2, 1, 183, 0, "AArch64", "arm64"},
                                         {1, 1, 40, 0x05000400, "ARM", "arm"},
                                         {1, 1, 3, 0, "x86", "386"},
                                         {2, 1, 21, 2, "PowerPC 64 little endian", "ppc64le"},
                                         {2, 2, 21, 1, "PowerPC 64", "ppc64"},
                                         {2, 2, 22, 0, "S/390 64", "s390x"},
                                         {2, 1, 243, 5, "RISC-V 64", "riscv64"},
                                         {1, 1, 243, 5, "RISC-V 32", "riscv"},
                                         {2, 1, 258, 0, "LoongArch 64", "loong64"},
                                         {1, 2, 8, 0, "MIPS 32 big endian", "mips"},
                                         {1, 1, 8, 0, "MIPS 32 little endian", "mipsle"},
                                         {2, 1, 8, 0, "MIPS 64 little endian", "mips64le"},
                                         {2, 2, 8, 0, "MIPS 64 big endian", "mips64"},
                                         {1, 1, 8, 0x20, "MIPS 32 little endian", "mips64p32le"},
                                         {2, 1, 247, 0, "BPF", ""},
                                         {1, 1, 83, 0, "AVR", ""},
                                         {2, 1, 0, 0, "no machine", ""},
                                         {2, 1, 4711, 0, "machine 4711", ""}}) {
    std::string bytes = header(c.elf_class, c.data, c.machine, c.flags);
    std::optional<ElfInfo> info = read_elf_header(as_bytes(bytes));
    ASSERT_TRUE(info);
    EXPECT_EQ(info->machine, c.machine);
    EXPECT_EQ(info->flags, c.flags);
    EXPECT_EQ(info->type, ET_DYN);
    EXPECT_EQ(elf_machine_name(*info), c.name);
    EXPECT_EQ(elf_architecture(*info), c.architecture) << c.name;
  }
}

TEST(Elf, RefusesWhatIsNone) {
  std::string good = header(2, 1, 62);
  EXPECT_TRUE(read_elf_header(as_bytes(good.substr(0, 20))));
  EXPECT_FALSE(read_elf_header(as_bytes(good.substr(0, 19))));
  EXPECT_FALSE(read_elf_header({}));
  EXPECT_FALSE(read_elf_header(as_bytes("#!/bin/sh\necho 1234567890")));
  EXPECT_FALSE(read_elf_header(as_bytes(header(3, 1, 62))));
  EXPECT_FALSE(read_elf_header(as_bytes(header(2, 0, 62))));
}

// A header, one PT_INTERP and the path.
template <class Ehdr, class Phdr>
std::string program(uint8_t elf_class, std::string_view path) {
  Ehdr ehdr{};
  std::memcpy(ehdr.e_ident, "\x7f" "ELF", 4);
  ehdr.e_ident[4] = elf_class;
  ehdr.e_ident[5] = 1;
  ehdr.e_machine = EM_ARM;
  ehdr.e_phoff = sizeof(Ehdr);
  ehdr.e_phentsize = sizeof(Phdr);
  ehdr.e_phnum = 2;
  Phdr load{}, interp{};
  load.p_type = PT_LOAD;
  interp.p_type = PT_INTERP;
  interp.p_offset = sizeof(Ehdr) + 2 * sizeof(Phdr);
  interp.p_filesz = static_cast<decltype(interp.p_filesz)>(path.size() + 1);
  std::string bytes(reinterpret_cast<const char*>(&ehdr), sizeof ehdr);
  bytes.append(reinterpret_cast<const char*>(&load), sizeof load);
  bytes.append(reinterpret_cast<const char*>(&interp), sizeof interp);
  return bytes.append(path).append(1, '\0');
}

TEST(Elf, FindsTheInterpreterInBothClasses) {
  for (const std::string& bytes : {program<Elf32_Ehdr, Elf32_Phdr>(1, "/lib/ld.so"), program<Elf64_Ehdr, Elf64_Phdr>(2, "/lib/ld.so")}) {
    ElfInfo info = read_elf_header(as_bytes(bytes)).value();
    EXPECT_EQ(read_elf_interpreter(info, as_bytes(bytes)), "/lib/ld.so");
    for (size_t cut = 0; cut < bytes.size(); cut++) EXPECT_FALSE(read_elf_interpreter(info, as_bytes(std::string_view(bytes).substr(0, cut))));
    info.program_header_offset = UINT64_MAX - 8;
    EXPECT_FALSE(read_elf_interpreter(info, as_bytes(bytes)));
  }
}

TEST(Elf, ReadsThisVeryProgram) {
  FdSource self(open_file("/proc/self/exe", O_RDONLY).value());
  std::string prefix(4096, '\0');
  ASSERT_EQ(read_full(self, std::as_writable_bytes(std::span(prefix))).value(), 4096u);
  ElfInfo info = read_elf_header(as_bytes(prefix)).value();
  EXPECT_NE(elf_architecture(info), "");
  std::optional<std::string> interpreter = read_elf_interpreter(info, as_bytes(prefix));
  ASSERT_TRUE(interpreter);
  EXPECT_TRUE(path_exists(*interpreter)) << *interpreter;
}

}  // namespace
}  // namespace archway
