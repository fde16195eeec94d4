#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/progress.h"
#include "image/config.h"
#include "registry/client.h"
#include "runtime/runtime.h"

// `archway run`: a container from an image, by the machinery of RUN.
namespace archway::build {

struct RunImageRequest {
  std::string image;                        // a reference, oci-layout://FOLDER[:TAG]
  std::optional<Platform> platform = {};    // none: this machine's, or the only one that the image has
  std::vector<std::string> arguments = {};  // in place of the image's CMD
  std::optional<std::vector<std::string>> entrypoint = {};
  std::vector<std::string> environment = {};
  std::optional<std::string> working_directory = {}, user = {};
  std::vector<Mount> mounts = {};
  NetworkMode network = NetworkMode::Host;
  bool terminal = false;
  bool pull = false;
  std::string state_root;
  RuntimeOptions runtime = {};
  std::shared_ptr<RegistryClient> registry;
  std::function<void(const std::string&)> warn = {};
};

// How the program fared, or why it could not be started: the errors of Runtime::run().
struct RanImage {
  Result<RunResult> program;
};

// What is written in the container is gone afterwards. Fails where there is nothing to start: no such image, no layer, no emulator.
Result<RanImage> run_image(const RunImageRequest& request, const RunOutput& output, Progress& progress, std::stop_token stop);

}  // namespace archway::build
