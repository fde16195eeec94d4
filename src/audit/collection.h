#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "audit/finding.h"
#include "audit/pull_notes.h"
#include "format/value_tree.h"
#include "kube/node_affinity.h"
#include "kube/objects.h"
#include "kube/taint.h"
#include "registry/lookup.h"

// What was found in all that the user gave us, before anybody has been asked about it: who runs which images, and where that is written.
namespace archway::audit {

// A condition on a node's architecture (or a fixed node) that somebody wrote into a pod.
struct ArchClause {
  enum class Where : uint8_t { Selector, Required, Preferred } where = Where::Selector;
  size_t term = 0;                  // which of the nodeSelectorTerms
  bool legacy_label = false;        // beta.kubernetes.io/arch
  kube::Requirement requirement;    // of a selector: In with one value
  Place place;                      // the selector's member, or the expression
  Place key;                        // the label's name
};

// What decides where a pod may go.
struct PodPlacement {
  kube::Labels node_selector;
  kube::NodeAffinity affinity;
  std::vector<kube::Toleration> tolerations;
  std::vector<ArchClause> clauses;
  std::string node_name;
  bool windows = false;             // os.name or the os label
  std::string problem = {};         // the API would refuse it: nothing can be said about placement
};

// One template of pods, or a pod that nobody controls. Objects that others made from a template are not listed beside it.
struct Workload {
  Place place;                      // the pod's spec; object, kind and names are the workload's
  std::string hook;                 // "Helm hook pre-install"; "" for others
  std::string owner_kind, owner_name;  // who controls the object; "" where nobody
  uint64_t pods = 0;                // seen running, or wanted (replicas)
  bool is_pod = false;              // seen as pods only
  PodPlacement placement;
};

struct ImageUse {
  enum class Role : uint8_t { Container, Init, Sidecar, Ephemeral, Volume, Stage, Job, Mention };
  enum class Part : uint8_t { Whole, Tag, Repository };  // what of the reference stands at `place`
  std::string image;                // the whole reference as it would be pulled
  Place place;
  Role role = Role::Container;
  Part part = Part::Whole;
  Confidence confidence = Confidence::Certain;
  std::string name;                 // of the container, stage or service
  std::optional<size_t> workload;   // in Collection::workloads
  size_t keychain = 0;              // in Collection::keychains
  uint32_t pull_note = 0;           // in Collection::pull_notes, until all is settled
  std::vector<Platform> pinned;     // `FROM --platform=linux/amd64`, compose's platform: it is pulled for these, whatever is audited
  bool builder = false;             // runs on the machine that builds, whatever it builds for
  std::string skip;                 // why there is nothing to judge; "" where there is
  uint64_t count = 1;               // objects that say so
};
std::string_view role_name(ImageUse::Role role);

// What was not looked at, and why.
struct Unseen {
  std::string what, why;
  bool operator==(const Unseen&) const = default;
};

struct Collection {
  std::vector<Workload> workloads;
  std::vector<ImageUse> uses;
  std::vector<Finding> findings;    // seen without asking a registry: a selector that has no effect, a Dockerfile's default
  std::vector<Unseen> unseen;       // could not be read: the audit is not complete
  std::vector<Unseen> skipped;      // left out on purpose, and said so
  std::vector<Keychain> keychains = {Keychain{}};
  PullNotes pull_notes;             // secrets that were read among the rest
  std::vector<kube::Node> nodes;
  std::set<std::string> built;      // names of images that are built from what was given: repository without tag
  // ReplicaSets and Jobs by "kind namespace/name", with who controls them: what a pod belongs to in the end.
  std::map<std::string, std::pair<std::string, std::string>> controllers;
  uint64_t files = 0, objects = 0, pods = 0;

  size_t keychain(Keychain keychain);   // its place, added where it is new
  // Appends, with indexes moved along.
  void merge(Collection other);
  void merge(std::vector<Collection> others);   // in their order
  // When all is there: pods and ReplicaSets are joined to what made them, equal uses become one, built images are told apart.
  void settle();

 private:
  void append(Collection& other);
  void resolve_pull_notes();
};

// "Deployment shop/web"
std::string object_name(std::string_view kind, std::string_view name_space, std::string_view name);

}  // namespace archway::audit
