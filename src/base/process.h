#pragma once

#include <chrono>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/result.h"

namespace archway {

struct ProcessOptions {
  std::string input = {};                                   // given on standard input
  std::optional<std::vector<std::string>> environment = {};  // "K=V"; none: inherited
  std::vector<std::string> more_environment = {};           // "K=V", in place of or added to that
  std::string directory = {};
  std::chrono::milliseconds timeout = std::chrono::minutes(2);
  uint64_t output_limit_bytes = 16 << 20;                   // per stream; more is an error
};

struct ProcessResult {
  int exit_code = 0;  // 128 + signal when killed by one
  std::string out;
  std::string err;
};

// Runs a program to its end and captures what it prints. `arguments[0]` is looked up in PATH. Not found
// is NotFound; any exit code is a result, not an error. On stop or timeout the child's group is killed.
Result<ProcessResult> run_process(const std::vector<std::string>& arguments, const ProcessOptions& options = {},
                                  std::stop_token stop = {});

// The absolute path that `name` has in PATH (or itself, if it has a slash and is executable).
std::optional<std::string> find_program(const std::string& name);

}  // namespace archway
