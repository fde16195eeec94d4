#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

// What starts what: the first line of a script, and the command lines of env, shells and the small inits of containers.
namespace archway {

inline constexpr size_t kScriptPrefixBytes = 256;  // what the kernel looks at (BINPRM_BUF_SIZE)

// `#!INTERPRETER [ARGUMENT]`, as Linux reads it (fs/binfmt_script.c): one argument at most, blanks and all.
struct Script {
  std::string interpreter;
  std::string argument = {};
  bool operator==(const Script&) const = default;
};
// nullopt where it is no script, or its interpreter is cut by the kernel's limit. A carriage return stays: the kernel keeps it too.
std::optional<Script> parse_script(std::string_view first_bytes);

// The words that a launcher starts, given its own command line (its name first): `env -i A=b python3 -u` starts {python3, -u},
// `tini -- app` starts {app}, `sh -c "exec app x"` starts {app, x}. Empty where `words` is no launcher, or what it starts cannot be
// told without running it.
struct Launch {
  std::vector<std::string> words = {};
  bool guessed = false;  // read out of a shell's command, which may do anything
};
Launch launched_by(const std::vector<std::string>& words);

}  // namespace archway
