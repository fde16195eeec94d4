#include "audit/limits.h"

#include <algorithm>

#include "image/reference.h"

namespace archway::audit {

size_t not_looked_up(const Audit& audit, const std::string& host) {
  auto waits = [&](const JudgedImage& image) {
    bool limited = std::any_of(image.judgements.begin(), image.judgements.end(), [](const Judgement& each) {
      return each.verdict == Verdict::Unknown && each.code == Code::Unavailable && each.reason.find("rate limit") != std::string::npos;
    });
    if (!limited) return false;
    auto reference = Reference::parse(image.image);
    return reference.ok() && reference->host() == host;
  };
  return static_cast<size_t>(std::count_if(audit.images.begin(), audit.images.end(), waits));
}

}  // namespace archway::audit
