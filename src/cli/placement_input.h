#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "cli/command.h"
#include "kube/client.h"
#include "scheduler/inventory.h"
#include "scheduler/profile.h"
#include "scheduler/run_verdict.h"

// What placing pods begins with: a cluster from files or as it lives, whose scheduler's rules count, what the images hold.
namespace archway::cli {

// An image that was asked for in vain.
struct UnknownImage {
  std::string image, why;
};

struct PlacementInput {
  scheduler::Inventory inventory;
  scheduler::Profile profile;
  scheduler::ImageKnowledge images;
  std::shared_ptr<kube::Client> cluster;  // null where files were read
  std::vector<UnknownImage> unknown = {}; // by name; only where images were looked up
  std::vector<std::string> notes = {};
};

// placement_flags() and those that find a live cluster, look images up (--look-up, on by default for a live cluster; --offline) and
// reach registries.
std::vector<Flag> placement_input_flags();
// The live cluster that the flags or, without any, the environment name; wrong usage where there is none. Profile and notes of `input`
// follow its version, unless --scheduler-version is given.
Result<void> connect_live(const std::string& verb, const Arguments& arguments, const Context& context, PlacementInput& input);
// `files` empty: the live cluster. What is known of images is what --images and --assume say.
Result<PlacementInput> load_placement_input(const std::string& verb, const std::vector<std::string>& files, const Arguments& arguments, const Context& context);

// Images, and of each some pods ("ns/name") that pull it: theirs are the pull secrets that are tried where a registry refuses.
using ImageUsers = std::map<std::string, std::vector<std::string>>;
void add_images(const kube::Pod& pod, ImageUsers& images);
// Of pods that are there, and of those that may come: DaemonSets on new nodes, and what is about to be applied.
ImageUsers images_of(const scheduler::Inventory& inventory, const std::vector<Json>& manifests);
// And of every workload, whether it has pods or not.
ImageUsers images_of_workloads(const scheduler::Inventory& inventory);
// Asks registries for those that `input` knows nothing of, if the flags (and, without one, the kind of input) say so.
Result<void> look_up_images(const Arguments& arguments, const Context& context, const ImageUsers& wanted, PlacementInput& input);
// Some lines on standard error about images that could not be looked up.
void tell_unknown_images(const PlacementInput& input, const Context& context);
Json unknown_images_json(const PlacementInput& input);

}  // namespace archway::cli
