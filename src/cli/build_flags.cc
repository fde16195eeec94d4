#include "cli/build_flags.h"

#include <array>
#include <charconv>

#include "base/text.h"
#include "build/build.h"

namespace archway::cli {

std::vector<Flag> runtime_flags() {
  using enum Flag::Kind;
  return {
      {"emulation", 0, One, "HOW", "for foreign processors: auto, private (binfmt_misc of the build alone), host, none"},
      {"runtime", 0, One, "PROGRAM", "OCI runtime (default: runc or crun, whichever works here)"},
  };
}

Result<RuntimeOptions> runtime_options(const Arguments& arguments) {
  RuntimeOptions options;
  std::string how = arguments.one_or("emulation", "auto");
  if (how == "auto") options.emulation = Emulation::Auto;
  else if (how == "private") options.emulation = Emulation::Private;
  else if (how == "host") options.emulation = Emulation::Host;
  else if (how == "none") options.emulation = Emulation::None;
  else return usage_error("archway: --emulation " + how + ": there is auto, private, host and none");
  options.runtime = arguments.one_or("runtime", "");
  return options;
}

Result<uint64_t> parse_size(std::string_view text) {
  struct Unit { std::string_view name; double factor; };
  static constexpr std::array<Unit, 17> kUnits = {{{"", 1}, {"b", 1}, {"k", 1e3}, {"kb", 1e3}, {"kib", 1024}, {"m", 1e6}, {"mb", 1e6}, {"mib", 1048576},
                                                   {"g", 1e9}, {"gb", 1e9}, {"gib", 1073741824}, {"t", 1e12}, {"tb", 1e12}, {"tib", 1099511627776},
                                                   {"ki", 1024}, {"mi", 1048576}, {"gi", 1073741824}}};
  double number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  std::string unit = to_lower(trim(text.substr(static_cast<size_t>(end - text.data()))));
  if (error == std::errc() && number >= 0) {
    for (const Unit& known : kUnits) {
      if (known.name == unit && number * known.factor < 9e18) return static_cast<uint64_t>(number * known.factor);
    }
  }
  return usage_error("archway: \"" + std::string(text) + "\" is not a size such as 20GB or 512MiB");
}

Result<uint64_t> cache_limit(const Arguments& arguments, const Context& context) {
  auto given = arguments.one("cache-size");
  if (!given) given = context.environment("ARCHWAY_CACHE_SIZE");
  if (!given || given->empty()) return build::kDefaultCacheBytes;
  return parse_size(*given);
}

}  // namespace archway::cli
