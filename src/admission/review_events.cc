#include "admission/review_events.h"

#include "base/text.h"

namespace archway::admission {
namespace {

constexpr std::string_view kOurs = "archway: ";

std::string without_prefix(const std::string& text) { return text.starts_with(kOurs) ? text.substr(kOurs.size()) : text; }

std::string words_of(const Decision& decision) {
  std::vector<std::string> words;
  for (const std::string& warning : decision.warnings) words.push_back(without_prefix(warning));
  return words.empty() ? decision.summary : join(words, "; ");
}

}  // namespace

ObjectReference about_review(const ReviewRequest& request, bool refused) {
  const Json& metadata = request.object["metadata"];
  const std::string& uid = metadata["uid"].string();
  ObjectReference about;
  about.name_space = request.name_space;
  about.name = metadata["name"].string();
  about.uid = uid;
  about.kind = request.kind;
  about.api_version = request.group.empty() ? "v1" : request.group + "/v1";
  bool is_pod = request.kind == "Pod";
  about.find_uid = is_pod && uid.empty() && !refused;
  // A pod that is refused, or has no name yet, is nobody's to describe; what makes it is there.
  bool exists = !about.name.empty() && !(is_pod && refused && request.operation == "CREATE");
  if (exists) return about;
  for (const Json& owner : metadata["ownerReferences"].items()) {
    if (owner["controller"].boolean()) return {owner["apiVersion"].string(), owner["kind"].string(), request.name_space, owner["name"].string(), owner["uid"].string()};
  }
  if (!about.name.empty()) return about;
  // Kept in the namespace itself, so that `kubectl get events` there shows it.
  return {"v1", "Namespace", request.name_space, request.name_space, ""};
}

void tell_of_review(EventRecorder& events, const ReviewRequest& request, const Decision& decision) {
  if (request.dry_run) return;
  ObjectReference about = about_review(request, decision.refusal.has_value());
  switch (decision.outcome) {
    case Outcome::Refused: return events.record(about, EventType::Warning, "ImagePlatformsDenied", without_prefix(decision.refusal.value_or(decision.summary)));
    case Outcome::Conflict: return events.record(about, EventType::Warning, "ImagePlatformsConflict", decision.summary);
    case Outcome::Unknown: return events.record(about, EventType::Warning, "ImagePlatformsUnknown", words_of(decision));
    case Outcome::Gated: return events.record(about, EventType::Normal, "ImagePlatformsAwaited", words_of(decision));
    case Outcome::Ignored:
    case Outcome::Unchanged:
    case Outcome::Changed: return;
  }
}

}  // namespace archway::admission
