#include <algorithm>
#include <set>

#include "base/clock.h"
#include "base/text.h"
#include "base/thread_pool.h"
#include "cli/command.h"
#include "cli/image_place.h"
#include "cli/registry_access.h"
#include "format/json.h"
#include "image/config.h"

namespace archway::cli {

namespace {

constexpr size_t kFetchesAtOnce = 6;
constexpr std::string_view kReferenceDigest = "vnd.docker.reference.digest";

// One image of an index (or the only one), with what its manifest and configuration say.
struct Image {
  Descriptor descriptor;
  Manifest manifest;
  ImageConfig config;
  uint64_t layer_bytes() const {
    uint64_t total = 0;
    for (const Descriptor& layer : manifest.layers) total += layer.size;
    return total;
  }
  // What the index says, else what the configuration does.
  std::string platform() const {
    const Platform& shown = descriptor.platform ? *descriptor.platform : config.platform;
    std::string text = shown.str();
    return shown.os_version.empty() ? text : text + " (" + shown.os_version + ")";
  }
};

struct Report {
  std::vector<Image> images;
  std::vector<Descriptor> attestations;
  std::vector<Descriptor> others;  // artifacts that are no images
};

Result<Image> fetch_image(Provider& provider, const Descriptor& descriptor, std::string_view raw) {
  Manifest manifest = TRY(parse_manifest(raw, descriptor.media_type));
  std::string raw_config = TRY(read_blob(provider, manifest.config, kMaxManifestBytes));
  ImageConfig config = TRY(parse_image_config(raw_config));
  return Image{descriptor, std::move(manifest), std::move(config)};
}

Result<void> list_entries(Provider& provider, const Descriptor& descriptor, std::string_view raw, size_t depth, Report& report, std::vector<Descriptor>& images) {
  if (depth > kMaxIndexDepth) return Error{Code::Invalid, "indexes within indexes, more than " + std::to_string(kMaxIndexDepth) + " deep"};
  ImageIndex index = TRY(parse_index(raw, descriptor.media_type));
  for (const Descriptor& entry : index.manifests) {
    if (entry.is_attestation()) {
      report.attestations.push_back(entry);
    } else if (is_index(entry.media_type)) {
      std::string nested = TRY(read_blob(provider, entry, kMaxManifestBytes));
      TRY(list_entries(provider, entry, nested, depth + 1, report, images));
    } else {
      (is_manifest(entry.media_type) ? images : report.others).push_back(entry);
    }
  }
  return {};
}

Result<Report> look_at(Provider& provider, const Root& root) {
  Report report;
  if (!is_index(root.descriptor.media_type)) {
    report.images.push_back(TRY(fetch_image(provider, root.descriptor, root.raw)));
    return report;
  }
  std::vector<Descriptor> entries;
  TRY(list_entries(provider, root.descriptor, root.raw, 1, report, entries));
  std::vector<std::optional<Image>> images(entries.size());
  auto fetched = parallel_for(entries.size(), kFetchesAtOnce, [&](size_t i) -> Result<void> {
    std::string raw = TRY(read_blob(provider, entries[i], kMaxManifestBytes));
    images[i] = TRY(fetch_image(provider, entries[i], raw).context(entries[i].digest.str()));
    return {};
  });
  if (!fetched.ok()) return std::move(fetched).error();
  for (auto& image : images) report.images.push_back(std::move(*image));
  return report;
}

// Text from an image goes to a terminal: no control characters, which could move the cursor or worse.
std::string printable(std::string_view text) {
  std::string out;
  for (char c : text) out += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;
  return out;
}

std::string table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> width;
  for (const auto& row : rows) {
    width.resize(std::max(width.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) width[i] = std::max(width[i], row[i].size());
  }
  std::string text;
  for (const auto& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) line += row[i] + std::string(i + 1 < row.size() ? width[i] - row[i].size() + 2 : 0, ' ');
    text += line + "\n";
  }
  return text;
}

std::string images_table(const std::vector<Image>& images) {
  std::vector<std::vector<std::string>> rows = {{"PLATFORM", "DIGEST", "SIZE", "LAYERS", "CREATED"}};
  Time now = system_clock().now();
  for (const Image& image : images) {
    rows.push_back({printable(image.platform()), image.descriptor.digest.str(), human_bytes(image.layer_bytes()), std::to_string(image.manifest.layers.size()),
                    image.config.created ? human_age(*image.config.created, now) : "-"});
  }
  return table(rows);
}

// Labels that all images share are said once.
std::string labels_text(const std::vector<Image>& images) {
  auto lines = [](const std::map<std::string, std::string>& labels) {
    std::string text;
    for (const auto& [key, value] : labels) text += "  " + printable(key) + "=" + printable(value) + "\n";
    return text;
  };
  if (images.empty()) return "";
  bool same = std::all_of(images.begin(), images.end(), [&](const Image& i) { return i.config.labels == images[0].config.labels; });
  if (same) return images[0].config.labels.empty() ? "" : "\nLabels:\n" + lines(images[0].config.labels);
  std::string text;
  for (const Image& image : images) {
    if (!image.config.labels.empty()) text += "\nLabels of " + printable(image.platform()) + ":\n" + lines(image.config.labels);
  }
  return text;
}

std::string attestations_text(const Report& report) {
  if (report.attestations.empty()) return "";
  std::vector<std::vector<std::string>> rows = {{"FOR", "DIGEST", "SIZE"}};
  for (const Descriptor& attestation : report.attestations) {
    std::string subject = attestation.annotation(kReferenceDigest);
    for (const Image& image : report.images) {
      if (image.descriptor.digest.str() == subject) subject = image.platform();
    }
    rows.push_back({printable(subject.empty() ? "-" : subject), attestation.digest.str(), human_bytes(attestation.size)});
  }
  return "\nAttestations:\n" + table(rows);
}

// What one image does when it is run.
std::string details_text(const ImageConfig& config) {
  auto words = [](const std::optional<std::vector<std::string>>& list) { return list ? to_json(Json(*list)) : std::string("-"); };
  std::vector<std::vector<std::string>> rows = {{"Entrypoint:", words(config.entrypoint)}, {"Cmd:", words(config.cmd)}};
  if (!config.user.empty()) rows.push_back({"User:", printable(config.user)});
  if (!config.working_dir.empty()) rows.push_back({"WorkingDir:", printable(config.working_dir)});
  for (const std::string& port : config.exposed_ports) rows.push_back({"Port:", printable(port)});
  for (const std::string& volume : config.volumes) rows.push_back({"Volume:", printable(volume)});
  for (const std::string& entry : config.env) rows.push_back({"Env:", printable(entry)});
  return "\n" + table(rows);
}

std::string report_text(const OpenedImage& opened, const Root& root, const Report& report) {
  std::string text = table({{"Name:", opened.name}, {"MediaType:", root.descriptor.media_type}, {"Digest:", root.descriptor.digest.str()}});
  text += "\n" + images_table(report.images);
  if (report.images.size() == 1) text += details_text(report.images[0].config);
  text += labels_text(report.images) + attestations_text(report);
  for (const Descriptor& other : report.others) text += "\nOther: " + printable(other.media_type) + " " + other.digest.str() + "\n";
  return text;
}

Json layers_json(const std::vector<Descriptor>& layers) {
  Json list = Json::array();
  for (const Descriptor& layer : layers) list.push(descriptor_json(layer));
  return list;
}

Json image_json(const Image& image) {
  Json labels = Json::object();
  for (const auto& [key, value] : image.config.labels) labels.mutable_members().push_back({key, value});
  Json json = Json::object({{"platform", (image.descriptor.platform ? *image.descriptor.platform : image.config.platform).str()},
                            {"config_platform", image.config.platform.str()},
                            {"media_type", image.descriptor.media_type},
                            {"digest", image.descriptor.digest.str()},
                            {"config", image.manifest.config.digest.str()},
                            {"size", image.layer_bytes()},
                            {"layers", layers_json(image.manifest.layers)}});
  if (image.config.created) json.set("created", format_rfc3339(*image.config.created));
  json.set("labels", std::move(labels));
  json.set("annotations", annotations_json(image.manifest.annotations));
  return json;
}

Json report_json(const OpenedImage& opened, const Root& root, const Report& report) {
  Json images = Json::array(), attestations = Json::array(), others = Json::array();
  for (const Image& image : report.images) images.push(image_json(image));
  for (const Descriptor& attestation : report.attestations) {
    attestations.push(Json::object({{"digest", attestation.digest.str()}, {"size", attestation.size}, {"for", attestation.annotation(kReferenceDigest)}}));
  }
  for (const Descriptor& other : report.others) others.push(descriptor_json(other));
  return Json::object({{"name", opened.name}, {"media_type", root.descriptor.media_type}, {"digest", root.descriptor.digest.str()}, {"size", root.descriptor.size},
                       {"images", std::move(images)}, {"attestations", std::move(attestations)}, {"others", std::move(others)}});
}

Result<int> run_inspect(const Arguments& arguments, const Context& context) {
  if (arguments.has("raw") + arguments.has("json") + arguments.has("config") > 1) return usage_error("archway inspect: --raw, --json and --config exclude each other");
  auto client = TRY(make_registry_client(arguments, context));
  OpenedImage opened = TRY(open_image(arguments.positional()[0], *client, context));
  Root root = opened.root;
  if (arguments.has("platform") || arguments.has("config")) {
    std::string text = arguments.one_or("platform", "local");
    bool whole = !arguments.has("platform") && !is_index(root.descriptor.media_type);  // a single image has but one configuration
    Platform want = text == "local" ? host_platform() : TRY(parse_platform(text));
    if (whole) {
      Manifest manifest = TRY(parse_manifest(root.raw, root.descriptor.media_type));
      context.out(TRY(read_blob(*opened.provider, manifest.config, kMaxManifestBytes)));
      return kOk;
    }
    ChosenImage chosen = TRY(choose_image(*opened.provider, root, want).context(opened.name));
    if (arguments.has("config")) {
      context.out(chosen.raw_config);
      return kOk;
    }
    root = Root{std::move(chosen.descriptor), std::move(chosen.raw)};
  }
  if (arguments.has("raw")) {
    context.out(root.raw);
    return kOk;
  }
  Report report = TRY(look_at(*opened.provider, root).context(opened.name));
  context.out(arguments.has("json") ? to_json(report_json(opened, root, report), {.indent = 2}) + "\n" : report_text(opened, root, report));
  return kOk;
}

}  // namespace

Command inspect_command() {
  Command command;
  command.name = "inspect";
  command.summary = "Show which platforms an image is for, and what each holds";
  command.usage = "archway inspect [flags] IMAGE";
  command.description =
      "IMAGE is a reference, or oci:DIR[:TAG], oci-archive:FILE[:TAG], docker-archive:FILE[:REF]. SIZE is that of the packed layers.\n\n"
      "  archway inspect alpine:3.20\n"
      "  archway inspect --platform linux/arm64 --config alpine:3.20";
  command.flags = {{"platform", 0, Flag::Kind::One, "PLATFORM", "this platform's image only"},
                   {"json", 0, Flag::Kind::Bool, "", "print as JSON"},
                   {"raw", 0, Flag::Kind::Bool, "", "print the index or manifest, byte for byte"},
                   {"config", 0, Flag::Kind::Bool, "", "print the configuration, byte for byte (this machine's platform unless told)"}};
  for (Flag& flag : registry_flags()) command.flags.push_back(std::move(flag));
  command.min_positional = command.max_positional = 1;
  command.run = run_inspect;
  return command;
}

}  // namespace archway::cli
