#include <algorithm>

#include "base/text.h"
#include "format/compress.h"
#include "image/archive.h"
#include "image/config.h"
#include "image/manifest.h"

namespace archway {

namespace {

// Keeps the archive's file open as long as something of it is read.
class HeldSource final : public Source {
 public:
  HeldSource(std::shared_ptr<TarIndex> tar, const TarIndex::Entry& entry) : tar_(std::move(tar)), inner_(tar_->source(entry)) {}
  Result<size_t> read(std::span<std::byte> into) override { return inner_->read(into); }
  Result<uint64_t> skip(uint64_t count) override { return inner_->skip(count); }

 private:
  std::shared_ptr<TarIndex> tar_;
  std::unique_ptr<Source> inner_;
};

std::string blob_path(const Digest& digest) { return "blobs/" + std::string(digest.algorithm_name()) + "/" + digest.hex(); }

std::string_view layer_type(Codec codec) {
  if (codec == Codec::Gzip) return media_type::kOciLayerGzip;
  if (codec == Codec::Zstd) return media_type::kOciLayerZstd;
  return media_type::kOciLayerTar;
}

}  // namespace

Result<std::shared_ptr<OciArchive>> OciArchive::open(const std::string& path, const std::string& temporary) {
  auto tar = TRY(TarIndex::open(path, temporary));
  if (!tar->find("index.json").ok()) {
    bool docker = tar->find("manifest.json").ok();
    return Error{Code::Invalid, path + " is not an OCI archive: it has no index.json", docker ? "it looks like what docker save writes: docker-archive:" + path : ""};
  }
  return std::shared_ptr<OciArchive>(new OciArchive(std::move(tar)));
}

Result<std::vector<Descriptor>> OciArchive::entries() const {
  std::string raw = TRY(tar_->read("index.json", kMaxLayoutIndexBytes));
  return parse_layout_index(raw).context(tar_->name());
}

Result<Root> OciArchive::resolve(std::string_view name) {
  auto known = TRY(entries());
  Descriptor entry = TRY(find_in_layout(known, name, tar_->name()));
  std::string raw = TRY(read_blob(*this, entry, kMaxManifestBytes).context(tar_->name()));
  return Root{Descriptor{entry.media_type, entry.digest, entry.size}, std::move(raw)};
}

Result<std::unique_ptr<Source>> OciArchive::open(const Descriptor& blob) {
  TarIndex::Entry entry = TRY(tar_->find(blob_path(blob.digest)));
  return std::unique_ptr<Source>(std::make_unique<HeldSource>(tar_, entry));
}

Result<std::shared_ptr<DockerArchive>> DockerArchive::open(const std::string& path, const std::string& temporary) {
  auto tar = TRY(TarIndex::open(path, temporary));
  auto raw = tar->read("manifest.json", kMaxArchiveManifestBytes);
  if (!raw.ok()) {
    if (raw.error().code != Code::NotFound) return std::move(raw).error();
    bool oci = tar->find("index.json").ok();
    return Error{Code::Invalid, path + " is not a docker archive: it has no manifest.json", oci ? "it looks like an OCI archive: oci-archive:" + path : ""};
  }
  Json json = TRY(parse_json(*raw).context("reading manifest.json in " + path));
  auto archive = std::shared_ptr<DockerArchive>(new DockerArchive(std::move(tar)));
  for (const Json& item : json.items()) {
    Image image{item["Config"].string(), item["RepoTags"].strings(), item["Layers"].strings()};
    if (image.config.empty() || image.layers.size() != item["Layers"].size() || image.layers.size() > kMaxLayers) {
      return Error{Code::Invalid, "manifest.json in " + path + " does not say which configuration and layers make up an image"};
    }
    archive->images_.push_back(std::move(image));
  }
  if (archive->images_.empty()) return Error{Code::NotFound, path + " holds no image"};
  return archive;
}

std::vector<std::string> DockerArchive::names() const {
  std::vector<std::string> names;
  for (const Image& image : images_) names.insert(names.end(), image.tags.begin(), image.tags.end());
  return names;
}

Result<const DockerArchive::Image*> DockerArchive::find(std::string_view name) const {
  std::string known;
  for (const std::string& tag : names()) known += (known.empty() ? "there are " : ", ") + tag;
  if (name.empty()) {
    if (images_.size() == 1) return &images_[0];
    return Error{Code::Invalid, tar_->name() + " holds " + std::to_string(images_.size()) + " images: say which one", known};
  }
  if (name.starts_with('@')) {
    auto number = parse_uint(name.substr(1));
    if (number && *number < images_.size()) return &images_[*number];
    return Error{Code::NotFound, tar_->name() + " holds " + std::to_string(images_.size()) + " images, counted from @0"};
  }
  Reference wanted = TRY(Reference::parse(name));
  for (const Image& image : images_) {
    for (const std::string& tag : image.tags) {
      auto reference = Reference::parse(tag);
      if (reference.ok() && *reference == wanted) return &image;
    }
  }
  return Error{Code::NotFound, tar_->name() + " holds no image called " + wanted.familiar(), known};
}

// A layer as it lies in the file. Named by digest (newer dockers, BuildKit), that is its digest; plain, its diff_id is;
// a packed one has to be hashed.
Result<Descriptor> DockerArchive::layer_of(const std::string& path, const Digest& diff_id) {
  TarIndex::Entry entry = TRY(tar_->find(path));
  std::byte first[6];
  auto head = tar_->source(entry);
  size_t n = TRY(read_full(*head, first));
  Codec codec = detect_codec(Bytes(first, n));
  if (codec != Codec::None && codec != Codec::Gzip && codec != Codec::Zstd) {
    return Error{Code::Unsupported, tar_->name() + ": layer " + path + " is packed with something other than gzip and zstd"};
  }
  Digest digest = diff_id;
  constexpr std::string_view kBlobs = "blobs/sha256/";
  if (path.starts_with(kBlobs)) {
    digest = TRY(Digest::parse("sha256:" + path.substr(kBlobs.size())).context(tar_->name()));
  } else if (codec != Codec::None) {
    HashingSink hash(nullptr);
    auto bytes = tar_->source(entry);
    TRY(copy(*bytes, hash));
    digest = Digest::from_hex(HashAlgorithm::Sha256, hash.hex());
  }
  known_.lock()->in_file.insert_or_assign(digest, entry);
  return Descriptor{std::string(layer_type(codec)), digest, entry.size};
}

Result<Root> DockerArchive::manifest_of(const Image& image) {
  std::string raw_config = TRY(tar_->read(image.config, kMaxManifestBytes));
  ImageConfig config = TRY(parse_image_config(raw_config).context(tar_->name()));
  if (config.diff_ids.size() != image.layers.size()) {
    return Error{Code::Invalid, tar_->name() + ": the configuration knows " + std::to_string(config.diff_ids.size()) + " layers, manifest.json " + std::to_string(image.layers.size())};
  }
  Manifest manifest{std::string(media_type::kOciManifest), descriptor_of(media_type::kOciConfig, raw_config), {}};
  for (size_t i = 0; i < image.layers.size(); ++i) manifest.layers.push_back(TRY(layer_of(image.layers[i], config.diff_ids[i])));
  std::string raw = write_manifest(manifest);
  Root root{descriptor_of(media_type::kOciManifest, raw), raw};
  auto known = known_.lock();
  known->made.insert_or_assign(manifest.config.digest, std::move(raw_config));
  known->made.insert_or_assign(root.descriptor.digest, root.raw);
  return root;
}

Result<Root> DockerArchive::resolve(std::string_view name) {
  const Image* image = TRY(find(name));
  return manifest_of(*image);
}

Result<std::unique_ptr<Source>> DockerArchive::open(const Descriptor& blob) {
  auto known = known_.lock();
  if (auto made = known->made.find(blob.digest); made != known->made.end()) return std::unique_ptr<Source>(std::make_unique<StringSource>(made->second));
  auto found = known->in_file.find(blob.digest);
  if (found == known->in_file.end()) return Error{Code::NotFound, "blob " + blob.digest.str() + " is not in " + tar_->name()};
  return std::unique_ptr<Source>(std::make_unique<HeldSource>(tar_, found->second));
}

}  // namespace archway
