#pragma once

#include <string>

#include "base/result.h"
#include "dockerfile/syntax.h"

// The second half of reading a Dockerfile: a node of the tree to its instruction. BuildKit's frontend/dockerfile/instructions.
namespace archway::dockerfile {

struct From {
  std::string base, platform;
  std::string name;          // lower-cased
  std::string written_name;
};

bool is_from(const Node& node);
// Errors are plain sentences; the caller adds the place. `culprit` is then the word that they are about, where there is one.
Result<From> read_from(const Node& node, std::string& culprit);
// Everything but FROM.
Result<Instruction> read_instruction(const Node& node, std::string& culprit);

}  // namespace archway::dockerfile
