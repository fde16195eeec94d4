// .github/workflows/*.yml
#include <algorithm>
#include <array>

#include "base/text.h"
#include "ci/model.h"

namespace archway::ci {

namespace {

// Labels of the runners that GitHub hosts.
constexpr std::array<std::string_view, 24> kHosted = {
    "ubuntu-latest", "ubuntu-24.04", "ubuntu-22.04", "ubuntu-26.04", "ubuntu-slim", "ubuntu-24.04-arm", "ubuntu-22.04-arm", "ubuntu-26.04-arm", "windows-latest", "windows-2022", "windows-2025", "windows-2019",
    "windows-11-arm", "macos-latest", "macos-13", "macos-14", "macos-15", "macos-26", "macos-13-large", "macos-14-large", "macos-15-large", "macos-latest-large", "macos-latest-xlarge", "macos-15-intel"};

bool has_capital(std::string_view text) { return std::any_of(text.begin(), text.end(), [](char c) { return c >= 'A' && c <= 'Z'; }); }

// Without its ${{ ... }}.
std::string without_expressions(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    size_t open = text.find("${{");
    out += text.substr(0, open);
    if (open == text.npos) break;
    size_t close = text.find("}}", open);
    if (close == text.npos) break;
    text.remove_prefix(close + 2);
  }
  return out;
}

class GitHubReader {
 public:
  explicit GitHubReader(const YamlNode& root) : root_(root), yaml_(root) {}

  Result<Model> read() {
    const YamlNode* jobs = yaml_.find(&root_, "jobs");
    if (!jobs || jobs->kind != YamlNode::Kind::Mapping) return Error{Code::Invalid, "no jobs"};
    for_pull_requests_ = triggers_on("pull_request");
    yaml_.each_member(jobs, [&](const YamlNode& key, const YamlNode& value) {
      if (value.kind == YamlNode::Kind::Mapping && model_.jobs.size() < kMaxJobs) job(key, value);
    });
    return std::move(model_);
  }

 private:
  bool triggers_on(std::string_view event) const {
    const YamlNode* on = yaml_.find(&root_, "on");
    bool found = yaml_.find(on, event) != nullptr;
    yaml_.each_scalar(on, [&](const YamlNode& name) { found = found || name.text == event; });
    return found || (on && on->kind == YamlNode::Kind::Mapping && on->key_of(event));
  }

  // What an expression of the matrix can be; the text itself where it is none.
  std::vector<std::string> values_of(const YamlNode& job, std::string_view text) const {
    std::string_view expression = trim(text);
    if (!expression.starts_with("${{") || !expression.ends_with("}}")) return {std::string(text)};
    expression = trim(expression.substr(3, expression.size() - 5));
    if (!expression.starts_with("matrix.")) return {std::string(text)};
    std::vector<std::string> path = split(expression.substr(7), '.');
    std::vector<std::string> found;
    const YamlNode* matrix = yaml_.at(&job, {"strategy", "matrix"});
    auto add = [&](const YamlNode* from) {
      for (size_t i = 1; i < path.size() && from; ++i) from = yaml_.find(from, path[i]);
      if (from) yaml_.each_scalar(from, [&](const YamlNode& one) { found.push_back(one.text); });
    };
    const YamlNode* listed = yaml_.find(matrix, path[0]);
    if (listed && path.size() > 1) yaml_.each_item(listed, add_each(add));
    else add(listed);
    yaml_.each_item(yaml_.find(matrix, "include"), [&](const YamlNode& row) { add(yaml_.find(&row, path[0])); });
    if (found.empty()) found.push_back(std::string(text));
    return found;
  }
  template <class Add>
  std::function<void(const YamlNode&)> add_each(Add& add) const {
    return [&add](const YamlNode& item) { add(&item); };
  }

  void job(const YamlNode& key, const YamlNode& value) {
    Job job;
    job.name = key.text;
    job.place = place_of(key);
    matrix_ = yaml_.at(&value, {"strategy", "matrix"}) != nullptr;
    conditional_ = yaml_.find(&value, "if") != nullptr;
    classic_store_ = true;
    machines(value, job);
    for (const YamlNode* owner : {&root_, &value}) environment(yaml_.find(owner, "env"), job);
    if (const YamlNode* container = yaml_.find(&value, "container")) {
      const YamlNode* image = container->kind == YamlNode::Kind::Mapping ? yaml_.find(container, "image") : container;
      if (image) job.client = PlacedText{image->text, place_of(*image)};
    }
    yaml_.each_item(yaml_.find(&value, "steps"), [&](const YamlNode& step) { this->step(value, step, job); });
    model_.jobs.push_back(std::move(job));
  }

  void environment(const YamlNode* map, Job& job) const {
    yaml_.each_member(map, [&](const YamlNode& name, const YamlNode& text) {
      if (text.kind == YamlNode::Kind::Scalar) job.variables.insert_or_assign(name.text, text.text);
    });
  }

  void machines(const YamlNode& value, Job& job) {
    const YamlNode* runs_on = yaml_.find(&value, "runs-on");
    if (runs_on && runs_on->kind == YamlNode::Kind::Mapping) runs_on = yaml_.find(runs_on, "labels");
    bool own = false;
    yaml_.each_scalar(runs_on, [&](const YamlNode& label) { own = own || label.text == "self-hosted"; });
    yaml_.each_scalar(runs_on, [&](const YamlNode& label) {
      for (const std::string& name : values_of(value, label.text)) machine(label, name, own, job);
    });
  }

  void machine(const YamlNode& place, const std::string& label, bool own, Job& job) {
    if (label.find("${{") != std::string::npos) {
      job.architectures.insert({"amd64", "arm64"});  // an expression that is not understood: anything
      return;
    }
    std::string lower = to_lower(label);
    bool arm = lower.find("arm") != lower.npos || lower.find("aarch64") != lower.npos;
    bool hosted = lower.starts_with("ubuntu-") || lower.starts_with("windows-") || lower.starts_with("macos-");
    if (arm) job.architectures.insert("arm64");
    else if (hosted || is_architecture(lower, "amd64") || lower == "x64") job.architectures.insert("amd64");
    if (!hosted || own || std::find(kHosted.begin(), kHosted.end(), lower) != kHosted.end()) return;
    // Larger runners have names that their owners choose; what looks like the name of a usual one for arm64 does not exist.
    if (!lower.ends_with("-arm64") && !lower.ends_with("-aarch64")) return;
    report(model_, "ci-unknown-runner", Severity::Error, place_of(place), job.name, "GitHub hosts no runner " + label + ", so the job waits for ever", "ubuntu-24.04-arm");
  }

  void step(const YamlNode& job_node, const YamlNode& step, Job& job) {
    environment(yaml_.find(&step, "env"), job);
    if (const YamlNode* run = yaml_.find(&step, "run")) {
      size_t before = job.images.size();
      add_script(*run, job);
      for (size_t i = before; i < job.images.size(); ++i) resolve_platforms(job_node, job.images[i].command);
    }
    const YamlNode* uses = yaml_.find(&step, "uses");
    if (!uses) return;
    std::string action(cut(uses->text, '@').first);
    const YamlNode* with = yaml_.find(&step, "with");
    if (action == "docker/setup-qemu-action") job.emulator = true;
    std::string driver = yaml_.text(with, "driver");
    bool other_machines = driver == "cloud" || driver == "remote" || driver == "kubernetes" || yaml_.find(with, "append");
    if (action == "docker/setup-buildx-action" && other_machines) job.emulator = true;
    if (action == "docker/setup-docker-action") classic_store_ = false;
    if (action == "docker/build-push-action") build_action(job_node, step, *uses, with, job);
    if (action == "docker/login-action") login_action(job_node, *uses, with, job);
    if (action == "actions/upload-artifact") artifact(*uses, with, job);
  }

  void resolve_platforms(const YamlNode& job_node, ImageCommand& build) const {
    if (build.platforms.size() != 1 || build.platforms[0].find("${{") == std::string::npos) return;
    std::string text = build.platforms[0];
    size_t open = text.find("${{"), close = text.find("}}", open);
    if (close == text.npos) return;
    std::vector<std::string> values = values_of(job_node, text.substr(open, close + 2 - open));
    if (values[0].find("${{") != std::string::npos) return;
    build.platforms.clear();
    for (const std::string& value : values) build.platforms.push_back(text.substr(0, open) + value + text.substr(close + 2));
    build.one_each = true;
  }

  void build_action(const YamlNode& job_node, const YamlNode& step, const YamlNode& uses, const YamlNode* with, Job& job) {
    ImageCommand build;
    build.program = "docker buildx", build.attests = true;
    std::string platforms = yaml_.text(with, "platforms"), tags = yaml_.text(with, "tags"), outputs = yaml_.text(with, "outputs");
    for (const std::string& one : split(replace_all(platforms, "\n", ","), ',')) {
      if (!trim(one).empty()) build.platforms.push_back(std::string(trim(one)));
    }
    resolve_platforms(job_node, build);
    for (const std::string& line : split(replace_all(tags, "\n", ","), ',')) {
      std::string_view tag = trim(line);
      // An output of another step, or a text with an expression in place of its tag, is taken for one that has it.
      if (!tag.empty() && tag.find("${{") == tag.npos) build.tags.push_back(std::string(tag));
    }
    std::string push = yaml_.text(with, "push");
    bool pushes_always = push == "true" || outputs.find("push=true") != outputs.npos;
    build.push = pushes_always || push.find("${{") != push.npos || outputs.find("push=${{") != outputs.npos;
    build.load = yaml_.text(with, "load") == "true" && classic_store_;
    if (std::string provenance = yaml_.text(with, "provenance"); !provenance.empty()) build.provenance = provenance != "false";
    bool conditional = conditional_ || yaml_.find(&step, "if");
    if (for_pull_requests_ && pushes_always && !conditional) {
      report(model_, "ci-pull-request-pushes", Severity::Warning, place_of(uses), job.name, "pull requests push, too: anybody's code under your image's name", "push: ${{ github.event_name != 'pull_request' }}");
    }
    cache(uses, with, job);
    names(uses, tags, outputs, job);
    if (!tags.empty() && outputs.find("push-by-digest=true") != outputs.npos) {
      report(model_, "ci-tag-with-digest", Severity::Error, place_of(uses), job.name, "tags together with push-by-digest: each platform's job gives the tag to its own image, and the last one wins", "leave tags out here; the job that joins the digests gives the tag");
    }
    job.images.push_back({std::move(build), place_of(uses)});
  }

  void cache(const YamlNode& uses, const YamlNode* with, const Job& job) {
    std::string to = yaml_.text(with, "cache-to");
    if (!matrix_ || to.find("type=gha") == to.npos || to.find("scope=") != to.npos) return;
    report(model_, "ci-shared-cache", Severity::Warning, place_of(uses), job.name, "the jobs of the matrix write one cache, each over the other's", "scope=${{ matrix.arch }} in cache-from and cache-to");
  }

  void names(const YamlNode& uses, const std::string& tags, const std::string& outputs, const Job& job) {
    for (const std::string& line : split(replace_all(tags + "\n" + outputs, "\n", ","), ',')) {
      std::string_view text = trim(line);
      if (text.starts_with("name=")) text.remove_prefix(5);
      else if (text.find('=') != text.npos && text.find("${{") == text.npos) continue;
      std::string plain = without_expressions(text);
      size_t colon = plain.rfind(':'), slash = plain.rfind('/');
      std::string name = plain.substr(0, colon != plain.npos && (slash == plain.npos || colon > slash) ? colon : plain.npos);
      if (has_capital(name)) {
        report(model_, "ci-upper-case", Severity::Error, place_of(uses), job.name, name + " has capital letters, which the name of an image may not", to_lower(name));
      } else if (text.find("github.repository") != text.npos || text.find("github.actor") != text.npos) {
        report(model_, "ci-upper-case", Severity::Note, place_of(uses), job.name, "names of accounts and repositories may have capital letters, names of images may not", "docker/metadata-action makes them small, as does ${GITHUB_REPOSITORY,,} in bash");
      }
    }
  }

  void login_action(const YamlNode& job_node, const YamlNode& uses, const YamlNode* with, const Job& job) {
    bool token = yaml_.text(with, "password").find("GITHUB_TOKEN") != std::string::npos || yaml_.text(with, "password").find("github.token") != std::string::npos;
    if (yaml_.text(with, "registry") != "ghcr.io" || !token) return;
    const YamlNode* permissions = yaml_.find(&job_node, "permissions");
    if (!permissions) permissions = yaml_.find(&root_, "permissions");
    if (permissions && (permissions->text == "write-all" || yaml_.text(permissions, "packages") == "write")) return;
    report(model_, "ci-missing-permission", permissions ? Severity::Error : Severity::Warning, place_of(uses), job.name,
           permissions ? "the token may not write packages: permissions names others only" : "whether the token may write packages depends on the repository's settings", "permissions: {contents: read, packages: write}");
  }

  void artifact(const YamlNode& uses, const YamlNode* with, const Job& job) {
    std::string version(cut(uses.text, '@').second.value_or(""));
    bool old = version.starts_with("v1") || version.starts_with("v2") || version.starts_with("v3");
    std::string name = yaml_.text(with, "name");
    if (!matrix_ || old || name.find("${{") != name.npos || yaml_.text(with, "overwrite") == "true") return;
    report(model_, "ci-artifact-collision", Severity::Error, place_of(uses), job.name, "each job of the matrix uploads the artifact " + (name.empty() ? "artifact" : name) + ", and artifacts cannot be written twice",
           "name: digest-${{ matrix.arch }}");
  }

  const YamlNode& root_;
  YamlView yaml_;
  Model model_;
  bool for_pull_requests_ = false;
  bool matrix_ = false, conditional_ = false, classic_store_ = true;  // of the job being read
};

}  // namespace

Result<Model> read_github(std::string_view text) {
  auto documents = TRY(parse_yaml_tree(text));
  if (documents.size() != 1) return Error{Code::Invalid, documents.empty() ? "empty" : "more than one document"};
  return GitHubReader(documents[0].root).read();
}

}  // namespace archway::ci
