#include "registry/image_facts.h"

#include <algorithm>
#include <mutex>
#include <set>

#include "base/text.h"
#include "image/config.h"
#include "image/manifest.h"
#include "registry/repository.h"

namespace archway {
namespace {

bool is_image_config(std::string_view media_type) { return media_type == media_type::kOciConfig || media_type == media_type::kDockerConfig; }

// Every image has at least a layer to start from; what cosign and others put in a manifest has types of its own.
bool holds_layers_of_images(const Manifest& manifest) {
  return std::all_of(manifest.layers.begin(), manifest.layers.end(), [](const Descriptor& layer) {
    return layer_compression(layer.media_type).has_value() || is_foreign_layer(layer.media_type) || layer.media_type.find(".tar") != std::string::npos;
  });
}

std::string key_of(const Platform& platform) {
  std::string key;
  for (const std::string* text : {&platform.os, &platform.architecture, &platform.variant, &platform.os_version}) key.append(*text).push_back('\0');
  for (const std::string& feature : platform.os_features) key.append(feature).push_back('\0');
  return key;
}

// The images below a manifest or index, in order.
class Reader {
 public:
  Reader(RegistryClient& client, const Reference& reference, std::stop_token stop)
      : repository_(client.repository(reference)), stop_(std::move(stop)) {}

  Result<void> read_index(const Descriptor& descriptor, std::string_view raw, size_t depth) {
    if (depth > kMaxIndexDepth) return Error{Code::Invalid, "indexes within indexes, more than " + std::to_string(kMaxIndexDepth) + " deep"};
    auto parsed = [&] {
      auto turn = parse_turn(raw.size());
      return parse_index(raw, descriptor.media_type);
    }();
    ImageIndex index = TRY(std::move(parsed));
    for (const Descriptor& child : index.manifests) TRY(read_entry(child, depth));
    return {};
  }

  // The platform that a lone manifest's configuration declares; nullopt where it is no image.
  Result<std::optional<Platform>> read_manifest(const Descriptor& descriptor, std::string_view raw) {
    auto parsed = [&] {
      auto turn = parse_turn(raw.size());
      return parse_manifest(raw, descriptor.media_type);
    }();
    Manifest manifest = TRY(std::move(parsed));
    std::optional<Platform> none;
    if (!is_image_config(manifest.config.media_type) || !manifest.artifact_type.empty() || !holds_layers_of_images(manifest)) return none;
    std::string raw_config = TRY(fetch(manifest.config).context("fetching the configuration"));
    auto read = [&] {
      auto turn = parse_turn(raw_config.size());
      return parse_image_config(raw_config);
    }();
    ImageConfig config = TRY(std::move(read));
    if (config.platform.os.empty() || config.platform.architecture.empty() || config.platform.os == "unknown") return none;
    return std::optional(std::move(config.platform));
  }

  std::vector<ImageFacts::Image> images;

 private:
  Result<void> read_entry(const Descriptor& child, size_t depth) {
    if (child.is_attestation()) return {};
    if (is_index(child.media_type)) {
      if (!nested_.insert(child.digest).second) return {};
      std::string raw = TRY(fetch(child));
      return read_index(child, raw, depth + 1);
    }
    if (!is_manifest(child.media_type) || (!child.artifact_type.empty() && !is_image_config(child.artifact_type))) return {};
    std::optional<Platform> platform = child.platform;
    if (!platform || platform->os.empty() || platform->architecture.empty()) {
      auto resolved = resolve(child);
      // An entry whose manifest is gone runs nowhere.
      if (!resolved.ok() && resolved.error().code == Code::NotFound) return {};
      platform = TRY(std::move(resolved));
    }
    if (!platform || platform->os == "unknown") return {};
    if (!seen_.insert(key_of(*platform) + pack_digest(child.digest)).second) return {};
    if (images.size() >= kMaxIndexEntries) return Error{Code::Invalid, "it has more than " + std::to_string(kMaxIndexEntries) + " images"};
    images.push_back({std::move(*platform), child.digest});
    return {};
  }

  Result<std::optional<Platform>> resolve(const Descriptor& child) {
    std::string raw = TRY(fetch(child));
    return read_manifest(child, raw);
  }

  Result<std::string> fetch(const Descriptor& blob) {
    if (stop_.stop_requested()) return Error{Code::Cancelled, "cancelled"};
    if (++requests_ > kMaxIndexRequests) return Error{Code::Invalid, "more than " + std::to_string(kMaxIndexRequests) + " requests would be needed to know its platforms"};
    return read_blob(*repository_, blob, kMaxLookupBytes);
  }

  std::shared_ptr<Repository> repository_;
  std::stop_token stop_;
  std::set<Digest> nested_;
  std::set<std::string> seen_;
  size_t requests_ = 0;
};

ImageFacts facts_of(const Digest& digest, bool index, std::vector<ImageFacts::Image> images) {
  ImageFacts facts{{.digest = digest}, index, std::move(images)};
  std::set<std::string> seen;
  for (const ImageFacts::Image& image : facts.images) {
    if (seen.insert(key_of(image.platform)).second) facts.truth.platforms.push_back(image.platform);
  }
  return facts;
}

// The packed form: version, flags, digest, then per image its digest and its platform's strings; numbers as LEB128.
inline constexpr char kPackVersion = 1;

void put_number(std::string& to, uint64_t number) {
  for (; number >= 0x80; number >>= 7) to += static_cast<char>(0x80 | (number & 0x7f));
  to += static_cast<char>(number);
}

void put_text(std::string& to, std::string_view text) {
  put_number(to, text.size());
  to += text;
}

// Reads what the above wrote; after damage everything is empty and `good` is false.
struct Unpacker {
  std::string_view rest;
  bool good = true;

  uint64_t number() {
    uint64_t value = 0;
    for (int shift = 0; shift < 63; shift += 7) {
      if (rest.empty()) break;
      auto byte = static_cast<uint8_t>(rest.front());
      rest.remove_prefix(1);
      value |= uint64_t{byte & 0x7fu} << shift;
      if (byte < 0x80) return value;
    }
    good = false;
    return 0;
  }
  std::string_view bytes(uint64_t count) {
    if (count > rest.size()) {
      good = false;
      return {};
    }
    auto taken = rest.substr(0, count);
    rest.remove_prefix(count);
    return taken;
  }
  std::string text() { return std::string(bytes(number())); }
  std::optional<Digest> digest() {
    auto found = unpack_digest(bytes(rest.empty() ? 1 : rest.front() == 1 ? 65 : 33));
    good = good && found;
    return found;
  }
};

}  // namespace

Result<ImageFacts> fetch_facts(RegistryClient& client, const Reference& reference, std::stop_token stop) {
  Root root = TRY(client.resolve(reference, stop));
  Reader reader(client, reference, std::move(stop));
  if (is_index(root.descriptor.media_type)) {
    TRY(reader.read_index(root.descriptor, root.raw, 1).context(reference.familiar()));
    return facts_of(root.descriptor.digest, true, std::move(reader.images));
  }
  auto platform = TRY(reader.read_manifest(root.descriptor, root.raw).context(reference.familiar()));
  std::vector<ImageFacts::Image> images;
  if (platform) images.push_back({std::move(*platform), root.descriptor.digest});
  return facts_of(root.descriptor.digest, false, std::move(images));
}

std::string pack_digest(const Digest& digest) {
  std::string packed(1, digest.algorithm() == HashAlgorithm::Sha512 ? '\1' : '\0');
  const std::string& hex = digest.hex();
  auto value = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
  for (size_t i = 0; i + 1 < hex.size(); i += 2) packed += static_cast<char>(value(hex[i]) * 16 + value(hex[i + 1]));
  return packed;
}

std::optional<Digest> unpack_digest(std::string_view packed) {
  if (packed.size() == 33 && packed[0] == 0) return Digest::from_hex(HashAlgorithm::Sha256, to_hex(packed.substr(1)));
  if (packed.size() == 65 && packed[0] == 1) return Digest::from_hex(HashAlgorithm::Sha512, to_hex(packed.substr(1)));
  return std::nullopt;
}

std::string pack_facts(const ImageFacts& facts) {
  std::string packed = {kPackVersion, facts.is_index ? '\1' : '\0'};
  packed += pack_digest(*facts.truth.digest);
  put_number(packed, facts.images.size());
  for (const ImageFacts::Image& image : facts.images) {
    packed += pack_digest(image.manifest);
    const Platform& p = image.platform;
    for (const std::string* text : {&p.os, &p.architecture, &p.variant, &p.os_version}) put_text(packed, *text);
    put_number(packed, p.os_features.size());
    for (const std::string& feature : p.os_features) put_text(packed, feature);
  }
  return packed;
}

std::optional<ImageFacts> unpack_facts(std::string_view packed) {
  if (packed.size() < 2 || packed[0] != kPackVersion) return std::nullopt;
  bool index = packed[1] == 1;
  Unpacker in{packed.substr(2)};
  auto digest = in.digest();
  uint64_t count = in.number();
  if (!in.good || count > kMaxIndexEntries * kMaxIndexRequests) return std::nullopt;
  std::vector<ImageFacts::Image> images;
  for (uint64_t i = 0; i < count; ++i) {
    auto manifest = in.digest();
    Platform platform;
    for (std::string* text : {&platform.os, &platform.architecture, &platform.variant, &platform.os_version}) *text = in.text();
    uint64_t features = in.number();
    for (uint64_t f = 0; f < features && in.good; ++f) platform.os_features.push_back(in.text());
    if (!in.good) return std::nullopt;
    images.push_back({std::move(platform), std::move(*manifest)});
  }
  if (!in.good || !in.rest.empty()) return std::nullopt;
  return facts_of(*digest, index, std::move(images));
}

}  // namespace archway
