#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// Scripts of pipelines, read as far as one must to see what commands they run. No shell: nothing is expanded, and what is not understood
// is passed over.
namespace archway::ci {

inline constexpr size_t kMaxScriptBytes = 1 << 20;
inline constexpr size_t kMaxShellCommands = 20'000;  // of one script; what follows is not looked at
inline constexpr size_t kMaxSubstitutionDepth = 8;   // $(... $(... ))

// One simple command: "sudo FOO=1 docker build -t x ." is {docker, build, -t, x, .}, with FOO=1 apart.
struct ShellCommand {
  std::vector<std::string> words;      // quotes taken away, $NAME as written; the first is the program
  std::vector<std::pair<std::string, std::string>> assignments;  // before it; of a line that is nothing else too
  uint32_t line = 0;                   // within the script, from 0
  bool is(std::string_view program) const;  // by its last path part
};

// Commands in the order in which they stand, those of $(...) before the one that they are in. Here-documents are passed over.
std::vector<ShellCommand> read_shell(std::string_view script);

}  // namespace archway::ci
