#include "cli/placement_input.h"

#include <algorithm>
#include <map>
#include <set>

#include "base/text.h"
#include "base/thread_pool.h"
#include "cli/cluster_files.h"
#include "cli/cluster_live.h"
#include "cli/image_lookup.h"
#include "kube/pull_secrets.h"
#include "scheduler/profile_reader.h"

namespace archway::cli {

namespace {

using scheduler::Inventory;

constexpr size_t kUnknownLines = 10;       // on standard error; --json has all
constexpr size_t kSecretReaders = 8;       // requests to the API server at once
constexpr size_t kPodsPerImage = 3;        // whose pull secrets are tried for one image
constexpr std::string_view kOldestRules = "1.34", kNewestRules = "1.36";

void add_images(const kube::PodSpec& spec, const std::string& pod, ImageUsers& images) {
  for (const auto* list : {&spec.init_containers, &spec.containers}) {
    for (const kube::Container& container : *list) {
      if (container.image.empty()) continue;
      auto& users = images[container.image];
      if (!pod.empty() && users.size() < kPodsPerImage) users.push_back(pod);
    }
  }
}

// With the secrets of the pods that pull it.
Result<ImageLookup::Facts> look_up_as_pods_do(ImageLookup& lookup, kube::Client& cluster, const std::string& image, const std::vector<std::string>& pods, Error refused,
                                              const std::stop_token& stop) {
  for (const std::string& key : pods) {
    auto [name_space, name] = cut(key, '/');
    auto pod = cluster.get(kube::resources::pods(), std::string(name_space), std::string(name.value_or("")), stop);
    if (!pod.ok()) continue;
    auto secrets = kube::pull_secrets_of(cluster, std::string(name_space), (*pod)["spec"], stop);
    if (!secrets.ok()) continue;
    if (secrets->docker_configs.empty()) {
      if (!secrets->missing.empty()) refused.message += "; pull secret " + secrets->missing.front();
      continue;
    }
    auto facts = lookup.look_up(image, Keychain{secrets->docker_configs}, {}, stop);
    if (facts.ok() || facts.error().code != Code::Unauthorized) return facts;
  }
  return refused;
}

// The rules of the cluster's own version, or the nearest that is known.
Result<void> take_version_of(kube::Client& cluster, const Context& context, PlacementInput& input) {
  std::string version = TRY(cluster.server_version(context.stop).context("asking the cluster for its version"));
  auto known = scheduler::parse_scheduler_version(version);
  if (!known.ok()) {
    std::string_view text = version;
    if (text.starts_with("v1.")) text.remove_prefix(3);
    uint64_t minor = parse_uint(text.substr(0, text.find_first_not_of("0123456789"))).value_or(0);
    std::string_view nearest = minor > 36 ? kNewestRules : kOldestRules;
    known = scheduler::parse_scheduler_version(nearest);
    input.notes.push_back("the cluster runs " + version + "; the scheduler's rules are those of " + std::string(nearest) + ", the nearest version that is known");
  }
  input.profile.version_minor = TRY(std::move(known));
  return {};
}

Result<std::shared_ptr<kube::Client>> live_cluster(const std::string& verb, const Arguments& arguments, const Context& context) {
  auto cluster = connect_cluster(arguments, context);
  bool asked = arguments.has("kubeconfig") || arguments.has("context");
  if (!cluster.ok() && cluster.error().code == Code::NotFound && !asked) {
    return usage_error("archway " + verb + ": which cluster? Give the files that kubectl get -A -o json wrote, or --kubeconfig (" + cluster.error().message + ")");
  }
  return cluster;
}

}  // namespace

std::vector<Flag> placement_input_flags() {
  std::vector<Flag> flags = placement_flags();
  for (Flag& flag : live_cluster_flags()) flags.push_back(std::move(flag));
  flags.push_back({"look-up", 0, Flag::Kind::Bool, "", "ask registries about images that --images does not name (a live cluster: unless --look-up=false)"});
  flags.push_back({"offline", 0, Flag::Kind::Bool, "", "look images up in the cache only"});
  for (Flag& flag : registry_flags()) flags.push_back(std::move(flag));
  return flags;
}

Result<PlacementInput> load_placement_input(const std::string& verb, const std::vector<std::string>& files, const Arguments& arguments, const Context& context) {
  bool named = arguments.has("kubeconfig") || arguments.has("context");
  if (!files.empty() && named) return usage_error("archway " + verb + ": either files or a live cluster, not both");
  PlacementInput input;
  input.profile = TRY(placement_profile(arguments));
  input.images = TRY(placement_images(arguments));
  if (files.empty()) {
    TRY(connect_live(verb, arguments, context, input));
    input.inventory = TRY(load_live_inventory(*input.cluster, context.stop));
  } else {
    input.inventory = TRY(load_inventory(files));
  }
  return input;
}

void add_images(const kube::Pod& pod, ImageUsers& images) { add_images(*pod.spec, pod.meta.key(), images); }

ImageUsers images_of_workloads(const Inventory& inventory) {
  ImageUsers images = images_of(inventory, {});
  for (const kube::Workload& workload : inventory.workloads) {
    if (workload.pod) add_images(*workload.pod->spec, "", images);
  }
  return images;
}

Result<void> connect_live(const std::string& verb, const Arguments& arguments, const Context& context, PlacementInput& input) {
  input.cluster = TRY(live_cluster(verb, arguments, context));
  if (!arguments.has("scheduler-version")) TRY(take_version_of(*input.cluster, context, input));
  return {};
}

ImageUsers images_of(const Inventory& inventory, const std::vector<Json>& manifests) {
  ImageUsers images;
  for (const scheduler::Pod& pod : inventory.pods) {
    if (!pod.finished()) add_images(pod, images);
  }
  Inventory coming;
  for (const Json& object : manifests) coming.add(object);
  for (const scheduler::Pod& pod : coming.pods) add_images(*pod.spec, "", images);
  for (const kube::Workload& workload : coming.workloads) {
    if (workload.pod) add_images(*workload.pod->spec, "", images);
  }
  for (const kube::Workload& workload : inventory.workloads) {
    if (workload.kind == "DaemonSet" && workload.pod) add_images(*workload.pod->spec, "", images);
  }
  return images;
}

Result<void> look_up_images(const Arguments& arguments, const Context& context, const ImageUsers& wanted, PlacementInput& input) {
  bool look_up = arguments.one("look-up") ? arguments.has("look-up") : input.cluster != nullptr;
  if (!look_up) return {};
  std::vector<std::string> names;
  for (const auto& [image, users] : wanted) {
    if (!input.images.truths.images.contains(image)) names.push_back(image);
  }
  auto lookup = TRY(make_image_lookup(arguments, context));
  auto results = lookup->look_up_all(names, {}, {}, context.stop);
  if (context.stop.stop_requested()) return Error{Code::Cancelled, "cancelled"};
  if (input.cluster && !arguments.has("offline")) {
    std::vector<size_t> refused;
    for (size_t i = 0; i < results.size(); ++i) {
      if (!results[i].ok() && results[i].error().code == Code::Unauthorized && !wanted.at(names[i]).empty()) refused.push_back(i);
    }
    TRY(parallel_for(refused.size(), kSecretReaders, [&](size_t n) -> Result<void> {
      size_t i = refused[n];
      results[i] = look_up_as_pods_do(*lookup, *input.cluster, names[i], wanted.at(names[i]), results[i].error(), context.stop);
      return {};
    }));
  }
  for (size_t i = 0; i < results.size(); ++i) {
    if (results[i].ok()) {
      input.images.truths.images[names[i]] = (*results[i])->truth;
    } else {
      input.unknown.push_back({names[i], results[i].error().message});
    }
  }
  return {};
}

void tell_unknown_images(const PlacementInput& input, const Context& context) {
  for (size_t i = 0; i < input.unknown.size() && i < kUnknownLines; ++i) context.err("archway: nothing is known of " + input.unknown[i].image + ": " + input.unknown[i].why + "\n");
  if (input.unknown.size() > kUnknownLines) context.err("archway: and of " + std::to_string(input.unknown.size() - kUnknownLines) + " more images\n");
}

Json unknown_images_json(const PlacementInput& input) {
  Json list = Json::array();
  for (const UnknownImage& each : input.unknown) list.push(Json::object({{"image", each.image}, {"why", each.why}}));
  return list;
}

}  // namespace archway::cli
