#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

// Versions as tags, releases and people write them: "1.15.0", "v0.3.7", "0.14", "2.0.0-beta", "1.25.3-alpine", "v1.22.2-eks-5e0fdde".
namespace archway::catalog {

inline constexpr size_t kMaxVersionBytes = 128;   // a tag's limit
inline constexpr size_t kMaxVersionNumbers = 6;
inline constexpr size_t kMaxVersionDigits = 9;    // of one number
// A lone number of more digits is a date or a build number ("20240131"), which orders with nothing.
inline constexpr size_t kMaxLoneDigits = 6;

class Version {
 public:
  // Nullopt for what has no order: "latest", "main", "nightly-2024", a commit's hash.
  static std::optional<Version> parse(std::string_view text);

  const std::string& text() const { return text_; }          // as written
  const std::string& prefix() const { return prefix_; }      // "v", "release-" or ""
  const std::string& numbers() const { return numbers_; }    // "1.15.0"
  const std::string& prerelease() const { return prerelease_; }  // "beta", "rc.1" or ""
  // What follows, without its hyphen: "alpine", "eks-5e0fdde". Images that differ in it do not replace one another.
  const std::string& variant() const { return variant_; }

 private:
  friend std::weak_ordering compare(const Version& a, const Version& b);
  Version() = default;
  std::string text_, prefix_, numbers_, prerelease_, variant_;
  std::vector<uint32_t> parts_;
};

// By number, missing ones being 0 ("0.14" is "0.14.0"); a pre-release before its release, by semver 2.0 section 11, with numbers inside
// words read as numbers ("rc2" before "rc10"). Prefix and variant do not count.
std::weak_ordering compare(const Version& a, const Version& b);

}  // namespace archway::catalog
