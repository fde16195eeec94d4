#include "cli/image_lookup.h"

#include "base/fd.h"
#include "cli/registry_access.h"

namespace archway::cli {

std::vector<Flag> lookup_flags() {
  std::vector<Flag> flags = registry_flags();
  flags.push_back({"images", 0, Flag::Kind::One, "FILE", "what is known of images' platforms; no registry is asked for those"});
  flags.push_back({"offline", 0, Flag::Kind::Bool, "", "ask no registry: what --images and the cache know"});
  return flags;
}

std::string lookup_cache(const Context& context) { return state_root(context) + "/lookups"; }

Result<ImageLookupOptions> image_lookup_options(const Arguments& arguments, const Context& context) {
  ImageLookupOptions options;
  options.registry = TRY(registry_options(arguments, context));
  options.offline = arguments.has("offline");
  options.cache_dir = lookup_cache(context);
  if (auto file = arguments.one("images")) {
    std::string text = TRY(read_file(*file, kMaxTruthBytes));
    options.known = TRY(parse_truths(text).context(*file));
  }
  return options;
}

Result<std::shared_ptr<ImageLookup>> make_image_lookup(const Arguments& arguments, const Context& context) {
  auto options = TRY(image_lookup_options(arguments, context));
  return ImageLookup::open(std::move(options));
}

}  // namespace archway::cli
