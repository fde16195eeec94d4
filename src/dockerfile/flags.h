#pragma once

#include <initializer_list>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

// The `--name=value` words between a keyword and its arguments.
namespace archway::dockerfile {

enum class FlagKind { Bool, Text, List };  // List may be given several times
struct FlagSpec {
  std::string_view name;
  FlagKind kind;
};

class Flags {
 public:
  // Invalid for an unknown flag, a second one that is no list, a missing value. `culprit` is then the flag as written.
  static Result<Flags> read(const std::vector<std::string>& words, std::initializer_list<FlagSpec> known, std::string& culprit);

  bool given(std::string_view name) const { return values_.count(name) != 0; }
  std::string text(std::string_view name) const;
  std::optional<bool> boolean(std::string_view name) const;
  std::vector<std::string> list(std::string_view name) const;

 private:
  std::map<std::string, std::vector<std::string>, std::less<>> values_;
};

}  // namespace archway::dockerfile
