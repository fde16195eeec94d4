#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "format/json.h"
#include "image/truth.h"
#include "kube/pod_images.h"

// What a pod's images are, and what is known of them.
namespace archway::admission {

// A pod of more images, or with a longer name among them, is let pass as it is: nobody is asked about it. The API server knows no limit.
inline constexpr size_t kMaxImages = 128;
inline constexpr size_t kMaxImageNameBytes = 1024;
// Required terms, likewise: narrowed, they could make an object too large for etcd, and the pod would be refused because of us.
inline constexpr size_t kMaxTerms = 1000;

// What a look-up gave: `truth`, or why there is none. `truth` points into something that `keep` holds.
struct ImageAnswer {
  const ImageTruth* truth = nullptr;
  std::shared_ptr<const void> keep = {};
  Code code = Code::Unavailable;  // where there is no truth
  std::string why = {};
};
using ImageAnswers = std::map<std::string, ImageAnswer, std::less<>>;  // by the image as the pod spells it

// The images of a pod spec, each once, in the API's order. Invalid where a limit says that it is not to be looked at.
Result<std::vector<std::string>> images_to_ask(const Json& pod_spec);

// `--images FILE` and nobody else: by the reference, or by a digest that the file knows in the same repository.
class KnownImages {
 public:
  explicit KnownImages(ImageTruths truths);
  ImageAnswer find(const std::string& image) const;
  ImageAnswers find_all(const std::vector<std::string>& images) const;

 private:
  std::shared_ptr<const ImageTruths> truths_;
  std::map<std::string, const ImageTruth*, std::less<>> by_name_;  // "docker.io/library/alpine:latest", "…/alpine@sha256:…"
};

}  // namespace archway::admission
