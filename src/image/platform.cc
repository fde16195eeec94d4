#include "image/platform.h"

#include <sys/utsname.h>

#include <algorithm>
#include <bit>

#include "base/text.h"
#include "image/known_platform.h"

namespace archway {

namespace {

// Go's list of GOOS and GOARCH values (go/build/syslist.go): what a lone word may be.
constexpr std::string_view kKnownOs[] = {"aix",   "android", "darwin", "dragonfly", "freebsd", "hurd",    "illumos", "ios", "js",
                                         "linux", "nacl",    "netbsd", "openbsd",   "plan9",   "solaris", "wasip1",  "windows", "zos"};
constexpr std::string_view kKnownArchitectures[] = {"386",  "amd64",    "amd64p32", "arm",       "armbe",       "arm64", "arm64be", "ppc64",
                                                    "ppc64le", "loong64", "mips",  "mipsle",    "mips64",      "mips64le", "mips64p32", "mips64p32le",
                                                    "ppc",  "riscv",    "riscv64",  "s390",      "s390x",       "sparc", "sparc64", "wasm"};

template <size_t N>
bool is_one_of(std::string_view word, const std::string_view (&list)[N]) {
  return std::find(std::begin(list), std::end(list), word) != std::end(list);
}

void normalize_architecture(std::string& architecture, std::string& variant) {
  architecture = to_lower(architecture);
  variant = to_lower(variant);
  if (architecture == "i386") {
    architecture = "386";
    variant.clear();
  } else if (architecture == "x86_64" || architecture == "x86-64" || architecture == "amd64") {
    architecture = "amd64";
    if (variant == "v1") variant.clear();
  } else if (architecture == "aarch64" || architecture == "arm64") {
    architecture = "arm64";
    if (variant == "8" || variant == "v8") variant.clear();
  } else if (architecture == "armhf") {
    architecture = "arm";
    variant = "v7";
  } else if (architecture == "armel") {
    architecture = "arm";
    variant = "v6";
  } else if (architecture == "arm") {
    if (variant.empty()) variant = "v7";
    if (variant.size() == 1 && variant[0] >= '5' && variant[0] <= '8') variant.insert(0, 1, 'v');
  }
}

Error refuse(std::string_view text, std::string_view why) {
  return Error{Code::Invalid, "\"" + std::string(text.substr(0, 100)) + "\" is not a platform: " + std::string(why),
               "a platform is OS/ARCHITECTURE[/VARIANT], like linux/arm64 or linux/arm/v7"};
}

bool is_component(std::string_view part) {
  constexpr std::string_view kAllowed = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
  return !part.empty() && part.find_first_not_of(kAllowed) == std::string_view::npos;
}

// "windows(10.0.17763)": the version in parentheses, as containerd spells it.
bool split_os_version(std::string_view part, std::string_view& os, std::string_view& version) {
  os = part;
  version = {};
  size_t open = part.find('(');
  if (open != std::string_view::npos) {
    if (part.back() != ')') return false;
    os = part.substr(0, open);
    version = part.substr(open + 1, part.size() - open - 2);
    if (!version.empty() && !is_component(version)) return false;
  }
  return is_component(os) && os.find('.') == std::string_view::npos;
}

}  // namespace

std::string Platform::str() const {
  std::string text = os.empty() ? "unknown" : os;
  if (!architecture.empty()) text += "/" + architecture;
  if (!variant.empty()) text += "/" + variant;
  return text;
}

Platform normalize_platform(Platform raw) {
  raw.os = to_lower(raw.os);
  if (raw.os == "macos") raw.os = "darwin";
  normalize_architecture(raw.architecture, raw.variant);
  // Go's tools take the system they run on where an entry names only an architecture; archway runs on Linux.
  if (raw.os.empty() && !raw.architecture.empty()) raw.os = "linux";
  std::sort(raw.os_features.begin(), raw.os_features.end());
  raw.os_features.erase(std::unique(raw.os_features.begin(), raw.os_features.end()), raw.os_features.end());
  return raw;
}

Result<Platform> parse_platform(std::string_view text) { return parse_platform(text, host_platform()); }

Result<Platform> parse_platform(std::string_view text, const Platform& host) {
  std::vector<std::string> parts = split(text, '/');
  if (parts.size() > 3) return refuse(text, "it has more than three parts");
  std::string_view os, version;
  if (!split_os_version(parts[0], os, version)) return refuse(text, "its parts may hold letters, digits, '_', '.' and '-' only");
  for (size_t i = 1; i < parts.size(); ++i) {
    if (!is_component(parts[i])) return refuse(text, "its parts may hold letters, digits, '_', '.' and '-' only");
  }
  if (parts.size() > 1) {
    return normalize_platform({std::string(os), parts[1], parts.size() > 2 ? parts[2] : "", std::string(version)});
  }
  // A lone word names a system or a processor; the other half is the host's. Here unknown names are refused.
  std::string word = to_lower(os);
  if (word == "macos") word = "darwin";
  if (is_one_of(word, kKnownOs)) return normalize_platform({word, host.architecture, host.variant, std::string(version)});
  Platform found = normalize_platform({host.os, word});
  if (version.empty() && is_one_of(found.architecture, kKnownArchitectures)) return found;
  Error error = refuse(text, "neither an operating system nor an architecture has this name");
  std::vector<std::string> known(std::begin(kKnownArchitectures), std::end(kKnownArchitectures));
  known.insert(known.end(), std::begin(kKnownOs), std::end(kKnownOs));
  if (auto near = nearest(word, known)) error.hint = "did you mean " + *near + "?";
  return error;
}

Result<void> check_known(const Platform& platform) {
  auto check = [&](const std::string& word, auto& list, const std::string& kind) -> Result<void> {
    if (is_one_of(word, list)) return {};
    auto near = nearest(word, {std::begin(list), std::end(list)});
    return Error{Code::Invalid, platform.str() + ": there is no " + kind + " \"" + word.substr(0, 100) + "\"" + (near ? "; did you mean " + *near + "?" : "")};
  };
  TRY(check(platform.os, kKnownOs, "operating system"));
  return check(platform.architecture, kKnownArchitectures, "architecture");
}

Result<std::vector<Platform>> parse_platforms(const std::vector<std::string>& texts) {
  std::vector<Platform> platforms;
  for (const std::string& text : texts) {
    for (const std::string& part : split(text, ',')) {
      std::string_view word = trim(part);
      Platform platform = word == "local" ? host_platform() : TRY(parse_platform(word));
      if (std::find(platforms.begin(), platforms.end(), platform) == platforms.end()) platforms.push_back(std::move(platform));
    }
  }
  return platforms;
}

Platform host_platform() {
  utsname name = {};
  ::uname(&name);
  std::string machine = name.machine;
  std::string variant;
  if (machine.starts_with("armv") && machine.size() > 4) {  // armv6l, armv7l; armv8l is a 32-bit process on a 64-bit kernel
    variant = std::string("v") + machine[4];
    machine = "arm";
  } else if (machine.size() == 4 && machine[0] == 'i' && machine.ends_with("86")) {
    machine = "386";
  } else if (machine == "loongarch64") {
    machine = "loong64";
  } else if (machine == "mips64" && std::endian::native == std::endian::little) {
    machine = "mips64le";
  } else if (machine == "mips" && std::endian::native == std::endian::little) {
    machine = "mipsle";
  }
  return normalize_platform({"linux", machine, variant});
}

}  // namespace archway
