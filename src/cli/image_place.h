#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/command.h"
#include "image/copy.h"
#include "registry/client.h"

// Any place an image can be, spelt as skopeo spells it: a bare reference or docker://REF, oci:DIR[:TAG],
// oci-archive:FILE[:TAG], docker-archive:FILE[:REF].
namespace archway::cli {

struct ImagePlace {
  enum class Kind { Registry, Layout, OciArchive, DockerArchive } kind = Kind::Registry;
  std::string path = {};                     // of a folder or file
  std::string name = {};                     // within it; "" where none was given
  std::optional<Reference> reference = {};   // in a registry
};
Result<ImagePlace> parse_image_place(const std::string& spelling);

struct OpenedImage {
  std::shared_ptr<Provider> provider;
  Root root;
  std::string name;  // for people
};
Result<OpenedImage> open_image(const std::string& spelling, RegistryClient& client, const Context& context);

// Where an image goes: copy_image(..., *ingester, ..., {.jobs = jobs, .tags = tags}), then finish(). An archive appears only then.
struct ImageDestination {
  std::shared_ptr<Ingester> ingester;
  std::vector<std::string> tags = {};
  std::optional<Digest> expected = {};       // REF@DIGEST: what goes there must be that
  size_t jobs = 6;
  bool one_platform = false;                 // a docker archive
  std::function<Result<void>()> finish;
  std::string name = {};                     // for people
};
Result<ImageDestination> open_destination(const std::string& spelling, RegistryClient& client);

// Copies all of `root` there and finishes.
Result<CopyStats> copy_to(const ImageDestination& to, Provider& from, const Root& root, Progress* progress, std::string verb, std::stop_token stop);

}  // namespace archway::cli
