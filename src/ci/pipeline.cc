#include "ci/pipeline.h"

#include <algorithm>

#include "base/text.h"
#include "ci/template.h"

namespace archway::ci {

namespace {

constexpr std::string_view kGitLab =
#include "ci/gitlab_yml.inc"
    ;
constexpr std::string_view kGitHub =
#include "ci/github_yml.inc"
    ;
constexpr std::string_view kCodeBuild =
#include "ci/codebuild_yml.inc"
    ;
constexpr std::string_view kJenkins =
#include "ci/jenkinsfile.inc"
    ;
constexpr std::string_view kCircleCi =
#include "ci/circleci_yml.inc"
    ;
constexpr std::string_view kTekton =
#include "ci/tekton_yml.inc"
    ;

// What generated files name. The binfmt image's newer QEMU crashed at random on GitHub's runners (runner-images 11471).
constexpr std::string_view kDocker = "28", kBuildKit = "0.22.0", kBinfmt = "tonistiigi/binfmt:qemu-v8.1.5";
// What archway needs of Debian 12: to run, and to build.
constexpr std::string_view kLibraries = "libboost-json1.81.0 libcurl4 libisal2 libmicrohttpd12 libre2-9 libsqlite3-0 libyaml-0-2";
constexpr std::string_view kBuilderPackages = "crun qemu-user-static uidmap";

std::string_view template_of(System system) {
  switch (system) {
    case System::GitLab: return kGitLab;
    case System::GitHub: return kGitHub;
    case System::CodeBuild: return kCodeBuild;
    case System::Jenkins: return kJenkins;
    case System::CircleCi: return kCircleCi;
    case System::Tekton: break;
  }
  return kTekton;
}

// How each system spells a setting of the project named ARCHWAY_IMAGE, where an image is expected.
std::string archway_setting(System system) {
  if (system == System::GitHub) return "${{ vars.ARCHWAY_IMAGE }}";
  return "$ARCHWAY_IMAGE";
}

// What the system would expand, or take for its own, inside of a script.
std::string_view forbidden(System system) {
  switch (system) {
    case System::GitHub: return "${{";
    case System::CircleCi: return "<<";
    case System::Tekton: return "$(";
    default: return "";
  }
}

Result<void> check_text(System system, std::string_view what, std::string_view text) {
  bool control = std::any_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
  if (control) return Error{Code::Invalid, std::string(what) + " holds a control character"};
  std::string_view bad = forbidden(system);
  if (!bad.empty() && text.find(bad) != text.npos) {
    return Error{Code::Invalid, std::string(what) + " " + std::string(text) + " holds " + std::string(bad) + ", which " + std::string(system_name(system)) + " would expand"};
  }
  return {};
}

Result<void> check_name(std::string_view what, std::string_view text, std::string_view more, size_t limit) {
  bool plain = !text.empty() && text.size() <= limit && text[0] != '-' && std::all_of(text.begin(), text.end(), [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || more.find(c) != more.npos;
  });
  if (!plain) return Error{Code::Invalid, std::string(what) + " " + std::string(text) + " is none"};
  return {};
}

bool is_url(std::string_view text) { return text.starts_with("https://") || text.starts_with("http://"); }

Result<void> check_request(const PipelineRequest& request) {
  TRY(check_name("tag", request.tag, "_.-", 128));
  TRY(check_name("branch", request.branch, "_.-/+#", 255));
  if (!request.image.empty()) TRY(check_name("image", request.image, "_.-/:", 255));
  if (!request.archway_from.empty()) TRY(check_name("--archway-from", request.archway_from, is_url(request.archway_from) ? "_.-/:~%?=&+{}" : "_.-/:@", 1024));
  for (auto [what, text] : {std::pair("context", &request.context), {"dockerfile", &request.dockerfile}, {"smoke test", &request.smoke_test}}) {
    TRY(check_text(request.system, what, *text));
    if (text->size() > 4096) return Error{Code::Invalid, std::string(what) + " is longer than 4096 bytes"};
  }
  if (request.context.empty() || request.dockerfile.empty()) return Error{Code::Invalid, "context and Dockerfile need a path"};
  if (request.system == System::Jenkins && request.image.empty()) return Error{Code::Invalid, "Jenkins has no registry of its own: --image says where the image goes"};
  return {};
}

// "https://example.org/archway-{arch}" in double quotes of a shell.
std::string url_word(const std::string& url) { return "\"" + replace_all(url, "{arch}", "$(uname -m | sed 's/x86_64/amd64/; s/aarch64/arm64/')") + "\""; }

// For jobs that are Debian containers.
std::string debian_install(const PipelineRequest& request) {
  std::string packages = "ca-certificates curl " + std::string(kLibraries);
  if (request.builder == Builder::Archway) packages += " " + std::string(kBuilderPackages);
  return "apt-get update -qq\napt-get install -y -qq --no-install-recommends " + packages + "\ncurl -fsSL --retry 3 -o /usr/local/bin/archway " + url_word(request.archway_from) +
         "\nchmod +x /usr/local/bin/archway";
}

// For jobs on machines with docker: archway as a function of the shell.
std::string host_setup(const PipelineRequest& request) {
  if (is_url(request.archway_from)) {
    return "curl -fsSL --retry 3 -o /tmp/archway " + url_word(request.archway_from) + "\nchmod +x /tmp/archway\narchway() { /tmp/archway \"$@\"; }";
  }
  std::string image = request.archway_from.empty() ? "\"$ARCHWAY_IMAGE\"" : shell_word(request.archway_from);
  std::string privileged = request.builder == Builder::Archway ? "--privileged " : "";
  return "archway() { docker run --rm " + privileged + "-v \"$PWD:/work\" -w /work -v \"$HOME/.docker:/root/.docker:ro\" --entrypoint archway " + image + " \"$@\"; }";
}

std::string registry_of(const std::string& image) {
  auto [host, rest] = cut(image, '/');
  bool is_host = rest && (host.find('.') != host.npos || host.find(':') != host.npos || host == "localhost");
  return is_host ? std::string(host) : "docker.io";
}

// "docker/app/Dockerfile" -> "docker/app", "Dockerfile"
std::pair<std::string, std::string> folder_and_name(const std::string& path) {
  size_t slash = path.rfind('/');
  if (slash == path.npos) return {".", path};
  return {slash == 0 ? "/" : path.substr(0, slash), path.substr(slash + 1)};
}

TemplateValues values_of(const PipelineRequest& request) {
  TemplateValues values;
  bool native = request.machines == Machines::Native, archway = request.builder == Builder::Archway;
  bool url = is_url(request.archway_from), setting = request.archway_from.empty();
  values.flags = {{"native", native}, {"emulate", !native}, {"archway", archway}, {"buildx", !archway}, {"from_url", url}, {"from_setting", setting},
                  {"smoke", !request.smoke_test.empty()}, {"own_image", !request.image.empty()}};
  auto [folder, name] = folder_and_name(request.dockerfile);
  values.texts = {{"image", request.image.empty() ? "registry.example.com/team/app" : request.image}, {"registry", registry_of(request.image)}, {"tag", request.tag},
                  {"branch", request.branch}, {"branch_ref", "refs/heads/" + request.branch}, {"context", request.context}, {"dockerfile", request.dockerfile},
                  {"dockerfile_folder", folder}, {"dockerfile_name", name}, {"smoke", request.smoke_test},
                  {"archway_image", setting ? archway_setting(request.system) : request.archway_from}, {"debian_install", debian_install(request)},
                  {"host_setup", host_setup(request)}, {"docker", std::string(kDocker)}, {"buildkit", std::string(kBuildKit)}, {"binfmt", std::string(kBinfmt)}};
  return values;
}

}  // namespace

std::string_view system_name(System system) {
  switch (system) {
    case System::GitLab: return "gitlab";
    case System::GitHub: return "github";
    case System::CodeBuild: return "codebuild";
    case System::Jenkins: return "jenkins";
    case System::CircleCi: return "circleci";
    case System::Tekton: break;
  }
  return "tekton";
}

const std::vector<System>& all_systems() {
  static const std::vector<System> systems = {System::GitLab, System::GitHub, System::CodeBuild, System::Jenkins, System::CircleCi, System::Tekton};
  return systems;
}

std::optional<System> parse_system(std::string_view name) {
  for (System system : all_systems()) {
    if (system_name(system) == name) return system;
  }
  return std::nullopt;
}

std::string_view usual_file(System system) {
  switch (system) {
    case System::GitLab: return ".gitlab-ci.yml";
    case System::GitHub: return ".github/workflows/image.yml";
    case System::CodeBuild: return "buildspec.yml";
    case System::Jenkins: return "Jenkinsfile";
    case System::CircleCi: return ".circleci/config.yml";
    case System::Tekton: break;
  }
  return ".tekton/image.yaml";
}

Result<std::string> write_pipeline(const PipelineRequest& request) {
  TRY(check_request(request));
  return fill_template(template_of(request.system), values_of(request));
}

}  // namespace archway::ci
