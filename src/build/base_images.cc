#include "build/base_images.h"

#include <algorithm>

#include "base/text.h"
#include "build/local_first.h"
#include "image/layout.h"

namespace archway::build {

BaseImages::BaseImages(std::shared_ptr<RegistryClient> client, std::shared_ptr<BlobStore> store, ResultCache& cache, BaseImageOptions options,
                       Progress& progress, std::stop_token stop)
    : client_(std::move(client)), store_(std::move(store)), cache_(cache), options_(std::move(options)), progress_(progress), stop_(std::move(stop)) {}

// A named context stands for an image under the name as written, or under any spelling of the same reference.
std::optional<std::string> BaseImages::named_context(const std::string& name) const {
  auto found = options_.image_contexts.find(name);
  if (found != options_.image_contexts.end()) return found->second;
  auto wanted = Reference::parse(name);
  if (!wanted.ok()) return std::nullopt;
  for (const auto& [known, url] : options_.image_contexts) {
    auto reference = Reference::parse(known);
    if (reference.ok() && *reference == *wanted) return url;
  }
  return std::nullopt;
}

// What the reference names now. A tag costs one HEAD; a digest that is known costs nothing.
Result<Root> BaseImages::current_root(const Reference& reference, Provider& provider) {
  std::string name = reference.str();
  auto known = TRY(cache_.find_reference(name));
  auto from_store = [&](const Descriptor& descriptor) -> Result<Root> {
    std::string raw = TRY(read_blob(provider, descriptor, kMaxManifestBytes));
    return Root{descriptor, std::move(raw)};
  };
  if (reference.digest() && known && store_->has(known->digest)) return from_store(*known);
  if (known && store_->has(known->digest)) {
    auto head = client_->head(reference, stop_);
    if (head.ok() && head->digest == known->digest) return from_store(*known);
    if (!head.ok() && head.error().code == Code::Unavailable && !options_.pull) {
      if (options_.warn) options_.warn("cannot ask for " + name + " (" + head.error().message + "); using what it was at an earlier build");
      return from_store(*known);
    }
    if (!head.ok()) return std::move(head).error();
  }
  Root root = TRY(client_->resolve(reference, stop_));
  TRY(store_->put_bytes(root.descriptor.media_type, root.raw));
  TRY(cache_.store_reference(name, root.descriptor));
  return root;
}

Result<BaseImages::Source> BaseImages::open_reference(const std::string& name) {
  Reference reference = TRY(Reference::parse(name));
  auto provider = std::make_shared<LocalFirstProvider>(store_, client_->repository(reference));
  Root root = TRY(current_root(reference, *provider));
  std::string shown = reference.digest() ? reference.str() : reference.str() + "@" + root.descriptor.digest.str();
  return Source{provider, std::move(root), shown};
}

// oci-layout://FOLDER[:TAG][@DIGEST]
Result<BaseImages::Source> BaseImages::open_layout(const std::string& url) {
  std::string rest = url.substr(std::string_view("oci-layout://").size());
  std::string digest, tag;
  if (size_t at = rest.rfind('@'); at != std::string::npos) {
    digest = rest.substr(at + 1);
    rest.resize(at);
  }
  if (size_t colon = rest.rfind(':'); colon != std::string::npos && rest.find('/', colon) == std::string::npos) {
    tag = rest.substr(colon + 1);
    rest.resize(colon);
  }
  auto layout = TRY(Layout::open(rest));
  if (digest.empty()) {
    auto root = layout->resolve(tag);
    // A folder of one image needs no tag, whatever the image is called there.
    if (!root.ok() && tag == "latest") root = layout->resolve("");
    if (!root.ok()) return std::move(root).error();
    return Source{layout, std::move(*root), url};
  }
  Digest wanted = TRY(Digest::parse(digest));
  auto size = layout->blobs().size_of(wanted);
  if (!size) return Error{Code::NotFound, url + ": there is no such blob"};
  std::string raw = TRY(read_blob(*layout, Descriptor{"", wanted, *size}, kMaxManifestBytes));
  std::string type = TRY(detect_media_type(raw).context(url));
  return Source{layout, Root{Descriptor{type, wanted, *size}, std::move(raw)}, url};
}

Result<BaseImages::Source> BaseImages::open_source(const std::string& name) {
  {
    std::lock_guard lock(mutex_);
    if (auto found = sources_.find(name); found != sources_.end()) return found->second;
  }
  auto task = progress_.start("[internal] load metadata for " + name);
  auto open = [&]() -> Result<Source> {
    auto context = named_context(name);
    if (!context) return open_reference(name);
    if (context->starts_with("docker-image://")) return open_reference(context->substr(15));
    return open_layout(*context);
  };
  auto source = open();
  if (!source.ok()) {
    task->failed(source.error().message);
    return source;
  }
  task->done();
  std::lock_guard lock(mutex_);
  return sources_.try_emplace(name, std::move(*source)).first->second;
}

Result<std::shared_ptr<const BaseImage>> BaseImages::resolve(const std::string& name, const Platform& platform) {
  std::string key = name + " " + platform.str();
  {
    std::lock_guard lock(mutex_);
    if (auto found = images_.find(key); found != images_.end()) return found->second;
  }
  Source source = TRY(open_source(name));
  ChosenImage chosen = TRY(choose_image(*source.provider, source.root, platform).context(name));
  ImageConfig config = TRY(parse_image_config(chosen.raw_config).context(name));
  if (!config.platform.architecture.empty() && !platform_matches(platform, config.platform)) {
    return Error{Code::NotFound, name + ": " + explain_no_match(platform, {config.platform})};
  }
  if (config.diff_ids.size() != chosen.manifest.layers.size()) {
    return Error{Code::Invalid, name + ": the configuration names " + std::to_string(config.diff_ids.size()) + " layers, the manifest " +
                                    std::to_string(chosen.manifest.layers.size())};
  }
  auto image = std::make_shared<BaseImage>(BaseImage{source.name, chosen.descriptor.digest, std::move(config), {}});
  for (size_t i = 0; i < chosen.manifest.layers.size(); ++i) {
    image->layers.push_back(Layer{image->config.diff_ids[i], chosen.manifest.layers[i], source.provider});
  }
  std::lock_guard lock(mutex_);
  return images_.try_emplace(key, std::move(image)).first->second;
}

}  // namespace archway::build
