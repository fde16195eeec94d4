// Any bytes are a Dockerfile or an error with its place; what was accepted can be looked at, and its triggers and mounts read again.
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/check.h"
#include "dockerfile/instructions.h"
#include "dockerfile/run_mount.h"

using namespace archway;
using namespace archway::dockerfile;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto file = parse({reinterpret_cast<const char*>(data), size}, "D");
  if (!file.ok()) {
    CHECK(file.error().code == Code::Invalid);
    CHECK(file.error().message.starts_with("D:"));
    return 0;
  }
  CHECK(!file->stages.empty());
  for (const Stage& stage : file->stages) {
    for (const Instruction& instruction : stage.instructions) {
      CHECK(instruction.where.first_line >= 1 && instruction.where.last_line >= instruction.where.first_line);
      CHECK(static_cast<size_t>(instruction.where.last_line) <= file->lines.size());
      (void)error_at(*file, "D", instruction.where, "x");
      if (auto* onbuild = std::get_if<Onbuild>(&instruction.what)) (void)parse_instruction(onbuild->text, "ONBUILD", file->escape);
      if (auto* run = std::get_if<Run>(&instruction.what)) {
        for (const std::string& mount : run->mounts) (void)parse_run_mount(mount, [](const std::string& value) -> Result<std::string> { return value; });
      }
    }
  }
  return 0;
}
