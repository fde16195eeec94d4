#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace archway::catalog {

inline constexpr size_t kMaxPatternBytes = 255;
inline constexpr size_t kMaxWildcards = 4;  // matching takes time to this power of the name's length

// A name of a repository, "docker.io/istio/pilot", or several: * is any text without . and /, not empty; ** any text, not empty.
class NamePattern {
 public:
  // Invalid where the text, its wildcards taken as letters, is not what Reference::name() of an image looks like.
  static Result<NamePattern> parse(std::string_view text);

  bool has_wildcards() const { return wildcards_ > 0; }
  size_t wildcards() const { return wildcards_; }
  const std::string& str() const { return text_; }
  bool matches(std::string_view name) const { return captures(name).has_value(); }
  // What stands for each wildcard, the first ones as long as may be.
  std::optional<std::vector<std::string>> captures(std::string_view name) const;
  // The pattern with its wildcards replaced; as many as wildcards().
  std::string filled(const std::vector<std::string>& with) const;
  // Whether some name fits both; may say yes where none does, never no where one does.
  bool overlaps(const NamePattern& other) const;
  bool operator==(const NamePattern&) const = default;

 private:
  NamePattern() = default;
  std::string text_;
  size_t wildcards_ = 0;
};

}  // namespace archway::catalog
