#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace archway::build {

// Where a result goes: -o type=oci,dest=image.tar and the like, spelt as docker buildx spells them.
struct Output {
  enum class Type { Registry, Oci, Docker, Local, Tar };
  Type type = Type::Registry;
  std::string dest = {};            // "-": standard output
  bool tar = true;                  // Oci: an archive, or (tar=false) a folder
  std::vector<std::string> names = {};  // name=...: tags of this output only
};
Result<Output> parse_output(const std::string& text);

}  // namespace archway::build
