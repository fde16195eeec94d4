// The rules that hold for every system. What only one system has is found by its reader.
#include "ci/check.h"

#include <algorithm>
#include <set>
#include <tuple>

#include "base/text.h"
#include "ci/model.h"

namespace archway::ci {

namespace {

using Kind = ImageCommand::Kind;

// Does this build need programs of another processor than its machine's to run? A build whose platform is a variable is one of a matrix.
bool needs_emulator(const Job& job, const ImageCommand& build) {
  if (build.one_each) {
    const std::set<std::string> machines = job.architectures.empty() ? std::set<std::string>{"amd64"} : job.architectures;
    return std::any_of(build.platforms.begin(), build.platforms.end(), [&](const std::string& platform) {
      return std::none_of(machines.begin(), machines.end(), [&](const std::string& machine) { return is_architecture(platform, machine); });
    });
  }
  if (build.platforms.size() > 1) return true;
  if (build.platforms.empty() || build.platforms[0].find('$') != std::string::npos || build.platforms[0].find("<<") != std::string::npos) return false;
  bool arm = is_architecture(build.platforms[0], "arm64"), amd = is_architecture(build.platforms[0], "amd64");
  if (job.architectures.empty()) return arm;  // machines are amd64 until somebody says otherwise
  return (arm && !job.architectures.contains("arm64")) || (amd && !job.architectures.contains("amd64"));
}

// BuildKit's own image and archway bring emulators; the docker CLI does not.
bool brings_emulators(const ImageCommand& build) { return build.program == "archway" || build.program.starts_with("buildctl"); }

// What "$NAME" or "${NAME}" was given, as far as the pipeline says; nullopt where the text is something else, or nobody says.
std::optional<std::string> variable_value(const Job& job, std::string_view text) {
  if (!text.starts_with("$")) return std::nullopt;
  text.remove_prefix(1);
  if (text.starts_with("{") && text.ends_with("}")) text = text.substr(1, text.size() - 2);
  std::optional<std::string> found;
  if (auto named = job.variables.find(text); named != job.variables.end()) found = named->second;
  for (const ShellCommand& command : job.commands) {
    for (const auto& [name, value] : command.assignments) {
      if (name == text) found = value;
    }
  }
  return found;
}

// Does the name lack a tag? Of a variable that is set elsewhere nobody knows, but of GitLab's own.
bool lacks_tag(const Job& job, const std::string& tag) {
  if (has_tag(tag)) return false;
  bool lone = tag.starts_with("$") && tag.find('/') == tag.npos;
  if (!lone || tag.find("CI_REGISTRY_IMAGE") != tag.npos) return true;
  auto value = variable_value(job, tag);
  return value && !has_tag(*value);
}

// A name that stays on the machine: no registry could take it, and nothing pushes it.
bool stays_here(const Job& job, const ImageCommand& build, const std::string& tag) {
  if (build.push || tag.find_first_of("/$") != tag.npos) return false;
  return std::none_of(job.commands.begin(), job.commands.end(), [&](const ShellCommand& one) { return one.words.size() > 2 && one.words[1] == "push" && one.words.back() == tag; });
}

void check_build(const Job& job, const PlacedCommand& placed, Model& model) {
  const ImageCommand& build = placed.command;
  if (needs_emulator(job, build) && !job.emulator && !brings_emulators(build)) {
    report(model, "ci-no-emulator", Severity::Error, placed.place, job.name,
           "builds for " + join(build.platforms, ",") + " with nothing in the job that sets up emulation: steps for the other processor end with \"exec format error\", unless this runner was prepared",
           "run `docker run --privileged --rm tonistiigi/binfmt:qemu-v8.1.5 --install arm64` first, or build each platform on a machine of its own kind");
  }
  for (const std::string& tag : build.tags) {
    if (!lacks_tag(job, tag) || stays_here(job, build, tag)) continue;
    report(model, "ci-untagged-image", Severity::Warning, placed.place, job.name, "-t " + tag + " names no tag, so every build overwrites latest, whatever branch it is of",
           "give each build a tag of its own, such as " + tag + ":$COMMIT, and move latest at the end");
  }
  if (build.load && build.platforms.size() > 1 && !build.one_each) {
    report(model, "ci-load-multi-platform", Severity::Error, placed.place, job.name, "--load of several platforms: docker's classic image store keeps one",
           "push, write an OCI archive (--output type=oci,dest=FILE), or build one platform to load");
  }
  if (build.provenance == false) {
    report(model, "ci-provenance-off", Severity::Note, placed.place, job.name, "--provenance false is needed only where `docker manifest create` joins the images later",
           "leave it out, and join with `docker buildx imagetools create` or `archway index create`");
  }
}

void check_builder(const Job& job, const PlacedCommand& placed, Model& model) {
  const ImageCommand& create = placed.command;
  if (create.has_word("insecure-entitlement") || create.has_word("security.insecure") || create.has_word("network.host")) {
    report(model, "ci-needless-entitlement", Severity::Warning, placed.place, job.name, "the builder may give build steps rights over the host (" + join(create.words, " ") + ")",
           "leave --allow-insecure-entitlement out; no RUN needs it to be built for another platform");
  }
  bool dind = std::any_of(job.services.begin(), job.services.end(), [](const PlacedText& service) { return service.text.find("dind") != std::string::npos; });
  auto certificates = job.variables.find("DOCKER_TLS_CERTDIR");
  bool plain = certificates != job.variables.end() && certificates->second.empty();
  // The context is the last word that is no flag's; a builder made without one takes the environment's.
  bool context = false;
  for (size_t i = 3; i < create.words.size(); ++i) {
    const std::string& word = create.words[i];
    bool takes_value = word == "--name" || word == "--driver" || word == "--driver-opt" || word == "--buildkitd-flags" || word == "--platform" || word == "--node" || word == "--config" || word == "--buildkitd-config";
    if (takes_value) ++i;
    else if (!word.starts_with("-")) context = true;
  }
  if (dind && !plain && !context) {
    report(model, "ci-tls-context", Severity::Warning, placed.place, job.name,
           "Docker in Docker speaks TLS unless DOCKER_TLS_CERTDIR is empty, and buildx then answers \"could not create a builder instance with TLS data loaded from environment\"",
           "`docker context create ci`, then `docker buildx create ... ci`");
  }
}

// "docker:23.0-dind" -> "23.0"; nullopt for what is no docker image.
std::optional<std::string> docker_version(const std::string& image) {
  std::string_view name = image;
  for (std::string_view host : {"docker.io/", "index.docker.io/", "library/"}) {
    if (name.starts_with(host)) name.remove_prefix(host.size());
  }
  auto [repository, tag] = cut(name, ':');
  if (repository != "docker") return std::nullopt;
  std::string version(tag.value_or("latest"));
  for (std::string_view kind : {"-rootless", "-dind", "-cli", "-git"}) {
    if (version.ends_with(kind)) version.resize(version.size() - kind.size());
  }
  return version == "dind" || version == "cli" || version == "git" || version == "rootless" ? "latest" : version;
}

void check_docker_images(const Job& job, Model& model) {
  std::optional<std::string> client = job.client ? docker_version(job.client->text) : std::nullopt;
  auto unpinned = [&](const PlacedText& image) {
    report(model, "ci-unpinned-image", Severity::Warning, image.place, job.name, image.text + " is another program every few weeks", "name a version, such as docker:28, for client and daemon alike");
  };
  if (client == "latest") unpinned(*job.client);
  for (const PlacedText& service : job.services) {
    auto daemon = docker_version(service.text);
    if (!daemon) continue;
    if (*daemon == "latest") unpinned(service);
    if (client && *client != *daemon && client->find('$') == std::string::npos && daemon->find('$') == std::string::npos) {
      report(model, "ci-client-and-daemon", Severity::Warning, service.place, job.name, "the client is " + job.client->text + " and the daemon " + service.text, "give both one version");
    }
  }
}

bool attested_before(const Model& model) {
  for (const Job& job : model.jobs) {
    for (const PlacedCommand& placed : job.images) {
      if (placed.command.kind == Kind::Build && placed.command.attests && placed.command.provenance != false && placed.command.push) return true;
    }
  }
  return false;
}

void check_join(const Job& job, const PlacedCommand& placed, Model& model) {
  if (attested_before(model)) {
    report(model, "ci-manifest-of-index", Severity::Error, placed.place, job.name, "what buildx pushes is an index with attestations, and `docker manifest create` answers \"... is a manifest list\"",
           "`docker buildx imagetools create -t NAME IMAGE...` or `archway index create -t NAME IMAGE...`");
    return;
  }
  bool amend = placed.command.has_word("--amend");
  bool removed = std::any_of(job.commands.begin(), job.commands.end(), [](const ShellCommand& one) {
    return one.is("docker") && one.words.size() > 2 && one.words[1] == "manifest" && one.words[2] == "rm";
  });
  if (amend || removed) return;
  report(model, "ci-manifest-create", Severity::Warning, placed.place, job.name, "`docker manifest create` keeps the list on the machine and refuses to make it a second time",
         "`docker buildx imagetools create -t NAME IMAGE...` or `archway index create -t NAME IMAGE...`, which need no --amend and no rm");
}

void check_login(const Job& job, const PlacedCommand& placed, Model& model) {
  const auto& words = placed.command.words;
  bool on_line = std::any_of(words.begin(), words.end(), [](const std::string& word) { return word == "-p" || word == "--password" || word.starts_with("--password="); });
  if (!on_line) return;
  report(model, "ci-password-argument", Severity::Warning, placed.place, job.name, "the password is an argument, which every process on the machine can read", "echo \"$PASSWORD\" | " + placed.command.program + " login -u USER --password-stdin HOST");
}

// Is anything built for the platform, by name or on a machine of its kind?
bool builds_for(const Model& model, std::string_view architecture) {
  for (const Job& job : model.jobs) {
    bool builds = false;
    for (const PlacedCommand& placed : job.images) {
      if (placed.command.kind != Kind::Build) continue;
      builds = true;
      for (const std::string& platform : placed.command.platforms) {
        if (is_architecture(platform, architecture)) return true;
      }
    }
    if (builds && job.architectures.contains(std::string(architecture))) return true;
  }
  return false;
}

void check_whole(Model& model) {
  const PlacedCommand* first = nullptr;
  const Job* owner = nullptr;
  bool variable = false;
  for (const Job& job : model.jobs) {
    for (const PlacedCommand& placed : job.images) {
      model.verifies = model.verifies || placed.command.kind == Kind::Verify;
      if (placed.command.kind != Kind::Build) continue;
      if (!first) first = &placed, owner = &job;
      for (const std::string& platform : placed.command.platforms) variable = variable || platform.find_first_of("$<{") != platform.npos;
    }
  }
  if (!first) return;
  if (!builds_for(model, "arm64") && !variable) {
    report(model, "ci-one-platform", Severity::Warning, first->place, owner->name, "nothing here builds for linux/arm64", "`archway ci SYSTEM` writes a pipeline for both platforms");
  }
  if (!model.verifies) {
    report(model, "ci-no-verify", Severity::Note, first->place, owner->name, "nothing reads the image back: an index can say arm64 and hold x86-64 programs", "end with `archway verify IMAGE`");
  }
}

void check_job(const Job& job, Model& model) {
  for (const PlacedCommand& placed : job.images) {
    switch (placed.command.kind) {
      case Kind::Build: check_build(job, placed, model); break;
      case Kind::CreateBuilder: check_builder(job, placed, model); break;
      case Kind::JoinManifest: check_join(job, placed, model); break;
      case Kind::Login: check_login(job, placed, model); break;
      default: break;
    }
  }
  bool uses_docker = !job.images.empty();
  if (uses_docker) check_docker_images(job, model);
}

Result<Model> read(System system, std::string_view text) {
  switch (system) {
    case System::GitLab: return read_gitlab(text);
    case System::GitHub: return read_github(text);
    case System::CodeBuild: return read_codebuild(text);
    case System::Jenkins: return read_jenkins(text);
    case System::CircleCi: return read_circleci(text);
    case System::Tekton: break;
  }
  return read_tekton(text);
}

}  // namespace

std::string_view severity_name(Severity severity) {
  if (severity == Severity::Error) return "error";
  return severity == Severity::Warning ? "warning" : "note";
}

Result<std::vector<Finding>> check_pipeline(System system, std::string_view text) {
  if (text.size() > kMaxPipelineBytes) return Error{Code::Invalid, "larger than " + std::to_string(kMaxPipelineBytes >> 20) + " MiB"};
  Model model = TRY(read(system, text));
  for (size_t i = 0; i < model.jobs.size(); ++i) check_job(model.jobs[i], model);
  check_whole(model);
  auto order = [](const Finding& a, const Finding& b) { return std::tuple(a.line, a.column, a.rule, a.message) < std::tuple(b.line, b.column, b.rule, b.message); };
  std::stable_sort(model.findings.begin(), model.findings.end(), order);
  // Scripts that several jobs share are said once.
  auto same = [](const Finding& a, const Finding& b) { return a.line == b.line && a.column == b.column && a.rule == b.rule && a.message == b.message; };
  model.findings.erase(std::unique(model.findings.begin(), model.findings.end(), same), model.findings.end());
  return std::move(model.findings);
}

Result<System> recognize_system(std::string_view path, std::string_view text) {
  std::string name = to_lower(path.substr(path.rfind('/') == path.npos ? 0 : path.rfind('/') + 1));
  if (name.find("gitlab-ci") != name.npos) return System::GitLab;
  if (name.find("jenkinsfile") != name.npos || name.ends_with(".groovy")) return System::Jenkins;
  if (path.find(".github/workflows/") != path.npos) return System::GitHub;
  if (path.find(".circleci/") != path.npos) return System::CircleCi;
  if (name.find("buildspec") != name.npos) return System::CodeBuild;
  auto documents = parse_yaml_tree(text);
  if (documents.ok()) {
    for (const YamlTreeDocument& document : *documents) {
      const YamlNode& root = document.root;
      const YamlNode* version = root.find("apiVersion");
      if (version && version->text.starts_with("tekton.dev/")) return System::Tekton;
      if (root.find("phases") && root.find("version")) return System::CodeBuild;
      if (root.find("jobs") && root.find("on")) return System::GitHub;
      if (root.find("jobs") && root.find("version")) return System::CircleCi;
      if (root.find("stages") || root.find("workflow") || root.find("default")) return System::GitLab;
      for (const YamlNode& child : root.children) {
        if (child.kind == YamlNode::Kind::Mapping && child.find("script")) return System::GitLab;
      }
    }
  }
  if (text.find("pipeline {") != text.npos || text.find("node(") != text.npos || text.find("node {") != text.npos) return System::Jenkins;
  return Error{Code::Invalid, std::string(path) + ": no file of a system that archway knows", "archway ci gitlab|github|codebuild|jenkins|circleci|tekton --check FILE says which"};
}

}  // namespace archway::ci
