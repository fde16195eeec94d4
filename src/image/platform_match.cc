#include <algorithm>

#include "base/text.h"
#include "image/platform.h"

namespace archway {

namespace {

// The N of "vN", or nullopt.
std::optional<int> version_number(std::string_view variant) {
  if (variant.starts_with('v')) variant.remove_prefix(1);
  auto number = parse_uint(variant);
  if (!number || *number > 99) return std::nullopt;
  return static_cast<int>(*number);
}

std::string dotted(int major, int minor) {
  return "v" + std::to_string(major) + (minor == 0 ? "" : "." + std::to_string(minor));
}

// The variants of arm64 below `variant`. ARMv9.x holds all of ARMv8.(x+5).
std::vector<std::string> lower_arm64(const std::string& variant) {
  auto [major_text, minor_text] = cut(variant, '.');
  auto major = version_number(major_text);
  if (!major || *major < 8) return {};
  int minor = 0;
  if (minor_text && minor_text->size() == 1) minor = static_cast<int>(parse_uint(*minor_text).value_or(0));
  std::vector<std::string> lower;
  if (*major == 9) {
    for (int m = minor - 1; m >= 0; --m) lower.push_back(dotted(9, m));
    minor += 6;
    major = 8;
  }
  for (int m = minor - 1; m >= 0; --m) lower.push_back(dotted(*major, m));
  return lower;
}

// What can run where `want` is asked for, best first. containerd calls it the platform vector.
std::vector<Platform> acceptable(const Platform& want, Fallback fallback) {
  std::vector<Platform> list = {want};
  auto add = [&](std::string architecture, std::string variant) {
    Platform next = want;
    next.architecture = std::move(architecture);
    next.variant = std::move(variant);
    list.push_back(normalize_platform(std::move(next)));
  };
  auto add_arm_below = [&](int version) {
    for (int v = version - 1; v >= 5; --v) add("arm", "v" + std::to_string(v));
  };
  if (want.architecture == "amd64") {
    int version = version_number(want.variant).value_or(1);
    for (int v = version - 1; v >= 1; --v) add("amd64", "v" + std::to_string(v));
    if (fallback == Fallback::Allow) add("386", "");
  } else if (want.architecture == "arm") {
    add_arm_below(version_number(want.variant).value_or(5));
  } else if (want.architecture == "arm64") {
    std::string variant = want.variant.empty() ? "v8" : want.variant;
    for (std::string& lower : lower_arm64(variant)) add("arm64", std::move(lower));
    if (fallback == Fallback::Allow) {
      // A plain v9 is itself a rank of 32-bit arm to containerd; v8.x and v9.x count as v8.
      int version = variant.find('.') == std::string::npos ? version_number(variant).value_or(8) : 8;
      add("arm", "v" + std::to_string(version));
      add_arm_below(version);
    }
  }
  return list;
}

struct WindowsVersion { uint64_t major = 0, minor = 0, build = 0; };
WindowsVersion windows_version(const std::string& text) {
  std::vector<std::string> parts = split(text, '.');
  if (parts.size() < 3) return {};
  return {parse_uint(parts[0]).value_or(0), parse_uint(parts[1]).value_or(0), parse_uint(parts[2]).value_or(0)};
}

// Windows runs containers of its own build; since Server 2022 also those back to its long-term release.
bool windows_runs(const std::string& host_text, const std::string& image_text) {
  constexpr uint64_t kServer2022 = 20348, kServer2025 = 26100;
  WindowsVersion host = windows_version(host_text), image = windows_version(image_text);
  if (host.build == 0 || image_text.empty()) return true;
  if (host.major != image.major || host.minor != image.minor) return false;
  if (host.build < kServer2022) return host.build == image.build;
  uint64_t oldest = host.build >= kServer2025 ? kServer2025 : kServer2022;
  return oldest <= image.build && image.build <= host.build;
}

bool matches_one(const Platform& accepted, const Platform& have) {
  if (accepted.os != have.os || accepted.architecture != have.architecture || accepted.variant != have.variant) return false;
  if (accepted.os == "windows" && !windows_runs(accepted.os_version, have.os_version)) return false;
  return std::includes(accepted.os_features.begin(), accepted.os_features.end(), have.os_features.begin(), have.os_features.end());
}

// The place of `have` in the list of acceptable platforms; its size where it is not among them.
size_t rank(const std::vector<Platform>& list, const Platform& have) {
  return static_cast<size_t>(std::find_if(list.begin(), list.end(), [&](const Platform& p) { return matches_one(p, have); }) - list.begin());
}

}  // namespace

bool platform_matches(const Platform& want, const Platform& have, Fallback fallback) {
  auto list = acceptable(want, fallback);
  return rank(list, have) < list.size();
}

bool platform_matches_strictly(const Platform& want, const Platform& have) { return matches_one(want, have); }

bool platform_better(const Platform& want, const Platform& a, const Platform& b) {
  auto list = acceptable(want, Fallback::Allow);
  return rank(list, a) < rank(list, b);
}

std::optional<size_t> choose_platform(const Platform& want, const std::vector<Platform>& have, Fallback fallback) {
  auto list = acceptable(want, fallback);
  std::optional<size_t> best;
  size_t best_rank = list.size();
  for (size_t i = 0; i < have.size(); ++i) {
    if (have[i].os == "unknown") continue;
    size_t here = rank(list, have[i]);
    if (here < best_rank) {
      best_rank = here;
      best = i;
    }
  }
  return best;
}

namespace {

// "a", "a and b", "a, b and c", each once, at most eight by name.
std::string list_names(const std::vector<Platform>& platforms) {
  constexpr size_t kMostNames = 8;
  std::vector<std::string> names;
  for (const Platform& platform : platforms) {
    std::string name = platform.str();
    if (platform.os == "windows" && !platform.os_version.empty()) name += " (" + platform.os_version + ")";
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(std::move(name));
  }
  if (names.size() > kMostNames) {
    size_t more = names.size() - kMostNames + 1;
    names.resize(kMostNames - 1);
    names.push_back(std::to_string(more) + " more");
  }
  if (names.size() == 1) return names[0];
  std::string last = std::move(names.back());
  names.pop_back();
  return join(names, ", ") + " and " + last;
}

const Platform* find_if_any(const std::vector<Platform>& have, auto&& test) {
  auto found = std::find_if(have.begin(), have.end(), test);
  return found == have.end() ? nullptr : &*found;
}

std::string why_nearest_fails(const Platform& want, const std::vector<Platform>& have) {
  const Platform* wider = find_if_any(have, [&](const Platform& p) { return platform_matches(want, p, Fallback::Allow); });
  if (wider) {
    return "; " + wider->str() + " is 32-bit and was not taken, because many " + want.architecture +
           " machines cannot run it: ask for " + wider->str() + " by name to have it";
  }
  const Platform* newer = find_if_any(have, [&](const Platform& p) { return p.os == want.os && p.architecture == want.architecture && p.variant != want.variant; });
  if (newer) {
    std::string needs = newer->variant.empty() ? "" : newer->variant;
    std::string text = "; the nearest is " + newer->str() + ", which is built for newer processors than " + want.str();
    if (newer->architecture == "arm" && needs == "v7") text += " (an entry that has no variant counts as v7)";
    return text;
  }
  const Platform* other_build = find_if_any(have, [&](const Platform& p) { return p.os == want.os && p.architecture == want.architecture && p.variant == want.variant; });
  if (other_build && want.os == "windows") return "; its Windows version does not run on " + (want.os_version.empty() ? "this one" : want.os_version);
  if (other_build) return "; " + other_build->str() + " asks for os.features that are not there";
  const Platform* wide = find_if_any(have, [&](const Platform& p) { return p.os == want.os && want.architecture == "arm" && p.architecture == "arm64"; });
  if (wide) return "; " + wide->str() + " is 64-bit, which " + want.str() + " cannot run";
  const Platform* other_os = find_if_any(have, [&](const Platform& p) { return p.os != want.os && p.architecture == want.architecture; });
  if (other_os) return "; " + other_os->str() + " has the architecture, but is for " + other_os->os;
  return "";
}

}  // namespace

std::string explain_no_match(const Platform& want, const std::vector<Platform>& have) {
  std::vector<Platform> images;
  for (const Platform& platform : have) {
    if (platform.os != "unknown") images.push_back(platform);
  }
  if (have.empty()) return "nothing for " + want.str() + ": the index is empty";
  if (images.empty()) return "nothing for " + want.str() + ": the index holds attestations only, and no image";
  std::string text = "nothing for " + want.str() + ": there is " + (images.size() == 1 ? "only " : "") + list_names(images);
  return text + why_nearest_fails(want, images);
}

}  // namespace archway
