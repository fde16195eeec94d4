#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "kustomize/json_patch.h"
#include "kustomize/replacements.h"
#include "kustomize/strategic_merge.h"
#include "kustomize/transformers.h"

// An object and what a kustomization does to it, as three documents: object, patch, and members of a kustomization. Whatever they say,
// it ends, and what comes out can be read.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace archway;
  using namespace archway::kustomize;
  ValueArena arena;
  auto documents = parse_value_trees({reinterpret_cast<const char*>(data), size}, arena);
  if (!documents.ok() || documents->size() < 3 || !(*documents)[0].root->is_mapping()) return 0;
  const Value& patch = *(*documents)[1].root;
  const Value& changes = *(*documents)[2].root;
  Trees trees(arena);
  std::vector<Resource> resources = {Resource(*(*documents)[0].root)};
  auto patched = is_json_patch(patch) ? json_patch(*resources[0].object, patch, trees) : strategic_merge(*resources[0].object, patch, trees);
  if (patched.ok() && *patched && (*patched)->is_mapping()) resources[0].set(*patched);
  ImageParts parts;
  std::vector<std::string> wrong;
  change_images(changes["images"], {{"", "", "", "spec/a[]/b"}}, resources, trees, parts, wrong);
  change_replicas(changes["replicas"], resources, trees, wrong);
  if (const Value* space = changes.find("namespace")) set_namespace(*space, resources, trees);
  add_prefix(changes["namePrefix"].scalar(), resources, trees);
  for (const Value* entry : Trees::items(changes["replacements"])) (void)replace_fields(*entry, resources, trees).ok();
  std::vector<Variable> variables;
  for (const Value* entry : Trees::items(changes["vars"])) {
    auto variable = read_variable(*entry, resources);
    if (variable.ok()) variables.push_back(*variable);
  }
  expand_variables(variables, {}, resources, trees);
  if (auto target = Target::read(changes["target"]); target.ok()) (void)target->matches(*resources[0].object, resources[0].first(), resources[0].now);
  CHECK(to_json(json_of_value(*resources[0].object)).size() > 1);
  return 0;
}
