#include "runtime/emulator.h"

#include <dirent.h>
#include <elf.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cstring>
#include <memory>

#include "base/fd.h"
#include "base/process.h"
#include "base/text.h"

namespace archway {

namespace {

constexpr const char* kBinfmtMisc = "/proc/sys/fs/binfmt_misc";
constexpr uint64_t kMaxRegistrationBytes = 4096;

// Reads the program headers of an ELF file of our own processor.
bool is_static(const std::string& path) {
  auto fd = open_file(path, O_RDONLY);
  if (!fd.ok()) return false;
  Elf64_Ehdr header = {};
  if (::pread(fd->get(), &header, sizeof header, 0) != sizeof header || std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0) return false;
  if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_phentsize != sizeof(Elf64_Phdr)) return false;
  for (int i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr program = {};
    if (::pread(fd->get(), &program, sizeof program, static_cast<off_t>(header.e_phoff) + i * static_cast<off_t>(sizeof program)) != sizeof program) return false;
    if (program.p_type == PT_INTERP) return false;
  }
  return true;
}

struct Registration {
  bool enabled = false;
  std::string flags, offset, magic;
};

std::optional<Registration> read_registration(const std::string& path) {
  auto text = read_file(path, kMaxRegistrationBytes);
  if (!text.ok()) return std::nullopt;
  Registration result;
  for (std::string_view line : split(*text, '\n')) {
    if (line == "enabled") result.enabled = true;
    if (line.starts_with("flags: ")) result.flags = line.substr(7);
    if (line.starts_with("offset ")) result.offset = line.substr(7);
    if (line.starts_with("magic ")) result.magic = line.substr(6);
  }
  return result;
}

std::string escaped(std::string_view bytes) {
  std::string result;
  for (char byte : bytes) result += "\\x" + to_hex({&byte, 1});
  return result;
}

}  // namespace

std::optional<std::string> find_emulator(const MachineArchitecture& architecture) {
  std::string name = "qemu-" + std::string(architecture.qemu);
  if (auto found = find_program(name + "-static")) return found;
  if (auto found = find_program(name); found && is_static(*found)) return found;
  return std::nullopt;
}

std::optional<std::string> find_registration(const MachineArchitecture& architecture, const std::string& folder, std::string* unusable) {
  std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir(folder.c_str()), [](DIR* d) { return ::closedir(d); });
  if (!dir) return std::nullopt;
  std::string wanted = to_hex(elf_magic(architecture).magic);
  std::optional<std::string> found;
  while (dirent* entry = ::readdir(dir.get())) {
    std::string name = entry->d_name;
    if (name == "." || name == ".." || name == "register" || name == "status") continue;
    auto one = read_registration(folder + "/" + name);
    // Class, byte order, and the machine at offset 18; what lies between is masked in different ways.
    if (!one || !one->enabled || one->offset != "0" || one->magic.size() < 40) continue;
    if (one->magic.substr(0, 12) != wanted.substr(0, 12) || one->magic.substr(36, 4) != wanted.substr(36, 4)) continue;
    if (one->flags.find('F') != std::string::npos) found = name;
    else if (unusable) *unusable = name;
  }
  return found;
}

std::string registration_line(const MachineArchitecture& architecture, const std::string& interpreter) {
  ElfMagic magic = elf_magic(architecture);
  return ":archway-" + std::string(architecture.qemu) + ":M::" + escaped(magic.magic) + ":" + escaped(magic.mask) + ":" + interpreter + ":FCP";
}

Result<void> register_privately(const MachineArchitecture& architecture, const std::string& interpreter) {
  if (::mount("binfmt_misc", kBinfmtMisc, "binfmt_misc", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) != 0) {
    int why = errno;
    Error error = errno_error("mounting binfmt_misc in a user namespace", why);
    error.code = Code::Unsupported;
    return std::move(error).with_hint("private emulation needs Linux 6.7 or newer with binfmt_misc (modprobe binfmt_misc); else register QEMU on the host: apt install qemu-user-static binfmt-support");
  }
  Fd fd = TRY(open_file(std::string(kBinfmtMisc) + "/register", O_WRONLY));
  std::string line = registration_line(architecture, interpreter);
  // One write is one registration.
  if (::write(fd.get(), line.data(), line.size()) != static_cast<ssize_t>(line.size())) return errno_error("registering " + interpreter + " in a user namespace");
  return {};
}

}  // namespace archway
