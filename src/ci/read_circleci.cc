// .circleci/config.yml
#include <algorithm>
#include <array>

#include "base/text.h"
#include "ci/model.h"

namespace archway::ci {

namespace {

constexpr std::array<std::string_view, 4> kArmClasses = {"arm.medium", "arm.large", "arm.xlarge", "arm.2xlarge"};
constexpr size_t kMaxStepDepth = 8;  // when: steps: when: ..., and commands within commands

class CircleCiReader {
 public:
  explicit CircleCiReader(const YamlNode& root) : root_(root), yaml_(root) {}

  Result<Model> read() {
    const YamlNode* jobs = yaml_.find(&root_, "jobs");
    if (!jobs) return Error{Code::Invalid, "no jobs"};
    yaml_.each_member(jobs, [&](const YamlNode& key, const YamlNode& value) {
      if (value.kind == YamlNode::Kind::Mapping && model_.jobs.size() < kMaxJobs) job(key, value);
    });
    return std::move(model_);
  }

 private:
  // What workflows give a job for a parameter, its default, and what a matrix has.
  std::vector<std::string> parameter(const std::string& job, const YamlNode& value, const std::string& name) const {
    std::vector<std::string> found;
    if (const YamlNode* fallback = yaml_.at(&value, {"parameters", name, "default"})) found.push_back(fallback->text);
    yaml_.each_member(yaml_.find(&root_, "workflows"), [&](const YamlNode&, const YamlNode& workflow) {
      yaml_.each_item(yaml_.find(&workflow, "jobs"), [&](const YamlNode& entry) {
        const YamlNode* use = yaml_.find(&entry, job);
        if (const YamlNode* one = yaml_.find(use, name)) found.push_back(one->text);
        yaml_.each_scalar(yaml_.at(use, {"matrix", "parameters", name}), [&](const YamlNode& one) { found.push_back(one.text); });
      });
    });
    return found;
  }

  std::vector<std::string> values_of(const std::string& job, const YamlNode& value, std::string_view text) const {
    std::string_view inside = trim(text);
    if (!inside.starts_with("<<") || !inside.ends_with(">>")) return {std::string(text)};
    inside = trim(inside.substr(2, inside.size() - 4));
    if (!inside.starts_with("parameters.")) return {};
    return parameter(job, value, std::string(inside.substr(11)));
  }

  void job(const YamlNode& key, const YamlNode& value) {
    Job job;
    job.name = key.text;
    job.place = place_of(key);
    machine(value, job);
    yaml_.each_item(yaml_.find(&value, "docker"), [&](const YamlNode& container) {
      const YamlNode* image = yaml_.find(&container, "image");
      if (!image) return;
      if (!job.client) job.client = PlacedText{image->text, place_of(*image)};
      else job.services.push_back({image->text, place_of(*image)});
    });
    yaml_.each_member(yaml_.find(&value, "environment"), [&](const YamlNode& name, const YamlNode& text) {
      if (text.kind == YamlNode::Kind::Scalar) job.variables.insert_or_assign(name.text, text.text);
    });
    steps(yaml_.find(&value, "steps"), job, 0);
    model_.jobs.push_back(std::move(job));
  }

  void machine(const YamlNode& value, Job& job) {
    const YamlNode* size = yaml_.find(&value, "resource_class");
    const YamlNode* executor = yaml_.find(&value, "executor");
    if (executor && executor->kind == YamlNode::Kind::Mapping) executor = yaml_.find(executor, "name");
    if (!size && executor) size = yaml_.at(&root_, {"executors", executor->text, "resource_class"});
    if (!size) size = yaml_.at(&value, {"machine", "resource_class"});
    const YamlNode* caching = yaml_.at(&value, {"machine", "docker_layer_caching"});
    if (caching && caching->text == "true") report(model_, "ci-paid-caching", Severity::Note, place_of(*caching), job.name, "docker_layer_caching costs credits for every job", "a registry cache (--cache-to type=registry) costs none");
    if (!size) return;
    for (const std::string& name : values_of(job.name, value, size->text)) {
      bool arm = name.starts_with("arm.");
      job.architectures.insert(arm ? "arm64" : "amd64");
      if (!arm || std::find(kArmClasses.begin(), kArmClasses.end(), name) != kArmClasses.end()) continue;
      report(model_, "ci-unknown-runner", Severity::Error, place_of(*size), job.name, "there is no resource class " + name, "arm.medium is the smallest");
    }
  }

  void steps(const YamlNode* list, Job& job, size_t depth) {
    if (depth > kMaxStepDepth || job.commands.size() >= kMaxCommands) return;
    yaml_.each_item(list, [&](const YamlNode& step) {
      if (step.kind == YamlNode::Kind::Scalar) {
        named(step, step.text, job, depth);
        return;
      }
      yaml_.each_member(&step, [&](const YamlNode& name, const YamlNode& body) {
        if (name.text == "run") {
          const YamlNode* command = body.kind == YamlNode::Kind::Mapping ? yaml_.find(&body, "command") : &body;
          if (command && command->kind == YamlNode::Kind::Scalar) add_script(*command, job);
        } else if (name.text == "when" || name.text == "unless") {
          steps(yaml_.find(&body, "steps"), job, depth + 1);
        } else {
          named(name, name.text, job, depth);
        }
      });
    });
  }

  void named(const YamlNode& place, const std::string& name, Job& job, size_t depth) {
    if (name == "setup_remote_docker") {
      bool arm = job.architectures.contains("arm64");
      if (arm) report(model_, "ci-remote-docker", Severity::Warning, place_of(place), job.name, "setup_remote_docker gives a job on arm64 a docker on amd64", "machine: {image: ubuntu-2404:current} with an arm class, whose docker is its own");
    } else {
      steps(yaml_.at(&root_, {"commands", name, "steps"}), job, depth + 1);
    }
  }

  const YamlNode& root_;
  YamlView yaml_;
  Model model_;
};

}  // namespace

Result<Model> read_circleci(std::string_view text) {
  auto documents = TRY(parse_yaml_tree(text));
  if (documents.size() != 1) return Error{Code::Invalid, documents.empty() ? "empty" : "more than one document"};
  return CircleCiReader(documents[0].root).read();
}

}  // namespace archway::ci
