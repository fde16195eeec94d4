#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "format/elf.h"
#include "image/platform.h"
#include "verify/verify.h"

// Which programs may be where: what is an error, and what is only worth a note (registry.md 6.2).
namespace archway {

// Whether archway knows what programs of this platform look like; else why not.
std::optional<std::string> why_not_judged(const Platform& declared);

enum class Fit {
  Same,       // the declared platform's
  Companion,  // the 32-bit processor that 64-bit ones may take along: 386 on amd64, arm on arm64
  Foreign,
};
Fit fit_of(const Platform& declared, const ElfInfo& elf);

struct Judgement {
  Severity severity;
  std::string rule;
  std::string message;
};
// nullopt where the file is as it should be. `path` has a leading slash.
std::optional<Judgement> judge_elf(const Platform& declared, std::string_view path, const ElfInfo& elf);

// "amd64 (x86-64)", "BPF"
std::string described(const ElfInfo& elf);

}  // namespace archway
