#include "build/run_image.h"

#include <unistd.h>

#include "base/fd.h"
#include "base/text.h"
#include "base/thread_pool.h"
#include "build/base_images.h"
#include "build/build_store.h"
#include "build/config_steps.h"
#include "build/lower_dirs.h"

namespace archway::build {

namespace {

// What runs: ENTRYPOINT and CMD, each replaced where the caller gave one. A new entry point drops the image's CMD, as docker does.
Result<std::vector<std::string>> command_of(const RunImageRequest& request, const ImageConfig& config) {
  std::vector<std::string> words = request.entrypoint ? *request.entrypoint : config.entrypoint.value_or(std::vector<std::string>{});
  std::vector<std::string> rest = request.arguments;
  if (rest.empty() && !request.entrypoint) rest = config.cmd.value_or(std::vector<std::string>{});
  words.insert(words.end(), rest.begin(), rest.end());
  if (words.empty()) return Error{Code::Invalid, request.image + ": the image names no program to run", "name one: archway run " + request.image + " PROGRAM"};
  return words;
}

std::vector<std::string> environment_of(const RunImageRequest& request, const ImageConfig& config) {
  std::vector<std::string> environment = config.env;
  std::string storage;
  if (!config.env_value("PATH", storage)) environment.push_back("PATH=" + std::string(kDefaultPath));
  for (const std::string& variable : request.environment) {
    auto [name, value] = cut(variable, '=');
    set_variable(environment, name, value.value_or(""));
  }
  return environment;
}

}  // namespace

Result<RanImage> run_image(const RunImageRequest& request, const RunOutput& output, Progress& progress, std::stop_token stop) {
  auto store = TRY(BuildStore::open(request.state_root));
  std::map<std::string, std::string> contexts;
  if (request.image.starts_with("oci-layout://")) contexts[request.image] = request.image;
  BaseImages images(request.registry, store->blobs, *store->results, {contexts, request.pull, request.warn}, progress, stop);
  auto image = TRY(images.resolve(request.image, request.platform.value_or(host_platform())));

  if (image->config.platform.os != "linux") return Error{Code::Unsupported, request.image + " is for " + image->config.platform.str() + ": only Linux programs can be run"};

  RunSpec spec;
  spec.arguments = TRY(command_of(request, image->config));
  spec.environment = environment_of(request, image->config);
  spec.working_directory = request.working_directory.value_or(image->config.working_dir.empty() ? "/" : image->config.working_dir);
  spec.user = request.user.value_or(image->config.user);
  spec.network = request.network;
  spec.mounts = request.mounts;
  spec.terminal = request.terminal;
  spec.architecture = image->config.platform.architecture;
  spec.variant = image->config.platform.variant;

  RuntimeOptions options = request.runtime;
  options.terminal = request.terminal && ::isatty(0) != 0;
  if (options.state_dir.empty()) options.state_dir = store->root() + "/runtime";
  auto runtime = TRY(Runtime::create(options));
  TRY(runtime->check_architecture(spec.architecture, spec.variant).context(request.image));
  // Past this line nothing but the registry and the disk can keep the program from running.
  std::vector<std::string> folders(image->layers.size());
  {
    auto task = progress.start("unpacking " + image->name);
    TRY(parallel_for(folders.size(), 2, [&](size_t i) -> Result<void> {
      const Layer& layer = image->layers[i];
      folders[i] = TRY(store->layers->unpacked(layer.diff_id, layer.blob, *layer.provider, task.get(), stop));
      return {};
    }));
  }
  std::vector<Digest> used;
  for (const Layer& layer : image->layers) used.push_back(layer.diff_id);
  TRY(store->results->touch(used, system_clock().now()));

  TempDir scratch = TRY(store->layers->scratch());
  spec.root = TRY(root_over(folders, scratch.path()));
  return RanImage{runtime->run(spec, output, stop)};
}

}  // namespace archway::build
