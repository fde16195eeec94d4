#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "audit/finding.h"
#include "image/reference.h"

// An image as somebody wrote it: a reference, a template of one, or none (audit.md 4.1, "rules of omission").
namespace archway::audit {

struct WrittenImage {
  std::optional<Reference> reference = {};
  // Why there is none.
  std::string why = {};
  bool templated = false;  // ${VAR}, {{ .Values.x }}, <placeholder>: nothing to judge, rather than wrong
};
WrittenImage read_image(std::string_view text);

// Text where an image may stand, and many other things do: an argument, a variable's value, a ConfigMap's line. Taken for an image only
// with a registry's host or a namespace known from Docker Hub, and a tag or digest. `hinted`: its name says "image" (--sidecar-image=X,
// PROXY_IMAGE), so that less is asked of it. nullopt where it is none.
struct LooseImage {
  std::string image;
  size_t offset = 0;  // in the text
  Confidence confidence = Confidence::Possible;
};
std::optional<LooseImage> loose_image(std::string_view text, bool hinted);
// The same in "--flag=X", "-Dkey=X", "flag X" of one argument; `previous` is the argument before ("--engine-image", "X").
std::optional<LooseImage> argument_image(std::string_view argument, std::string_view previous);
// All in a longer text, line by line: a configuration file in a ConfigMap, a script.
std::vector<LooseImage> images_in_text(std::string_view text);

// Does a name speak of an image: "image", "sidecarImage", "PROXY_IMAGE", "--proxy-image", "imageName"? Not "imagePullPolicy".
bool names_image(std::string_view name);

// Could any image stand in this text, in any way that the readers know? False is certain. One pass, about as fast as memory.
bool may_hold_images(std::string_view text);

}  // namespace archway::audit
