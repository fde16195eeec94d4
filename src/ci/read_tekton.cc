// Tekton's objects: tasks, pipelines, runs; and Konflux' pipelines, which are Tekton's.
#include <algorithm>

#include "base/text.h"
#include "ci/model.h"

namespace archway::ci {

namespace {

using Volumes = std::vector<std::pair<Place, std::string>>;  // that one node at a time can mount, with whose they are

class TektonReader {
 public:
  TektonReader(const YamlNode& root, Volumes& volumes) : root_(root), yaml_(root), volumes_(volumes) {}

  void read(Model& model, std::set<std::string>& architectures) {
    const YamlNode* spec = yaml_.find(&root_, "spec");
    std::string name = yaml_.text(yaml_.find(&root_, "metadata"), "name");
    if (yaml_.find(spec, "steps")) task(*spec, name, model);
    for (const YamlNode* owner : {spec, yaml_.find(spec, "pipelineSpec")}) {
      for (const char* list : {"tasks", "finally"}) {
        yaml_.each_item(yaml_.find(owner, list), [&](const YamlNode& one) { pipeline_task(one, model); });
      }
      one_platform(yaml_.find(owner, "params"), name, model);
    }
    if (const YamlNode* task_spec = yaml_.find(spec, "taskSpec")) task(*task_spec, name, model);
    selectors(root_, architectures, 0);
    shared_volumes(spec, name);
  }

 private:
  void pipeline_task(const YamlNode& one, Model& model) {
    if (const YamlNode* spec = yaml_.find(&one, "taskSpec")) task(*spec, yaml_.text(&one, "name"), model);
  }

  void task(const YamlNode& spec, const std::string& name, Model& model) {
    if (model.jobs.size() >= kMaxJobs) return;
    Job job;
    job.name = name;
    job.place = place_of(spec);
    yaml_.each_item(yaml_.find(&spec, "steps"), [&](const YamlNode& step) {
      if (const YamlNode* script = yaml_.find(&step, "script")) add_script(*script, job);
      std::vector<std::string> words;
      Place place = place_of(step);
      for (const char* part : {"command", "args"}) {
        yaml_.each_scalar(yaml_.find(&step, part), [&](const YamlNode& word) {
          if (words.empty()) place = place_of(word);
          words.push_back(word.text);
        });
      }
      if (words.empty()) return;
      ShellCommand command;
      command.words = std::move(words);
      command.line = place.line;
      for (ImageCommand& image : image_commands({command})) {
        job.emulator = job.emulator || sets_up_other_platforms(image);
        job.images.push_back({std::move(image), place});
      }
    });
    model.jobs.push_back(std::move(job));
  }

  // kubernetes.io/arch of node selectors and affinities, wherever they stand; and the values that a matrix has for them.
  void selectors(const YamlNode& node, std::set<std::string>& architectures, size_t depth) {
    if (depth > 64) return;
    if (node.kind == YamlNode::Kind::Mapping) {
      for (size_t i = 0; i + 1 < node.children.size(); i += 2) {
        const std::string& key = node.children[i].text;
        const std::string& value = node.children[i + 1].text;
        if (key != "kubernetes.io/arch" && key != "beta.kubernetes.io/arch") continue;
        if (value.find('$') != std::string::npos) architectures.insert({"amd64", "arm64"});
        else if (!value.empty()) architectures.insert(value);
      }
    }
    for (const YamlNode& child : node.children) selectors(child, architectures, depth + 1);
  }

  // Konflux' default: linux/x86_64 alone.
  void one_platform(const YamlNode* params, const std::string& name, Model& model) {
    yaml_.each_item(params, [&](const YamlNode& param) {
      std::string called = yaml_.text(&param, "name");
      if (called != "build-platforms" && called != "platforms") return;
      const YamlNode* value = yaml_.find(&param, "default");
      if (!value) value = yaml_.find(&param, "value");
      if (!value) return;
      std::vector<std::string> platforms;
      yaml_.each_scalar(value, [&](const YamlNode& one) { platforms.push_back(one.text); });
      bool arm = std::any_of(platforms.begin(), platforms.end(), [](const std::string& one) { return is_architecture(one, "arm64") || one.find('$') != one.npos; });
      if (!platforms.empty() && !arm) {
        report(model, "ci-one-platform", Severity::Warning, place_of(*value), name, called + " is " + join(platforms, ", ") + " where nobody says otherwise", "add linux/arm64");
      }
    });
  }

  void shared_volumes(const YamlNode* spec, const std::string& name) {
    yaml_.each_item(yaml_.find(spec, "workspaces"), [&](const YamlNode& workspace) {
      const YamlNode* modes = yaml_.at(&workspace, {"volumeClaimTemplate", "spec", "accessModes"});
      std::vector<std::string> names;
      yaml_.each_scalar(modes, [&](const YamlNode& mode) { names.push_back(mode.text); });
      if (modes && names == std::vector<std::string>{"ReadWriteOnce"}) volumes_.push_back({place_of(*modes), name});
    });
  }

  const YamlNode& root_;
  YamlView yaml_;
  Volumes& volumes_;
};

}  // namespace

Result<Model> read_tekton(std::string_view text) {
  auto documents = TRY(parse_yaml_tree(text));
  Model model;
  std::set<std::string> architectures;
  Volumes volumes;
  bool any = false;
  for (const YamlTreeDocument& document : documents) {
    const YamlNode* version = document.root.find("apiVersion");
    if (!version || !version->text.starts_with("tekton.dev/")) continue;
    any = true;
    TektonReader(document.root, volumes).read(model, architectures);
  }
  if (!any) return Error{Code::Invalid, "no object of tekton.dev"};
  for (Job& job : model.jobs) job.architectures = architectures;
  if (architectures.size() > 1) {
    for (const auto& [place, name] : volumes) {
      report(model, "ci-shared-volume", Severity::Warning, place, name, "a volume that one node at a time can mount, for tasks on nodes of two kinds: the second waits for ever", "ReadWriteMany, or a volume for each task (emptyDir)");
    }
  }
  return model;
}

}  // namespace archway::ci
