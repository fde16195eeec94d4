#include <algorithm>

#include "base/text.h"
#include "cli/command.h"
#include "cli/image_place.h"
#include "cli/registry_access.h"
#include "format/json.h"

namespace archway::cli {

namespace {

Root root_of(ChosenImage image) { return {Descriptor{image.descriptor.media_type, image.descriptor.digest, image.descriptor.size}, std::move(image.raw)}; }

// What is to be copied: one platform where asked for (or where an index has but one and the destination takes but one), else all.
Result<Root> select(const OpenedImage& image, const Arguments& arguments, bool one_platform) {
  if (auto text = arguments.one("platform")) {
    Platform want = *text == "local" ? host_platform() : TRY(parse_platform(*text));
    return root_of(TRY(choose_image(*image.provider, image.root, want).context(image.name)));
  }
  if (!one_platform || !is_index(image.root.descriptor.media_type)) return image.root;
  ImageIndex index = TRY(parse_index(image.root.raw, image.root.descriptor.media_type));
  std::erase_if(index.manifests, [](const Descriptor& entry) { return entry.is_attestation(); });
  if (index.manifests.size() == 1 && index.manifests[0].platform) {
    return root_of(TRY(choose_image(*image.provider, image.root, *index.manifests[0].platform).context(image.name)));
  }
  std::vector<std::string> there;
  for (const Descriptor& entry : index.manifests) there.push_back(entry.platform ? entry.platform->str() : entry.digest.str());
  return Error{Code::Unsupported, image.name + " is for several platforms, and a docker archive holds one", "add --platform, one of " + join(there, ", ")};
}

Result<int> run_copy(const Arguments& arguments, const Context& context) {
  auto client = TRY(make_registry_client(arguments, context));
  auto progress = TRY(make_progress(arguments.one_or("progress", "auto"), context));
  OpenedImage image = TRY(open_image(arguments.positional()[0], *client, context));
  ImagePlace place = TRY(parse_image_place(arguments.positional()[1]));
  Root root = TRY(select(image, arguments, place.kind == ImagePlace::Kind::DockerArchive));
  ImageDestination to = TRY(open_destination(arguments.positional()[1], *client));
  CopyStats stats = TRY(copy_to(to, *image.provider, root, progress.get(), "copying", context.stop).context("copying " + image.name + " to " + to.name));
  progress.reset();  // before the result, so that the two do not mix on a terminal
  if (arguments.has("json")) {
    context.out(to_json(Json::object({{"source", image.name}, {"destination", to.name}, {"digest", root.descriptor.digest.str()}, {"media_type", root.descriptor.media_type},
                                      {"stored", stats.stored}, {"existed", stats.existed}, {"mounted", stats.mounted}, {"bytes_stored", stats.bytes_stored}}),
                        {.indent = 2}) + "\n");
  } else {
    context.out(root.descriptor.digest.str() + "\n");
  }
  return kOk;
}

}  // namespace

Command copy_command() {
  Command command;
  command.name = "copy";
  command.summary = "Copy an image, with all its platforms, from one place to another";
  command.usage = "archway copy [flags] SOURCE DESTINATION";
  command.description =
      "Places are spelt as skopeo spells them: example.org/app:1 (a registry), oci:DIR[:TAG], oci-archive:FILE[:TAG] and\n"
      "docker-archive:FILE[:REF]. The whole index is copied, byte for byte, unless --platform names one image of it.\n"
      "What is there already is not sent again. A tag moves only after all it needs is there. Prints the digest.\n\n"
      "  archway copy alpine:3.20 localhost:5000/alpine:3.20\n"
      "  archway copy --platform linux/arm64 alpine:3.20 docker-archive:alpine.tar:alpine:3.20";
  command.flags = {{"platform", 0, Flag::Kind::One, "PLATFORM", "copy this platform's image only"},
                   {"all", 'a', Flag::Kind::Bool, "", "copy all platforms (the default)"},
                   {"progress", 0, Flag::Kind::One, "KIND", "auto, tty, plain, rawjson or quiet"},
                   {"json", 0, Flag::Kind::Bool, "", "print what was done as JSON"}};
  for (Flag& flag : registry_flags()) command.flags.push_back(std::move(flag));
  command.min_positional = command.max_positional = 2;
  command.run = run_copy;
  return command;
}

}  // namespace archway::cli
