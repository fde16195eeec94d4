#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

// Pipelines that build one image for linux/amd64 and linux/arm64, written in the way that each system does it best (docs/ci.md).
namespace archway::ci {

enum class System : uint8_t { GitLab, GitHub, CodeBuild, Jenkins, CircleCi, Tekton };
enum class Builder : uint8_t { Archway, Buildx };
enum class Machines : uint8_t {
  Native,    // one of its own kind for each platform, and a job that joins what they made
  Emulated,  // one for both, with QEMU
};

std::string_view system_name(System system);  // "gitlab", "github", "codebuild", "jenkins", "circleci", "tekton"
std::optional<System> parse_system(std::string_view name);
const std::vector<System>& all_systems();
// What the file is usually called: ".gitlab-ci.yml".
std::string_view usual_file(System system);

struct PipelineRequest {
  System system = System::GitLab;
  Builder builder = Builder::Buildx;
  Machines machines = Machines::Native;
  std::string image = {};              // without tag; "": the system's own registry or a setting, where it has one
  std::string tag = "latest";          // what others pull, moved last
  std::string branch = "main";         // whose builds move it
  std::string context = ".", dockerfile = "Dockerfile";
  std::string smoke_test = {};         // words of a shell that follow the image: "app --version"
  std::string archway_from = {};       // https://... with {arch} for amd64 or arm64, or an image; "": the setting ARCHWAY_IMAGE
};

// Invalid where a text cannot stand in such a file: control characters, or what the system itself would expand.
Result<std::string> write_pipeline(const PipelineRequest& request);

}  // namespace archway::ci
