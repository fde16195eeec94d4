#pragma once

#include <memory>

#include "cli/command.h"
#include "registry/lookup.h"

namespace archway::cli {

// For verbs that look images up: registry_flags() and these: --images FILE, --offline.
std::vector<Flag> lookup_flags();
// Facts of images as those flags, the environment and docker's configuration have them; what was found is kept below state_root()/lookups.
Result<std::shared_ptr<ImageLookup>> make_image_lookup(const Arguments& arguments, const Context& context);
std::string lookup_cache(const Context& context);  // the folder where they are kept
// Before they are opened: for those who add limits (a webhook's addresses) or lower the ages.
Result<ImageLookupOptions> image_lookup_options(const Arguments& arguments, const Context& context);

}  // namespace archway::cli
