#pragma once

#include <optional>
#include <string>
#include <vector>

#include "ci/shell.h"

// What a command does with images, whatever program does it.
namespace archway::ci {

struct ImageCommand {
  enum class Kind : uint8_t {
    Build,          // docker build, docker buildx build, podman build, buildah bud, archway build, buildctl build
    CreateBuilder,  // docker buildx create
    JoinManifest,   // docker manifest create: not of indexes, and not twice
    JoinIndex,      // docker buildx imagetools create, archway index create
    Login,
    Emulator,       // binfmt_misc gets emulators
    Verify,         // archway verify
  } kind = Kind::Build;
  uint32_t line = 0;
  std::string program;                 // "docker", "docker buildx", "archway", ...
  std::vector<std::string> platforms;  // of --platform, split at commas; as written
  std::vector<std::string> tags;       // -t
  std::vector<std::string> outputs;    // -o
  std::vector<std::string> words;      // all of them
  bool one_each = false;               // the platforms are those of a matrix, one for each run
  bool push = false, load = false;
  std::optional<bool> provenance;      // --provenance, where it is given
  bool attests = false;                // adds attestations unless told otherwise: buildx
  bool has_word(std::string_view word) const;
};

std::optional<ImageCommand> image_command(const ShellCommand& command);
// Of a list of commands, and of the commands in `sh -c "..."` and in what `docker run` starts.
std::vector<ImageCommand> image_commands(const std::vector<ShellCommand>& commands);

// After this, programs of other processors run: under an emulator, or on another machine that the builder has.
bool sets_up_other_platforms(const ImageCommand& command);

// "registry/app:1" and "app@sha256:..." have one, "registry:5000/app" and "$IMAGE" do not; "$IMAGE:$TAG" has.
bool has_tag(std::string_view reference);
// Whether a platform, as written, is of this architecture: "linux/arm64", "arm64/v8", "linux/aarch64".
bool is_architecture(std::string_view platform, std::string_view architecture);

}  // namespace archway::ci
