#pragma once

#include <optional>
#include <string_view>

#include "format/json.h"

namespace archway {

// What an unquoted YAML 1.1 scalar is, as Go's yaml.v2 resolves it: "yes" is true, "0777" is octal, "1_000" is 1000,
// "~" is null, dates stay strings. NaN and infinities have no JSON and give nullopt.
std::optional<Json> resolve_yaml_scalar(std::string_view text);

}  // namespace archway
