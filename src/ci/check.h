#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "ci/pipeline.h"

// What people get wrong in pipelines that build for several platforms (docs/ci.md lists the rules). Pure: text in, findings out.
namespace archway::ci {

enum class Severity : uint8_t { Error, Warning, Note };
std::string_view severity_name(Severity severity);  // "error", "warning", "note"

struct Finding {
  std::string rule;  // "ci-no-emulator"
  Severity severity = Severity::Warning;
  uint32_t line = 0, column = 0;  // from 1
  std::string job;      // "" where it is about the whole file
  std::string message;  // a sentence
  std::string advice;   // what to do
  bool operator==(const Finding&) const = default;
};

inline constexpr size_t kMaxPipelineBytes = 8 << 20;
inline constexpr size_t kMaxJobs = 5'000;
inline constexpr size_t kMaxCommands = 50'000;  // of a file, what aliases repeat among them

// Which system's file it is, by its name and then by what it holds.
Result<System> recognize_system(std::string_view path, std::string_view text);
// By line. Invalid where the text is not what the system reads.
Result<std::vector<Finding>> check_pipeline(System system, std::string_view text);

}  // namespace archway::ci
