#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "audit/audit.h"
#include "base/sync.h"
#include "image/reference.h"

namespace archway::audit {

// Verdicts on images, with everything that registries are asked about them. Thread safe.
class ImageJudge {
 public:
  ImageJudge(ImageLookup& lookup, const AuditOptions& options) : lookup_(lookup), options_(options) {}

  // `keychain`: the one that could see the image.
  Judgement judge(const Reference& reference, const ImageFacts& facts, const Platform& platform, const Keychain& keychain);
  // Of an image that could not be looked at.
  static Judgement unknown(const Reference& reference, const Platform& platform, const Error& error);
  // Reads what the image holds. Adds to `facts.truth.wrong`, and tells the lookup. An Error where it cannot be read.
  Result<void> verify(const Reference& reference, ImageFacts& facts, const Keychain& keychain);

 private:
  bool repinned(const Reference& reference, const ImageFacts& facts, Judgement& judgement, const Keychain& keychain);
  bool updated(const Reference& reference, Judgement& judgement, const Keychain& keychain);
  bool renamed(const Reference& reference, Judgement& judgement, const Keychain& keychain);
  ImageLookup::Facts holder(const Reference& reference, const Platform& platform, const Keychain& keychain);
  Result<std::vector<std::string>> tags(const Reference& reference, const Keychain& keychain);

  ImageLookup& lookup_;
  const AuditOptions& options_;
  Sync<std::map<std::string, Result<std::vector<std::string>>>> tags_;
};

}  // namespace archway::audit
