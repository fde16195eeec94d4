#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "format/json.h"
#include "image/digest.h"
#include "image/platform.h"

// What is known of images' platforms: what `--images FILE` says, and what looking at them found. One document:
//     {"example.org/app:1": {"digest": "sha256:…", "platforms": ["linux/amd64", "linux/arm64"],
//                            "wrong": [{"platform": "linux/arm64", "why": "/app is x86-64"}]}}
namespace archway {

inline constexpr uint64_t kMaxTruthBytes = 256 << 20;

// A platform that an image declares, and does not hold.
struct WrongPlatform {
  Platform platform;
  std::string why = {};  // for people; may be empty
  bool operator==(const WrongPlatform&) const = default;
};

// `platforms` is what the image declares; those also in `wrong` hold other processors' programs.
struct ImageTruth {
  std::optional<Digest> digest = {};
  std::vector<Platform> platforms = {};
  std::vector<WrongPlatform> wrong = {};
  // Declared and not known to be wrong?
  bool runs_on(const Platform& want, Fallback fallback = Fallback::Forbid) const;
  bool operator==(const ImageTruth&) const = default;
};

// By reference, as it was written. A reference that is spelt otherwise names the same image: look up with find().
struct ImageTruths {
  std::map<std::string, ImageTruth, std::less<>> images = {};
  // By the very text, else by what it names (docker.io/library/alpine:latest for alpine). Null where nothing is known.
  const ImageTruth* find(std::string_view reference) const;
  bool operator==(const ImageTruths&) const = default;
};

// Invalid with "line N: " and what is wrong there. "wrong" may also hold bare platforms. Unknown members are refused, since a
// misspelt one would be a silent lie.
Result<ImageTruths> parse_truths(std::string_view text);
std::string write_truths(const ImageTruths& truths);  // two-space indent, sorted; inverse of parse_truths

}  // namespace archway
