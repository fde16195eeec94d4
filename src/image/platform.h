#pragma once

#include <compare>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

// The one module that answers every "does this run there?" (image-spec, image-index.md "platform";
// names and ranking as containerd/platforms has them, which docker, BuildKit and the kubelet use).
namespace archway {

// Always normalised: aarch64 and arm64/v8 are {linux, arm64, ""}; x86_64 is amd64; armhf is arm/v7; arm is arm/v7.
struct Platform {
  std::string os;            // "linux"; "unknown" for attestations
  std::string architecture;  // GOARCH: "amd64", "arm64", ...
  std::string variant = {};  // "v7" for arm; "" where it is the default one
  std::string os_version = {};
  std::vector<std::string> os_features = {};

  // "linux/arm64", "linux/arm/v7": what docker prints and TARGETPLATFORM holds. Inverse of parse_platform.
  std::string str() const;
  bool operator==(const Platform&) const = default;
};

// "os/arch[/variant]", also a lone "arm64" or "linux", completed from the host's platform.
Result<Platform> parse_platform(std::string_view text);
// The same, completed from `host` instead of this machine.
Result<Platform> parse_platform(std::string_view text, const Platform& host);
// "a,b" or several: in order, duplicates dropped. "local" is the host's own.
Result<std::vector<Platform>> parse_platforms(const std::vector<std::string>& texts);
// From the loose parts of a manifest or config; normalises, does not refuse unknown names.
Platform normalize_platform(Platform raw);
Platform host_platform();

enum class Fallback { Allow, Forbid };  // whether arm64 may take 32-bit arm, amd64 386

// Does an image for `have` run where `want` is asked for? (containerd's Only(want).Match(have))
bool platform_matches(const Platform& want, const Platform& have, Fallback fallback = Fallback::Allow);
// Exactly `want`'s platform, no lower variant (containerd's OnlyStrict).
bool platform_matches_strictly(const Platform& want, const Platform& have);
// Is `a` a better answer to `want` than `b`? (containerd's Only(want).Less(a, b))
bool platform_better(const Platform& want, const Platform& a, const Platform& b);
// The index of the best match among `have`, or nullopt. Entries with os "unknown" never match.
std::optional<size_t> choose_platform(const Platform& want, const std::vector<Platform>& have, Fallback fallback = Fallback::Allow);
// Why nothing in `have` matches `want`, as a sentence a person can act on: what there is, the nearest, a 32-bit fallback that was not taken.
std::string explain_no_match(const Platform& want, const std::vector<Platform>& have);

}  // namespace archway
