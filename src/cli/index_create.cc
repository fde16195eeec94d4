#include <algorithm>

#include "base/text.h"
#include "cli/command.h"
#include "cli/image_place.h"
#include "cli/registry_access.h"
#include "format/json.h"
#include "image/config.h"

namespace archway::cli {

namespace {

// The entries of an index in the making, and who brought each.
class IndexBuilder {
 public:
  Result<void> add(const OpenedImage& image) {
    providers_.push_back(image.provider);
    if (!is_index(image.root.descriptor.media_type)) return add_image(*image.provider, image.root.descriptor, image.root.raw, image.name);
    return add_index(*image.provider, image.root.descriptor, image.root.raw, image.name, 1);
  }

  const std::vector<Descriptor>& entries() const { return entries_; }

  // Attestations come after all images, as BuildKit orders them.
  std::vector<Descriptor> all() const {
    std::vector<Descriptor> list = entries_;
    list.insert(list.end(), attestations_.begin(), attestations_.end());
    return list;
  }
  std::vector<std::shared_ptr<Provider>> providers() const { return providers_; }

 private:
  // What one entry is for is read from its configuration: an index, or whoever wrote it, may say something else.
  Result<void> add_image(Provider& provider, const Descriptor& descriptor, const std::string& raw, const std::string& name) {
    Manifest manifest = TRY(parse_manifest(raw, descriptor.media_type).context(name));
    std::string raw_config = TRY(read_blob(provider, manifest.config, kMaxManifestBytes).context(name));
    ImageConfig config = TRY(parse_image_config(raw_config).context(name));
    if (config.platform.os.empty() || config.platform.architecture.empty()) {
      return Error{Code::Invalid, name + ": its configuration does not say which platform it is for"};
    }
    for (size_t i = 0; i < entries_.size(); ++i) {
      if (*entries_[i].platform != config.platform) continue;
      return Error{Code::Invalid, "two images for " + config.platform.str() + ": " + names_[i] + " and " + name, "leave one of them out: an index has one image per platform"};
    }
    Descriptor entry{descriptor.media_type, descriptor.digest, descriptor.size, config.platform};
    entries_.push_back(std::move(entry));
    names_.push_back(name);
    return {};
  }

  Result<void> add_index(Provider& provider, const Descriptor& descriptor, const std::string& raw, const std::string& name, size_t depth) {
    if (depth > kMaxIndexDepth) return Error{Code::Invalid, name + ": indexes within indexes, more than " + std::to_string(kMaxIndexDepth) + " deep"};
    ImageIndex index = TRY(parse_index(raw, descriptor.media_type).context(name));
    for (const Descriptor& child : index.manifests) {
      if (child.is_attestation()) {
        attestations_.push_back(child);
        continue;
      }
      if (!is_index(child.media_type) && !is_manifest(child.media_type)) continue;
      std::string child_raw = TRY(read_blob(provider, child, kMaxManifestBytes).context(name));
      std::string child_name = name + " (" + (child.platform ? child.platform->str() : child.digest.str()) + ")";
      if (is_index(child.media_type)) TRY(add_index(provider, child, child_raw, child_name, depth + 1));
      else TRY(add_image(provider, child, child_raw, child_name));
    }
    return {};
  }

  std::vector<Descriptor> entries_, attestations_;
  std::vector<std::string> names_;
  std::vector<std::shared_ptr<Provider>> providers_;
};

Result<Annotations> annotations_of(const Arguments& arguments) {
  Annotations annotations;
  for (const std::string& text : arguments.many("annotation")) {
    auto [key, value] = cut(text, '=');
    if (key.empty() || !value) return usage_error("archway index create: --annotation " + text + ": write KEY=VALUE");
    std::erase_if(annotations, [&, name = key](const auto& a) { return a.first == name; });
    annotations.emplace_back(std::string(key), std::string(*value));
  }
  return annotations;
}

Result<int> run_index_create(const Arguments& arguments, const Context& context) {
  std::vector<std::string> tags = arguments.many("tag");
  if (tags.empty()) return usage_error("archway index create: say with -t what the index is to be called");
  Annotations annotations = TRY(annotations_of(arguments));
  for (const std::string& tag : tags) {
    ImagePlace place = TRY(parse_image_place(tag));
    if (place.kind == ImagePlace::Kind::DockerArchive) return usage_error("archway index create: a docker archive holds one platform, not an index: " + tag);
    if (place.reference && place.reference->digest()) return usage_error("archway index create: the digest of " + tag + " is not known before the index is made");
  }
  auto client = TRY(make_registry_client(arguments, context));
  auto progress = TRY(make_progress(arguments.one_or("progress", "auto"), context));
  IndexBuilder builder;
  for (const std::string& spelling : arguments.positional()) {
    OpenedImage image = TRY(open_image(spelling, *client, context));
    TRY(builder.add(image));
  }
  auto made = std::make_shared<MemoryStore>();
  std::string raw = write_index({std::string(media_type::kOciIndex), builder.all(), "", {}, std::move(annotations)});
  Root root{made->put_bytes(media_type::kOciIndex, raw), raw};
  auto providers = builder.providers();
  providers.insert(providers.begin(), made);
  UnionProvider from(std::move(providers));
  for (const std::string& tag : tags) {
    ImageDestination to = TRY(open_destination(tag, *client));
    auto copied = copy_to(to, from, root, progress.get(), "pushing", context.stop);
    if (!copied.ok()) return std::move(copied).error().within("creating the index " + to.name);
  }
  progress.reset();
  if (!arguments.has("json")) {
    context.out(root.descriptor.digest.str() + "\n");
    return kOk;
  }
  Json images = Json::array();
  for (const Descriptor& entry : builder.entries()) images.push(Json::object({{"platform", entry.platform->str()}, {"digest", entry.digest.str()}}));
  context.out(to_json(Json::object({{"digest", root.descriptor.digest.str()}, {"tags", Json(tags)}, {"images", std::move(images)}}), {.indent = 2}) + "\n");
  return kOk;
}

}  // namespace

Command index_create_command() {
  Command command;
  command.name = "index create";
  command.summary = "Make one index from images that were built apart";
  command.usage = "archway index create -t NAME [flags] IMAGE...";
  command.description =
      "Each image's platform is read from its own configuration; two images for one platform are an error. An IMAGE that is an\n"
      "index brings all its images. What an image needs is copied to where the index goes. Prints the digest.\n\n"
      "  archway index create -t example.org/app:1 example.org/app:1-amd64 example.org/app:1-arm64";
  command.flags = {{"tag", 't', Flag::Kind::Many, "NAME", "what the index is to be called (also oci:DIR:TAG, oci-archive:FILE:TAG)"},
                   {"annotation", 0, Flag::Kind::Many, "KEY=VALUE", "annotate the index"},
                   {"progress", 0, Flag::Kind::One, "KIND", "auto, tty, plain, rawjson or quiet"},
                   {"json", 0, Flag::Kind::Bool, "", "print what was made as JSON"}};
  for (Flag& flag : registry_flags()) command.flags.push_back(std::move(flag));
  command.min_positional = 1;
  command.max_positional = kMaxIndexEntries;
  command.run = run_index_create;
  return command;
}

}  // namespace archway::cli
