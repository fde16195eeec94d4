#include <algorithm>

#include "ci/model.h"

namespace archway::ci {

namespace {
constexpr size_t kMaxAliasDepth = 16;      // aliases within aliases, merges within merges
constexpr size_t kMaxScalars = 100'000;    // of one list, those that aliases repeat among them
}  // namespace

YamlView::YamlView(const YamlNode& root) { collect(root); }

void YamlView::collect(const YamlNode& node) {
  if (!node.anchor.empty()) anchors_[node.anchor] = &node;
  for (const YamlNode& child : node.children) collect(child);
}

const YamlNode* YamlView::resolve(const YamlNode* node) const {
  if (!node || node->kind != YamlNode::Kind::Alias) return node;
  auto found = anchors_.find(node->text);
  return found == anchors_.end() ? nullptr : found->second;
}

const YamlNode* YamlView::find(const YamlNode* map, std::string_view key) const { return find(map, key, 0); }

const YamlNode* YamlView::find(const YamlNode* map, std::string_view key, size_t depth) const {
  map = resolve(map);
  if (!map || map->kind != YamlNode::Kind::Mapping || depth > kMaxAliasDepth) return nullptr;
  if (const YamlNode* own = map->find(key)) return resolve(own);
  const YamlNode* merged = resolve(map->find("<<"));
  if (!merged) return nullptr;
  if (merged->kind == YamlNode::Kind::Mapping) return find(merged, key, depth + 1);
  for (const YamlNode& one : merged->children) {
    if (const YamlNode* found = find(&one, key, depth + 1)) return found;
  }
  return nullptr;
}

const YamlNode* YamlView::at(const YamlNode* map, std::initializer_list<std::string_view> path) const {
  for (std::string_view key : path) map = find(map, key);
  return map;
}

std::string YamlView::text(const YamlNode* map, std::string_view key) const {
  const YamlNode* node = find(map, key);
  return node && node->kind == YamlNode::Kind::Scalar ? node->text : "";
}

void YamlView::each_scalar(const YamlNode* node, const std::function<void(const YamlNode&)>& take) const {
  size_t left = kMaxScalars;
  each_scalar(node, 0, left, take);
}

void YamlView::each_scalar(const YamlNode* node, size_t depth, size_t& left, const std::function<void(const YamlNode&)>& take) const {
  node = resolve(node);
  if (!node || depth > kMaxAliasDepth || left == 0) return;
  --left;
  if (node->kind == YamlNode::Kind::Scalar) take(*node);
  if (node->kind != YamlNode::Kind::Sequence) return;
  for (const YamlNode& child : node->children) each_scalar(&child, depth + 1, left, take);
}

void YamlView::each_item(const YamlNode* list, const std::function<void(const YamlNode&)>& take) const {
  list = resolve(list);
  if (!list || list->kind != YamlNode::Kind::Sequence) return;
  for (const YamlNode& child : list->children) {
    if (const YamlNode* item = resolve(&child)) take(*item);
  }
}

void YamlView::each_member(const YamlNode* map, const std::function<void(const YamlNode& key, const YamlNode& value)>& take) const {
  map = resolve(map);
  if (!map || map->kind != YamlNode::Kind::Mapping) return;
  for (size_t i = 0; i + 1 < map->children.size(); i += 2) {
    if (const YamlNode* value = resolve(&map->children[i + 1])) take(map->children[i], *value);
  }
}

void add_script(std::string_view script, uint32_t line, uint32_t column, bool lines_are_the_files, Job& job) {
  std::vector<ShellCommand> commands = read_shell(script);
  std::vector<ImageCommand> images = image_commands(commands);
  auto placed = [&](uint32_t within) { return lines_are_the_files ? line + within : line; };
  for (ImageCommand& image : images) {
    if (job.images.size() >= kMaxCommands) break;
    job.emulator = job.emulator || sets_up_other_platforms(image);
    Place place{placed(image.line), column};
    job.images.push_back({std::move(image), place});
  }
  for (ShellCommand& command : commands) {
    if (job.commands.size() >= kMaxCommands) break;
    command.line = placed(command.line);
    job.commands.push_back(std::move(command));
  }
}

void add_script(const YamlNode& script, Job& job) {
  // A literal block's text begins on the line after its `|`; of other styles only the first line is sure.
  bool literal = script.style == YamlNode::Style::Literal;
  bool block = literal || script.style == YamlNode::Style::Folded;
  add_script(script.text, script.line + (block ? 1 : 0), block ? 1 : script.column, literal, job);
}

}  // namespace archway::ci
