#include "verify/rules.h"

#include <elf.h>

#include <algorithm>
#include <array>
#include <vector>

#include "base/text.h"

namespace archway {

namespace {

constexpr std::array<std::string_view, 22> kJudged = {"386",    "amd64",    "arm",      "armbe",     "arm64",     "arm64be", "ppc",   "ppc64",   "ppc64le", "s390",    "s390x",
                                                      "riscv",  "riscv64",  "loong64",  "mips",      "mipsle",    "mips64",  "mips64le", "mips64p32", "mips64p32le", "sparc", "sparc64"};

// The processors that containers are made for. What is for another kind of machine (BPF, a GPU, a microcontroller) is not started by
// the system and is data to it.
bool is_container_machine(uint16_t machine) {
  constexpr uint16_t kLoongArch = 258;
  switch (machine) {
    case EM_386: case EM_X86_64: case EM_ARM: case EM_AARCH64: case EM_PPC: case EM_PPC64: case EM_S390: case EM_RISCV: case EM_MIPS:
    case EM_SPARC: case EM_SPARC32PLUS: case EM_SPARCV9: case kLoongArch: return true;
    default: return false;
  }
}

std::string companion_of(std::string_view architecture) {
  if (architecture == "amd64") return "386";
  if (architecture == "arm64") return "arm";
  if (architecture == "ppc64") return "ppc";
  if (architecture == "s390x") return "s390";
  if (architecture == "mips64") return "mips";
  if (architecture == "mips64le") return "mipsle";
  if (architecture == "sparc64") return "sparc";
  return "";
}

// GOARCH of the first word of a GNU triplet; "" where it is none.
std::string_view architecture_of_cpu(std::string_view cpu) {
  struct Name { std::string_view cpu, architecture; };
  static constexpr std::array<Name, 22> kNames = {{{"x86_64", "amd64"},      {"i386", "386"},         {"i486", "386"},        {"i586", "386"},         {"i686", "386"},
                                                   {"aarch64", "arm64"},     {"aarch64_be", "arm64be"}, {"arm", "arm"},       {"armv5l", "arm"},       {"armv6", "arm"},
                                                   {"armv7", "arm"},         {"armv7l", "arm"},       {"powerpc64le", "ppc64le"}, {"powerpc64", "ppc64"}, {"powerpc", "ppc"},
                                                   {"s390x", "s390x"},       {"riscv64", "riscv64"},  {"loongarch64", "loong64"}, {"mips", "mips"},    {"mipsel", "mipsle"},
                                                   {"mips64", "mips64"},     {"mips64el", "mips64le"}}};
  auto found = std::find_if(kNames.begin(), kNames.end(), [&](const Name& name) { return name.cpu == cpu; });
  return found == kNames.end() ? "" : found->architecture;
}

// "aarch64-linux-gnu", "x86_64-w64-mingw32", "arm-none-eabi": a processor and where its programs run.
bool is_triplet_of(std::string_view part, std::string_view architecture) {
  auto [cpu, rest] = cut(part, '-');
  if (!rest || architecture.empty()) return false;
  static constexpr std::array<std::string_view, 8> kSystems = {"linux-", "unknown-linux-", "none-", "elf", "pc-linux-", "alpine-linux-", "redhat-linux", "suse-linux"};
  bool system = std::any_of(kSystems.begin(), kSystems.end(), [&](std::string_view prefix) { return rest->starts_with(prefix); });
  return system && architecture_of_cpu(cpu) == architecture;
}

bool is_sysroot(std::string_view part) {
  return part == "sysroot" || part == "sysroots" || part == "sys-root" || part.ends_with("-sysroot") || part.ends_with("_sysroot") || part.starts_with("sysroot-");
}

// Why a foreign program may well stand at this path; "" where it should not.
std::string_view reason_for_path(std::string_view path, const ElfInfo& elf) {
  static constexpr std::array<std::string_view, 9> kFirmware = {"/lib/firmware/", "/usr/lib/firmware/", "/usr/share/qemu/", "/usr/lib/u-boot/", "/usr/share/openbios/",
                                                               "/usr/share/seabios/", "/usr/lib/ipxe/", "/usr/share/qemu-efi", "/boot/"};
  for (std::string_view prefix : kFirmware) {
    if (path.starts_with(prefix)) return "firmware";
  }
  std::vector<std::string> parts = split(path.substr(1), '/');
  std::string_view name = parts.back();
  if (name.starts_with("qemu-") && elf.type != ET_REL) return "an emulator, which is for the machine that runs it";
  std::string architecture = elf_architecture(elf);
  for (size_t i = 0; i + 1 < parts.size(); ++i) {
    if (is_sysroot(parts[i])) return "in a cross-compiler's sysroot";
    if (parts[i] == "gcc-cross") return "in a cross-compiler";
    if (parts[i] == "prebuilds") return "in a folder of prebuilt modules for several processors";
    if (parts[i] == "testdata") return "test data";
    // /usr/aarch64-linux-gnu is a cross-compiler's; /usr/lib/aarch64-linux-gnu is where Debian's own libraries go, so not here.
    bool prefix = i == 0 ? false : parts[i - 1] == "usr" || parts[i - 1] == "local" || parts[i - 1] == "opt";
    if (prefix && is_triplet_of(parts[i], architecture)) return "in a cross-compiler's folder";
  }
  return "";
}

}  // namespace

std::optional<std::string> why_not_judged(const Platform& declared) {
  if (declared.architecture.empty()) return "the image does not say which architecture it is for";
  if (declared.os == "windows" || declared.os == "darwin") return "programs of " + declared.os + " are no ELF files, and archway verifies ELF files only";
  if (std::find(kJudged.begin(), kJudged.end(), declared.architecture) == kJudged.end()) return "archway does not know what programs for " + declared.str() + " look like";
  return std::nullopt;
}

Fit fit_of(const Platform& declared, const ElfInfo& elf) {
  std::string architecture = elf_architecture(elf);
  if (architecture == declared.architecture) return Fit::Same;
  return !architecture.empty() && architecture == companion_of(declared.architecture) ? Fit::Companion : Fit::Foreign;
}

std::string described(const ElfInfo& elf) {
  std::string architecture = elf_architecture(elf), machine = elf_machine_name(elf);
  return architecture.empty() ? machine : architecture + " (" + machine + ")";
}

std::optional<Judgement> judge_elf(const Platform& declared, std::string_view path, const ElfInfo& elf) {
  Fit fit = fit_of(declared, elf);
  if (fit == Fit::Same) return std::nullopt;
  std::string is = "is for " + described(elf) + ", not for " + declared.str();
  if (!is_container_machine(elf.machine)) return Judgement{Severity::Note, "elf-other-machine", "is for " + described(elf) + ", which no container runs on: data to the system"};
  if (elf.type == ET_REL) return Judgement{Severity::Note, "elf-object", is + "; it is an object file or kernel module, which is not started"};
  if (elf.type == ET_CORE) return Judgement{Severity::Note, "elf-core", is + "; it is a core dump"};
  if (std::string_view reason = reason_for_path(path, elf); !reason.empty()) return Judgement{Severity::Note, "elf-known-foreign", is + "; " + std::string(reason)};
  if (fit == Fit::Companion) {
    std::string runs = declared.architecture == "arm64" ? "it runs only on those arm64 processors that have the 32-bit instructions" : "it runs there where the kernel has 32-bit support";
    return Judgement{Severity::Note, "elf-32-bit", is + "; " + runs};
  }
  return Judgement{Severity::Error, "elf-machine", is};
}

}  // namespace archway
