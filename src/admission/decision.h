#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "admission/node_match_merge.h"
#include "admission/pod_facts.h"
#include "admission/policy.h"

// What is to be done about one pod, or the template of many. Pure: the same input gives the same bytes.
namespace archway::admission {

// A pod in an object, and how far it may be changed.
struct Subject {
  const Json* object = nullptr;   // the whole, as it is in the request
  std::string pointer = {};       // of what holds "metadata" and "spec" of the pod: "" for a pod, "/spec/template" for a Deployment
  std::string name = {};          // "pod default/web-", for messages
  enum class Kind { Pod, Template } kind = Kind::Pod;
  enum class Change {
    Anything,   // it is being created
    Narrow,     // an update of a gated pod: its node affinity may be narrowed, tolerations added
    Nothing,    // the API server or the kubelet would refuse it; only a warning or a refusal is left
  } change = Change::Anything;
  std::string why_nothing = {};   // "spec.nodeName is set"
  // A started Job: what was added when it was made is put back where somebody applies the manifest again, or the API server would refuse that.
  bool keep_added = false;
  std::string node = {};          // that it is bound to, or asks to be
  std::optional<Place> node_place = {};  // of that node, where it is known
  // False for an update that brings nothing new: refusing it would only keep a gate from being lifted, or a label from being set.
  bool may_refuse = true;
  // Ephemeral containers: the images that are new. Others are not to blame now.
  std::vector<std::string> new_images = {};
};

enum class Outcome {
  Ignored,    // not ours: another kind, an ignored namespace, an update that changes nothing of it
  Unchanged,  // nothing has to be done
  Changed,    // the patch narrows, prefers or tolerates
  Gated,      // a registry did not answer: the pod waits for it
  Unknown,    // a registry did not answer: the pod passes as it is
  Conflict,   // it will not run, and passes with a warning
  Refused,
};
std::string_view outcome_name(Outcome outcome);  // "changed"

struct Decision {
  Outcome outcome = Outcome::Ignored;
  Json patch = Json::array();              // RFC 6902, of the whole object
  std::vector<std::string> warnings = {};  // for who sent the request; each at most kMaxWarningBytes
  std::optional<std::string> refusal = {};
  std::string summary = {};                // one line for people: "only nodes of linux/amd64"
  Places common = {};                      // of all images, where all are known
  // image -> places, in the pod's order, for logs and the record on the pod
  std::vector<std::pair<std::string, std::string>> images = {};
};

// The API server cuts warnings at 256 characters, and all of them at 4096.
inline constexpr size_t kMaxWarningBytes = 256;
inline constexpr size_t kMaxWarnings = 12;
inline constexpr size_t kMaxRecordBytes = 4096;

Decision decide(const Subject& subject, const ImageAnswers& answers, const Policy& policy);

}  // namespace archway::admission
