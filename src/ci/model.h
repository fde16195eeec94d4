#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "ci/check.h"
#include "ci/image_command.h"
#include "format/yaml_tree.h"

// A pipeline as the rules see it, whatever system it is for. Each system's reader (read_*.cc) makes one and adds what only it can know.
namespace archway::ci {

struct Place { uint32_t line = 0, column = 0; };
inline Place place_of(const YamlNode& node) { return {node.line, node.column}; }

// A command with its place in the file, not in its script.
struct PlacedCommand {
  ImageCommand command;
  Place place;
};

struct PlacedText {
  std::string text;
  Place place;
};

struct Job {
  std::string name;
  Place place;
  std::vector<PlacedCommand> images;        // what it does with images
  std::vector<ShellCommand> commands;       // all of its commands; line: of the file
  // Processors of its machines: of all of a matrix. Empty where that is not known.
  std::set<std::string> architectures;
  bool emulator = false;                    // something registers one, or gives the builder another machine
  std::optional<PlacedText> client;         // the image that it runs in
  std::vector<PlacedText> services;
  std::map<std::string, std::string, std::less<>> variables;
};

struct Model {
  std::vector<Job> jobs;
  std::vector<Finding> findings;  // of the reader
  bool verifies = false;          // something reads back what was pushed
};

inline void report(Model& model, std::string rule, Severity severity, Place place, const std::string& job, std::string message, std::string advice) {
  model.findings.push_back({std::move(rule), severity, place.line, place.column, job, std::move(message), std::move(advice)});
}

// Reads a YAML file's values, following aliases and merge keys as far as a limit.
class YamlView {
 public:
  // `root` outlives it.
  explicit YamlView(const YamlNode& root);
  // The node itself, or what an alias names; null for one that names nothing.
  const YamlNode* resolve(const YamlNode* node) const;
  // A member, through aliases and `<<`; null where there is none.
  const YamlNode* find(const YamlNode* map, std::string_view key) const;
  const YamlNode* at(const YamlNode* map, std::initializer_list<std::string_view> path) const;
  std::string text(const YamlNode* map, std::string_view key) const;  // "" where it is no scalar
  // Each scalar of a scalar or of a list, however nested.
  void each_scalar(const YamlNode* node, const std::function<void(const YamlNode&)>& take) const;
  void each_item(const YamlNode* list, const std::function<void(const YamlNode&)>& take) const;
  void each_member(const YamlNode* map, const std::function<void(const YamlNode& key, const YamlNode& value)>& take) const;

 private:
  void collect(const YamlNode& node);
  const YamlNode* find(const YamlNode* map, std::string_view key, size_t depth) const;
  void each_scalar(const YamlNode* node, size_t depth, size_t& left, const std::function<void(const YamlNode&)>& take) const;
  std::map<std::string, const YamlNode*, std::less<>> anchors_;
};

// The commands of a script (a scalar) become the job's.
void add_script(const YamlNode& script, Job& job);
void add_script(std::string_view script, uint32_t line, uint32_t column, bool lines_are_the_files, Job& job);

Result<Model> read_gitlab(std::string_view text);
Result<Model> read_github(std::string_view text);
Result<Model> read_codebuild(std::string_view text);
Result<Model> read_circleci(std::string_view text);
Result<Model> read_tekton(std::string_view text);
Result<Model> read_jenkins(std::string_view text);

}  // namespace archway::ci
