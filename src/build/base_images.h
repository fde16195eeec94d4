#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>

#include "base/progress.h"
#include "build/graph.h"
#include "build/result_cache.h"
#include "image/copy.h"
#include "registry/client.h"

namespace archway::build {

struct BaseImageOptions {
  std::map<std::string, std::string> image_contexts = {};  // NAME -> docker-image://... or oci-layout://...
  bool pull = false;                                       // a registry must answer; else an earlier answer serves when it does not
  std::function<void(const std::string&)> warn = {};
};

// Resolves FROM: one HEAD per tag and build; manifests and configurations are kept by digest and not fetched again.
// Layers stay where they are until somebody needs their files. Thread safe.
class BaseImages {
 public:
  BaseImages(std::shared_ptr<RegistryClient> client, std::shared_ptr<BlobStore> store, ResultCache& cache, BaseImageOptions options,
             Progress& progress, std::stop_token stop);
  Result<std::shared_ptr<const BaseImage>> resolve(const std::string& name, const Platform& platform);

 private:
  struct Source {
    std::shared_ptr<Provider> provider;
    Root root;
    std::string name;
  };
  Result<Source> open_source(const std::string& name);
  Result<Source> open_reference(const std::string& name);
  Result<Source> open_layout(const std::string& url);
  Result<Root> current_root(const Reference& reference, Provider& provider);
  std::optional<std::string> named_context(const std::string& name) const;

  std::shared_ptr<RegistryClient> client_;
  std::shared_ptr<BlobStore> store_;
  ResultCache& cache_;
  BaseImageOptions options_;
  Progress& progress_;
  std::stop_token stop_;
  std::mutex mutex_;
  std::map<std::string, Source> sources_;
  std::map<std::string, std::shared_ptr<const BaseImage>> images_;
};

}  // namespace archway::build
