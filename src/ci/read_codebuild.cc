// buildspec.yml
#include "base/text.h"
#include "ci/model.h"

namespace archway::ci {

namespace {

class CodeBuildReader {
 public:
  explicit CodeBuildReader(const YamlNode& root) : root_(root), yaml_(root) {}

  Result<Model> read() {
    const YamlNode* phases = yaml_.find(&root_, "phases");
    if (!phases) return Error{Code::Invalid, "no phases"};
    Job job;
    job.name = "build";
    job.place = place_of(root_);
    yaml_.each_member(phases, [&](const YamlNode&, const YamlNode& phase) {
      for (const char* part : {"commands", "finally"}) {
        yaml_.each_scalar(yaml_.find(&phase, part), [&](const YamlNode& command) { add_script(command, job); });
      }
    });
    yaml_.each_member(yaml_.at(&root_, {"env", "variables"}), [&](const YamlNode& name, const YamlNode& text) {
      if (text.kind == YamlNode::Kind::Scalar) job.variables.insert_or_assign(name.text, text.text);
    });
    for (const char* shape : {"build-graph", "build-list"}) {
      yaml_.each_item(yaml_.at(&root_, {"batch", shape}), [&](const YamlNode& entry) { machine(entry, job); });
    }
    yaml_.each_item(yaml_.at(&root_, {"batch", "build-matrix", "dynamic", "env", "type"}), [&](const YamlNode& type) { kind_of_machine(type.text, job); });
    race(job);
    branch_as_tag(job);
    model_.jobs.push_back(std::move(job));
    return std::move(model_);
  }

 private:
  static void kind_of_machine(const std::string& type, Job& job) {
    if (type.starts_with("ARM_")) job.architectures.insert("arm64");
    else if (type.starts_with("LINUX_")) job.architectures.insert("amd64");
  }

  void machine(const YamlNode& entry, Job& job) {
    const YamlNode* env = yaml_.find(&entry, "env");
    std::string name = yaml_.text(&entry, "identifier"), type = yaml_.text(env, "type");
    kind_of_machine(type, job);
    if (!env) return;
    if (const YamlNode* image = yaml_.find(env, "image")) this->image(*image, type, name);
    const YamlNode* privileged = yaml_.find(env, "privileged-mode");
    if (!job.images.empty() && (!privileged || privileged->text != "true")) {
      report(model_, "ci-unprivileged", Severity::Warning, place_of(*env), name, "docker's daemon does not start in a build that is not privileged" + std::string(privileged ? "" : ", unless the project says so"), "privileged-mode: true");
    }
  }

  void image(const YamlNode& image, const std::string& type, const std::string& name) {
    bool arm = is_architecture(image.text, "arm64"), amd = is_architecture(image.text, "amd64");
    if ((type.starts_with("ARM_") && amd) || (type.starts_with("LINUX_") && arm)) {
      report(model_, "ci-image-and-machine", Severity::Error, place_of(image), name, image.text + " does not run on " + type, type.starts_with("ARM_") ? "aws/codebuild/amazonlinux-aarch64-standard:3.0" : "aws/codebuild/amazonlinux-x86_64-standard:5.0");
    }
    if (image.text.starts_with("aws/codebuild/amazonlinux2-")) {
      report(model_, "ci-old-image", Severity::Note, place_of(image), name, image.text + " is Amazon Linux 2, with a docker of its time", "aws/codebuild/amazonlinux-" + std::string(arm ? "aarch64-standard:3.0" : "x86_64-standard:5.0"));
    }
  }

  // The builds of a list run side by side: nothing says that the other platform is there when one of them joins the two.
  void race(const Job& job) {
    if (!yaml_.at(&root_, {"batch", "build-list"})) return;
    for (const PlacedCommand& placed : job.images) {
      if (placed.command.kind != ImageCommand::Kind::JoinManifest && placed.command.kind != ImageCommand::Kind::JoinIndex) continue;
      report(model_, "ci-racing-join", Severity::Error, placed.place, job.name, "the images are joined by one of the builds of a build-list, which does not wait for the others", "a build-graph, with a build of its own that depends on the others (depend-on)");
      return;
    }
  }

  void branch_as_tag(const Job& job) {
    for (const ShellCommand& command : job.commands) {
      std::string all = join(command.words, " ");
      for (const auto& [name, value] : command.assignments) all += " " + value;
      if (all.find("CODEBUILD_SOURCE_VERSION") == all.npos) continue;
      report(model_, "ci-branch-as-tag", Severity::Warning, {command.line, 1}, job.name, "CODEBUILD_SOURCE_VERSION may be the name of a branch, or of a pull request, and then every build overwrites one tag", "CODEBUILD_RESOLVED_SOURCE_VERSION is the commit");
      return;
    }
  }

  const YamlNode& root_;
  YamlView yaml_;
  Model model_;
};

}  // namespace

Result<Model> read_codebuild(std::string_view text) {
  auto documents = TRY(parse_yaml_tree(text));
  if (documents.size() != 1) return Error{Code::Invalid, documents.empty() ? "empty" : "more than one document"};
  return CodeBuildReader(documents[0].root).read();
}

}  // namespace archway::ci
