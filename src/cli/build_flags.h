#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "build/secrets.h"
#include "cli/command.h"
#include "runtime/runtime.h"

// What `build`, `run` and `cache` share.
namespace archway::cli {

std::vector<Flag> runtime_flags();  // --emulation, --runtime
Result<RuntimeOptions> runtime_options(const Arguments& arguments);
// "20GB", "512MiB", "1000000": bytes. Decimal units as docker's; KiB, MiB, GiB are binary.
Result<uint64_t> parse_size(std::string_view text);
// --cache-size, else ARCHWAY_CACHE_SIZE, else the default.
Result<uint64_t> cache_limit(const Arguments& arguments, const Context& context);

// --secret and --ssh, spelt as docker buildx spells them. What they name in the environment is read here, files are looked for.
Result<build::Confidences> confidences(const Arguments& arguments, const Context& context);

}  // namespace archway::cli
