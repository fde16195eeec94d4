#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace archway {

// One way in, as a WWW-Authenticate header offers it (RFC 9110 11.6.1).
struct Challenge {
  std::string scheme;                         // lower case: "bearer", "basic"
  std::map<std::string, std::string> params;  // names in lower case
  std::string param(const std::string& name) const {
    auto found = params.find(name);
    return found == params.end() ? std::string() : found->second;
  }
};

inline constexpr size_t kMaxChallengeBytes = 16 * 1024;

// All challenges of one header. Never fails: what cannot be read is left out, and a header longer than
// kMaxChallengeBytes offers nothing.
std::vector<Challenge> parse_challenges(std::string_view header);

}  // namespace archway
