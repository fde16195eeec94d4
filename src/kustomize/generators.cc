#include "kustomize/generators.h"

#include <algorithm>

#include "base/text.h"

namespace archway::kustomize {

namespace {

std::string_view base_name(std::string_view path) { return path.substr(path.rfind('/') == path.npos ? 0 : path.rfind('/') + 1); }

std::string_view unquoted(std::string_view text) {
  if (text.size() > 1 && (text.front() == '"' || text.front() == '\'') && text.back() == text.front()) return text.substr(1, text.size() - 2);
  return text;
}

// KEY=value lines; the value's place is the file's.
void add_env_file(const Value& content, std::vector<Member>& data, Trees& trees) {
  for (const std::string& line : split(content.scalar(), '\n')) {
    auto [key, value] = cut(trim(line), '=');
    if (key.empty() || key.starts_with('#') || !value) continue;
    data.push_back({trees.string(key, nullptr), trees.blurred(*trees.string(*value, &content))});
  }
}

}  // namespace

Generated generate_config_map(const Value& entry, const std::function<std::string(std::string_view)>& path, Texts& texts, Trees& trees) {
  Generated generated;
  generated.behavior = std::string(entry["behavior"].scalar());
  std::vector<Member> data;
  auto content = [&](std::string_view name) -> const Value* {
    auto read = texts.content(path(name));
    if (!read.ok()) generated.wrong.push_back(read.error().message);
    return read.ok() ? *read : nullptr;
  };
  for (const Value* item : Trees::items(entry["literals"])) {
    auto [key, value] = cut(item->scalar(), '=');
    if (value) data.push_back({trees.string(key, nullptr), trees.blurred(*trees.string(unquoted(*value), &item->followed()))});
  }
  for (const Value* item : Trees::items(entry["files"])) {
    auto [key, file] = cut(item->scalar(), '=');
    std::string_view name = file ? *file : item->scalar();
    if (const Value* text = content(name)) data.push_back({trees.string(file ? key : base_name(name), nullptr), text});
  }
  std::vector<const Value*> envs = Trees::items(entry["envs"]);
  if (const Value* one = entry.find("env")) envs.push_back(one);
  for (const Value* item : envs) {
    if (const Value* text = content(item->scalar())) add_env_file(*text, data, trees);
  }
  auto text = [&](std::string_view value) { return trees.string(value, nullptr); };
  std::vector<Member> metadata = {{text("name"), trees.string(entry["name"].scalar(), entry.find("name"))}};
  if (const Value* space = entry.find("namespace")) metadata.push_back({text("namespace"), space});
  for (std::string_view member : {"labels", "annotations"}) {
    if (const Value* pairs = entry["options"].find(member)) metadata.push_back({text(member), pairs});
  }
  generated.object = trees.mapping(nullptr, {{text("apiVersion"), text("v1")}, {text("kind"), text("ConfigMap")}, {text("metadata"), trees.mapping(nullptr, metadata)}, {text("data"), trees.mapping(nullptr, data)}});
  return generated;
}

Result<void> absorb(Generated generated, std::vector<Resource>& resources, Trees& trees) {
  Resource fresh(*generated.object);
  auto old = std::find_if(resources.begin(), resources.end(), [&](const Resource& each) { return each.ever_was(fresh.now); });
  bool changes = generated.behavior == "merge" || generated.behavior == "replace";
  if (old == resources.end()) {
    if (changes) return Error{Code::NotFound, fresh.now.str() + " is not there, so the generator cannot " + generated.behavior + " it"};
    resources.push_back(std::move(fresh));
    return {};
  }
  if (!changes) return Error{Code::Exists, fresh.now.str() + " is there already"};
  const Value* data = fresh.object->find("data");
  if (generated.behavior == "merge") {
    const Value* merged = old->object->find("data");
    for (const Member& member : Trees::members(*data)) merged = merged && merged->is_mapping() ? trees.with(*merged, member.key->scalar(), member.value) : data;
    data = merged ? merged : data;
  }
  old->set(trees.with(*old->object, "data", data));
  return {};
}

}  // namespace archway::kustomize
