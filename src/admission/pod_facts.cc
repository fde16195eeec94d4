#include "admission/pod_facts.h"

#include <algorithm>

#include "image/reference.h"

namespace archway::admission {

Result<std::vector<std::string>> images_to_ask(const Json& pod_spec) {
  std::vector<std::string> names;
  for (kube::PodImage& each : kube::pod_images(pod_spec)) {
    if (each.image.size() > kMaxImageNameBytes) return Error{Code::Invalid, "an image's name has more than " + std::to_string(kMaxImageNameBytes) + " bytes"};
    if (std::find(names.begin(), names.end(), each.image) != names.end()) continue;
    if (names.size() == kMaxImages) return Error{Code::Invalid, "it names more than " + std::to_string(kMaxImages) + " images"};
    names.push_back(std::move(each.image));
  }
  return names;
}

KnownImages::KnownImages(ImageTruths truths) : truths_(std::make_shared<const ImageTruths>(std::move(truths))) {
  for (const auto& [text, truth] : truths_->images) {
    auto reference = Reference::parse(text);
    if (!reference.ok()) continue;
    by_name_.emplace(reference->str(), &truth);
    std::optional<Digest> digest = reference->digest() ? reference->digest() : truth.digest;
    if (digest) by_name_.emplace(reference->with_digest(*digest).str(), &truth);
  }
}

ImageAnswer KnownImages::find(const std::string& image) const {
  ImageAnswer answer;
  answer.keep = truths_;
  if (auto exact = truths_->images.find(image); exact != truths_->images.end()) {
    answer.truth = &exact->second;
    return answer;
  }
  auto reference = Reference::parse(image);
  if (!reference.ok()) {
    answer.code = Code::Invalid;
    answer.why = reference.error().message;
    return answer;
  }
  auto found = by_name_.find(reference->str());
  // With a digest the tag is decoration.
  if (found == by_name_.end() && reference->digest()) found = by_name_.find(reference->with_digest(*reference->digest()).str());
  if (found != by_name_.end()) {
    answer.truth = found->second;
  } else {
    answer.why = "nothing is known of it";
  }
  return answer;
}

ImageAnswers KnownImages::find_all(const std::vector<std::string>& images) const {
  ImageAnswers answers;
  for (const std::string& image : images) answers.emplace(image, find(image));
  return answers;
}

}  // namespace archway::admission
