// A review as the API server, or anyone who reaches the webhook, may send it: the quick reader reads what parse_json reads, and whatever is
// decided applies to the object and is the same when it is decided again.
#include <cstdint>

#include "admission/review.h"
#include "admission/review_reader.h"
#include "base/check.h"

using namespace archway;
using namespace archway::admission;

namespace {

const ImageTruth& some_truth(size_t which) {
  static const ImageTruth truths[] = {{.platforms = {{"linux", "amd64"}, {"linux", "arm64"}}},
                                      {.platforms = {{"linux", "amd64"}}},
                                      {.platforms = {{"linux", "amd64"}, {"linux", "arm64"}, {"windows", "amd64"}}},
                                      {.platforms = {{"linux", "arm64"}}, .wrong = {{{"linux", "arm64"}, "it is x86-64"}}}};
  return truths[which % std::size(truths)];
}

void decide_it(const ReviewRequest& request) {
  Policy policy;
  policy.prefer = Preference{"arm64", 1};
  policy.tolerate = {{{"arch", "arm64", "NoSchedule"}, {"linux", "arm64"}}};
  policy.on_unknown = Policy::OnUnknown::Gate;
  ReviewPlan plan = plan_review(request, policy);
  CHECK(plan.images.size() <= kMaxImages);
  ImageAnswers answers;
  for (const std::string& image : plan.images) {
    if (image.size() % 7 != 6) answers[image].truth = &some_truth(image.size());
  }
  Decision decision = decide_review(plan, answers, policy);
  CHECK(parse_json(write_response(request, decision, policy)).ok());
  auto after = apply_patch(request.object, decision.patch);
  CHECK(after.ok());
  if (decision.outcome != Outcome::Changed) return;
  ReviewRequest next = request;
  next.object = std::move(*after);
  ReviewPlan again = plan_review(next, policy);
  if (!again.subject) return;
  Decision second = decide_review(again, answers, policy);
  bool roughly = false;
  for (const std::string& warning : decision.warnings) roughly |= warning.find("roughly") != std::string::npos;
  CHECK(roughly || second.patch.size() == 0);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  auto quick = read_review_json(text);
  auto whole = parse_json(text);
  if (whole.ok() && quick.ok()) CHECK(*quick == prune_review(*whole));
  auto request = read_review(text);
  if (request.ok()) decide_it(*request);
  return 0;
}
