// .gitlab-ci.yml
#include <algorithm>
#include <array>

#include "base/text.h"
#include "ci/model.h"

namespace archway::ci {

namespace {

constexpr std::array<std::string_view, 14> kReserved = {"default", "include", "stages", "variables", "workflow", "image", "services", "before_script", "after_script", "cache", "spec", "types", "tags", "retry"};
constexpr size_t kMaxExtends = 11;  // GitLab's own limit of nesting

class GitLabReader {
 public:
  explicit GitLabReader(const YamlNode& root) : root_(root), yaml_(root) {}

  Result<Model> read() {
    if (root_.kind != YamlNode::Kind::Mapping) return Error{Code::Invalid, "no mapping of jobs"};
    yaml_.each_member(&root_, [&](const YamlNode& key, const YamlNode& value) {
      bool reserved = std::find(kReserved.begin(), kReserved.end(), key.text) != kReserved.end();
      if (!reserved && !key.text.starts_with(".") && value.kind == YamlNode::Kind::Mapping && model_.jobs.size() < kMaxJobs) job(key, value);
    });
    return std::move(model_);
  }

 private:
  // A job's member: its own, else that of what it extends (the last named first), else the default.
  const YamlNode* member(const YamlNode& job, std::string_view key, size_t depth = 0) const {
    if (const YamlNode* own = yaml_.find(&job, key)) return own;
    if (depth >= kMaxExtends) return nullptr;
    std::vector<std::string> parents;
    yaml_.each_scalar(yaml_.find(&job, "extends"), [&](const YamlNode& name) { parents.push_back(name.text); });
    for (size_t i = parents.size(); i > 0; --i) {
      const YamlNode* parent = yaml_.find(&root_, parents[i - 1]);
      const YamlNode* found = parent ? member(*parent, key, depth + 1) : nullptr;
      if (found) return found;
    }
    return nullptr;
  }
  const YamlNode* member_or_default(const YamlNode& job, std::string_view key) const {
    const YamlNode* found = member(job, key);
    if (!found) found = yaml_.at(&root_, {"default", key});
    return found ? found : yaml_.find(&root_, key);
  }

  void job(const YamlNode& key, const YamlNode& value) {
    Job job;
    job.name = key.text;
    job.place = place_of(key);
    for (std::string_view part : {"before_script", "script", "after_script"}) {
      const YamlNode* script = part == "script" ? member(value, part) : member_or_default(value, part);
      yaml_.each_scalar(script, [&](const YamlNode& line) { add_script(line, job); });
    }
    images(value, job);
    variables(yaml_.find(&root_, "variables"), job);
    variables(member(value, "variables"), job);
    runner(value, job);
    model_.jobs.push_back(std::move(job));
  }

  std::optional<PlacedText> image_name(const YamlNode& node) const {
    const YamlNode* name = node.kind == YamlNode::Kind::Mapping ? yaml_.find(&node, "name") : &node;
    if (!name || name->kind != YamlNode::Kind::Scalar) return std::nullopt;
    return PlacedText{name->text, place_of(*name)};
  }

  void images(const YamlNode& value, Job& job) const {
    if (const YamlNode* image = member_or_default(value, "image")) job.client = image_name(*image);
    yaml_.each_item(member_or_default(value, "services"), [&](const YamlNode& service) {
      if (auto name = image_name(service)) job.services.push_back(std::move(*name));
    });
  }

  void variables(const YamlNode* map, Job& job) const {
    yaml_.each_member(map, [&](const YamlNode& name, const YamlNode& value) {
      const YamlNode* text = value.kind == YamlNode::Kind::Mapping ? yaml_.find(&value, "value") : &value;
      if (text && text->kind == YamlNode::Kind::Scalar) job.variables.insert_or_assign(name.text, text->text);
    });
  }

  // What its tags, and the matrix that they may name, say of its machine.
  void runner(const YamlNode& value, Job& job) {
    bool by_matrix = false;
    yaml_.each_scalar(member_or_default(value, "tags"), [&](const YamlNode& tag) {
      by_matrix = by_matrix || tag.text.find('$') != std::string::npos;
      machine(tag, job);
    });
    const YamlNode* matrix = yaml_.at(member(value, "parallel"), {"matrix"});
    yaml_.each_item(matrix, [&](const YamlNode& row) {
      yaml_.each_member(&row, [&](const YamlNode&, const YamlNode& values) {
        if (by_matrix) yaml_.each_scalar(&values, [&](const YamlNode& one) { machine(one, job); });
      });
    });
  }

  void machine(const YamlNode& tag, Job& job) {
    for (const char* architecture : {"amd64", "arm64"}) {
      if (is_architecture(tag.text, architecture)) job.architectures.insert(architecture);
    }
    if (tag.text.find('$') != std::string::npos || !tag.text.starts_with("saas-linux-") || tag.text.find("gpu") != std::string::npos) return;
    static constexpr std::array<std::string_view, 8> kHosted = {"small-amd64", "medium-amd64", "large-amd64", "xlarge-amd64", "2xlarge-amd64", "small-arm64", "medium-arm64", "large-arm64"};
    if (std::find(kHosted.begin(), kHosted.end(), std::string_view(tag.text).substr(11)) != kHosted.end()) return;
    report(model_, "ci-unknown-runner", Severity::Error, place_of(tag), job.name, "GitLab.com has no hosted runner " + tag.text + ", so the job waits for ever",
           "saas-linux-{small,medium,large,xlarge,2xlarge}-amd64, saas-linux-{small,medium,large}-arm64");
  }

  const YamlNode& root_;
  YamlView yaml_;
  Model model_;
};

}  // namespace

Result<Model> read_gitlab(std::string_view text) {
  auto documents = TRY(parse_yaml_tree(text));
  // A first document may declare inputs (spec:).
  if (documents.empty()) return Error{Code::Invalid, "empty"};
  return GitLabReader(documents.back().root).read();
}

}  // namespace archway::ci
