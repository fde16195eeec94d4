#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "admission/decision.h"
#include "admission/policy.h"
#include "format/json.h"

// admission.k8s.io/v1: a review comes in, says which images to ask about, and goes out with the answer.
namespace archway::admission {

// object and oldObject of the largest request that the API server takes (3 MiB), written with room.
inline constexpr size_t kMaxReviewBytes = 16u << 20;

struct ReviewRequest {
  std::string uid, operation;             // CREATE, UPDATE, DELETE, CONNECT
  std::string group, kind, subresource;   // of the object, in the version the webhook asked for
  std::string name_space, name;           // of the object; "web-" where the API server has yet to complete it
  bool dry_run = false;
  Json object, old_object;                // without what review_reader.h passes over
  std::string str() const;                // "pod default/web-", for messages
};
// Invalid: no JSON, no AdmissionReview of version v1, no request in it, no uid.
Result<ReviewRequest> read_review(std::string_view body);

// What is to be looked at, before anything is known of any image.
struct ReviewPlan {
  std::optional<Subject> subject = {};  // none: allowed, for `reason`
  std::string reason = {};
  std::vector<std::string> images = {}; // to ask about; few enough
};
// `subject` points into `request`.
ReviewPlan plan_review(const ReviewRequest& request, const Policy& policy);

// Nothing to look at is Outcome::Ignored with the reason as its summary.
Decision decide_review(const ReviewPlan& plan, const ImageAnswers& answers, const Policy& policy);

// The AdmissionReview that goes back: uid, allowed, JSON patch in base64, warnings, audit annotations, status of a refusal.
std::string write_response(const ReviewRequest& request, const Decision& decision, const Policy& policy);

}  // namespace archway::admission
