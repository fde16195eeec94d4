#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "kustomize/resource.h"
#include "kustomize/trees.h"

// What a kustomization changes besides its patches, each as kustomize does it: as far as it decides which image runs where, and by which
// name and labels objects are found by what comes later.
namespace archway::kustomize {

// What of an image stands at a place in `images:`. By the address where that begins.
enum class ImagePart : uint8_t { Tag, Repository };
using ImageParts = std::map<uint32_t, ImagePart>;

// `images:` (or imageTags:): names are matched as regular expressions, and images under containers and initContainers of any kind are
// changed, and those that `fields` names. Messages of entries that are wrong go to `wrong`.
void change_images(const Value& images, const std::vector<FieldSpec>& fields, std::vector<Resource>& resources, Trees& trees, ImageParts& parts, std::vector<std::string>& wrong);

void change_replicas(const Value& replicas, std::vector<Resource>& resources, Trees& trees, std::vector<std::string>& wrong);
void set_namespace(const Value& name_space, std::vector<Resource>& resources, Trees& trees);
void add_prefix(std::string_view prefix, std::vector<Resource>& resources, Trees& trees);
void add_suffix(std::string_view suffix, std::vector<Resource>& resources, Trees& trees);
// Members of metadata: "labels" or "annotations".
void add_metadata(std::string_view member, const Value& pairs, std::vector<Resource>& resources, Trees& trees);

// each(value) gives what becomes of every value that the path leads to; lists on the way are gone through. Null where nothing changes.
template <class F>
const Value* change_field(const Value& at, std::string_view path, Trees& trees, const F& each, size_t depth = 0);

// As `name` it would be after the change; exposed for its test.
struct ImageText {
  std::string name, tag, digest;
  static ImageText split(std::string_view image);
  std::string str() const;
};

template <class F>
const Value* change_field(const Value& at, std::string_view path, Trees& trees, const F& each, size_t depth) {
  if (depth > kMaxDepthMet || !trees.spend()) return nullptr;
  if (at.is_sequence()) {
    std::vector<const Value*> items = Trees::items(at);
    bool changed = false;
    for (const Value*& item : items) {
      if (const Value* made = change_field(*item, path, trees, each, depth + 1)) item = made, changed = true;
    }
    return changed ? trees.sequence(&at, items) : nullptr;
  }
  if (path.empty()) return each(at);
  size_t slash = path.find('/');
  std::string_view name = path.substr(0, slash), rest = slash == path.npos ? std::string_view() : path.substr(slash + 1);
  if (name.ends_with("[]")) name.remove_suffix(2);
  const Value* member = at.is_mapping() ? at.find(name) : nullptr;
  const Value* made = member ? change_field(*member, rest, trees, each, depth + 1) : nullptr;
  return made ? trees.with(at, name, made) : nullptr;
}

}  // namespace archway::kustomize
