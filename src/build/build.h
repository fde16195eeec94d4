#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/progress.h"
#include "build/image_export.h"
#include "build/output.h"
#include "build/secrets.h"
#include "net/http_client.h"
#include "registry/client.h"
#include "runtime/runtime.h"

namespace archway::build {

inline constexpr uint64_t kDefaultCacheBytes = 20'000'000'000;

struct BuildRequest {
  std::string context;                                  // a folder
  std::optional<std::string> dockerfile = {};           // a path (relative to here, as docker takes it); none: CONTEXT/Dockerfile
  std::optional<std::string> dockerfile_text = {};      // -f -: the text itself
  std::vector<Platform> platforms = {};                 // in order; empty: this machine's
  std::map<std::string, std::string> build_args = {};
  std::map<std::string, std::string> build_contexts = {};  // NAME -> folder, docker-image://..., oci-layout://...
  std::map<std::string, std::string> labels = {};
  std::string target = {};
  std::vector<std::string> tags = {};
  std::vector<Output> outputs = {};
  bool no_cache = false;
  bool pull = false;
  std::optional<Time> epoch = {};                       // SOURCE_DATE_EPOCH
  Confidences confidences = {};                         // --secret, --ssh

  std::string state_root;                               // cache, layers, blobs
  uint64_t cache_bytes = kDefaultCacheBytes;            // what the cache may keep
  RuntimeOptions runtime = {};
  std::shared_ptr<RegistryClient> registry;
  std::shared_ptr<HttpClient> http = {};                // ADD of URLs
  std::function<void(const std::string&)> warn = {};
  Sink* standard_output = nullptr;                      // for dest=-
};

struct BuildReport {
  Root root;                        // what the tags name: an index, or one image
  std::vector<BuiltImage> images;   // in the order of the platforms
  std::vector<std::string> names;   // canonical references that were pushed or written
};

// Builds all platforms as one graph, then writes the outputs; tags move last. Errors name file, line and column where
// a Dockerfile is at fault. Whatever fails leaves only cache behind.
Result<BuildReport> build_image(const BuildRequest& request, Progress& progress, std::stop_token stop);

}  // namespace archway::build
