#include "admission/review.h"

#include <algorithm>

#include "admission/names.h"
#include "admission/review_reader.h"
#include "base/text.h"

namespace archway::admission {

namespace {

constexpr std::string_view kApiVersion = "admission.k8s.io/v1";
constexpr size_t kMaxAuditBytes = 2048;
constexpr size_t kMaxShownNameBytes = 120;

// Kinds that hold pods, with the group that they are served from.
struct Kind {
  std::string_view kind, group;
};
constexpr Kind kOwners[] = {{"Deployment", "apps"}, {"StatefulSet", "apps"}, {"DaemonSet", "apps"}, {"ReplicaSet", "apps"},
                            {"Job", "batch"},       {"CronJob", "batch"},    {"ReplicationController", ""}, {"PodTemplate", ""}};

bool is_owner(const ReviewRequest& request) {
  return std::any_of(std::begin(kOwners), std::end(kOwners), [&](const Kind& each) { return each.kind == request.kind && each.group == request.group; });
}

bool is_pod(const ReviewRequest& request) { return request.kind == "Pod" && request.group.empty(); }

bool asks_to_be_left(const Json& metadata) { return metadata["labels"][kModeLabel].string() == kModeIgnore; }

const Json* controller_of(const Json& object) {
  for (const Json& owner : object["metadata"]["ownerReferences"].items()) {
    if (owner["controller"].boolean()) return &owner;
  }
  return nullptr;
}

ReviewPlan leave(std::string reason) { return {{}, std::move(reason), {}}; }

Json image_list(const Json& spec) {
  Json list = Json::array();
  for (const kube::PodImage& each : kube::pod_images(spec)) list.push(each.image);
  return list;
}

// Whether two versions of a pod name the same images and are placed by the same words.
bool placed_alike(const Json& before, const Json& after) {
  for (std::string_view name : {"nodeSelector", "tolerations", "nodeName", "os", "schedulingGates"}) {
    if (!(before[name] == after[name])) return false;
  }
  return before["affinity"]["nodeAffinity"] == after["affinity"]["nodeAffinity"] && image_list(before) == image_list(after);
}

// Ephemeral containers of `after` whose name `before` does not have.
std::vector<std::string> new_ephemeral_images(const Json& before, const Json& after) {
  std::vector<std::string> images;
  const Json::Array& old = before["ephemeralContainers"].items();
  for (const Json& container : after["ephemeralContainers"].items()) {
    bool known = std::any_of(old.begin(), old.end(), [&](const Json& each) { return each["name"] == container["name"]; });
    if (!known) images.push_back(container["image"].string());
  }
  return images;
}

class Planner {
 public:
  Planner(const ReviewRequest& request, const Policy& policy) : request_(request), policy_(policy) {}

  ReviewPlan plan() {
    if (request_.operation != "CREATE" && request_.operation != "UPDATE") return leave("operation " + request_.operation);
    if (!request_.object.is_object()) return leave("no object");
    if (std::find(policy_.ignored_namespaces.begin(), policy_.ignored_namespaces.end(), request_.name_space) != policy_.ignored_namespaces.end()) {
      return leave("namespace " + request_.name_space + " is left alone");
    }
    if (asks_to_be_left(request_.object["metadata"])) return leave("it asks to be left alone");
    if (!request_.object["metadata"]["deletionTimestamp"].is_null()) return leave("it is being deleted");
    if (is_pod(request_)) return of_pod();
    if (is_owner(request_)) return of_owner();
    return leave("kind " + request_.kind + " holds no pods");
  }

 private:
  bool updates() const { return request_.operation == "UPDATE"; }

  ReviewPlan of_pod() {
    const Json& spec = request_.object["spec"];
    const Json& old = request_.old_object["spec"];
    // The kubelet runs it from a file, whatever the API server says.
    if (request_.object["metadata"]["annotations"].has(kMirrorAnnotation)) return leave("a static pod");
    Subject subject = about(Subject::Kind::Pod, "");
    if (request_.subresource == "ephemeralcontainers") {
      subject.new_images = new_ephemeral_images(old, spec);
      if (subject.new_images.empty()) return leave("no ephemeral container is new");
      return unchangeable(std::move(subject), "ephemeral containers go where their pod is");
    }
    if (!request_.subresource.empty()) return leave("subresource " + request_.subresource);
    if (updates() && old["schedulingGates"].items().empty()) {
      if (image_list(old) == image_list(spec)) return leave("an update that names no new images");
      return unchangeable(std::move(subject), "the pod is placed already");
    }
    if (!spec["nodeName"].string().empty()) return unchangeable(std::move(subject), "spec.nodeName is set");
    if (updates()) {
      subject.change = Subject::Change::Narrow;
      subject.may_refuse = !(image_list(old) == image_list(spec));
    }
    return with_images(std::move(subject));
  }

  ReviewPlan of_owner() {
    if (!request_.subresource.empty()) return leave("subresource " + request_.subresource);
    std::string pointer = kube::pod_template_path(request_.kind).value_or("/spec/template");
    const Json* holder = value_at(request_.object, pointer);
    if (!holder || !holder->is_object()) return leave("it has no template");
    if (asks_to_be_left((*holder)["metadata"])) return leave("its template asks to be left alone");
    Subject subject = about(Subject::Kind::Template, pointer);
    if (updates()) {
      const Json* old_holder = value_at(request_.old_object, pointer);
      static const Json none;
      const Json& before = old_holder ? (*old_holder)["spec"] : none;
      if (placed_alike(before, (*holder)["spec"])) return leave("an update that changes neither images nor placement");
      // A Job's template is fixed from its first start on (kubernetes/pkg/registry/batch/job, "suspended and not started").
      if (request_.kind == "Job" && !may_still_be_placed(request_.old_object)) {
        subject.keep_added = true;
        return unchangeable(std::move(subject), "the job has been started");
      }
    }
    // Whoever made the object compares it with what it wants and would write it again, or make another one: a Deployment and its
    // ReplicaSets, an operator and its StatefulSets. Their pods are reviewed one by one. Nobody compares a Job.
    if (request_.kind != "Job") {
      if (const Json* owner = controller_of(request_.object)) {
        return leave("it belongs to " + (*owner)["kind"].string() + " " + (*owner)["name"].string() + "; its pods are looked at");
      }
    }
    if (!(*holder)["spec"]["nodeName"].string().empty()) return unchangeable(std::move(subject), "spec.nodeName is set");
    return with_images(std::move(subject));
  }

  static bool may_still_be_placed(const Json& old_job) { return old_job["spec"]["suspend"].boolean() && old_job["status"]["startTime"].is_null(); }

  Subject about(Subject::Kind kind, std::string pointer) const {
    Subject subject;
    subject.object = &request_.object;
    subject.pointer = std::move(pointer);
    subject.kind = kind;
    subject.name = request_.str();
    if (const Json* holder = value_at(request_.object, subject.pointer)) subject.node = (*holder)["spec"]["nodeName"].string();
    return subject;
  }
  static ReviewPlan unchangeable(Subject subject, std::string why) {
    subject.change = Subject::Change::Nothing;
    subject.why_nothing = std::move(why);
    return with_images(std::move(subject));
  }
  // Where there are too many images nobody is asked, and the decision says why.
  static ReviewPlan with_images(Subject subject) {
    ReviewPlan plan;
    const Json* holder = value_at(*subject.object, subject.pointer);
    if (holder) plan.images = images_to_ask((*holder)["spec"]).value_or({});
    plan.subject = std::move(subject);
    return plan;
  }

  const ReviewRequest& request_;
  const Policy& policy_;
};

Json audit_annotations(const Decision& decision, const Policy& policy) {
  Json audit = Json::object({{"decision", outcome_name(decision.outcome)}});
  auto add = [&](std::string_view key, std::string text) {
    if (!text.empty()) audit.set(key, text.size() > kMaxAuditBytes ? text.substr(0, kMaxAuditBytes) : std::move(text));
  };
  add("summary", decision.summary);
  add("platforms", list_places(decision.common));
  if (policy.mode == Policy::Mode::Report) add("mode", "report");
  return audit;
}

}  // namespace

// What stands in messages goes through HTTP headers: printable ASCII, and not endless.
std::string ReviewRequest::str() const {
  std::string text = to_lower(kind) + " " + (name_space.empty() ? "" : name_space + "/") + name;
  if (text.size() > kMaxShownNameBytes) text.resize(kMaxShownNameBytes);
  std::replace_if(text.begin(), text.end(), [](char c) { return c < 0x20 || c >= 0x7f; }, '?');
  return text;
}

Result<ReviewRequest> read_review(std::string_view body) {
  if (body.size() > kMaxReviewBytes) return Error{Code::Invalid, "the review has more than " + std::to_string(kMaxReviewBytes) + " bytes"};
  Json review = TRY(read_review_json(body).context("reading the AdmissionReview"));
  if (review["kind"].string() != "AdmissionReview") return Error{Code::Invalid, "this is no AdmissionReview", "its \"kind\" is to be AdmissionReview"};
  if (review["apiVersion"].string() != kApiVersion) {
    return Error{Code::Invalid, "an AdmissionReview of version \"" + review["apiVersion"].string().substr(0, 100) + "\"; only " + std::string(kApiVersion) + " is understood",
                 "set admissionReviewVersions: [v1] in the webhook's configuration"};
  }
  Json* from = review.find("request");
  if (!from || !from->is_object()) return Error{Code::Invalid, "the AdmissionReview holds no request"};
  ReviewRequest request;
  request.uid = (*from)["uid"].string();
  if (request.uid.empty()) return Error{Code::Invalid, "the AdmissionReview's request has no uid"};
  request.operation = (*from)["operation"].string();
  request.group = (*from)["kind"]["group"].string();
  request.kind = (*from)["kind"]["kind"].string();
  request.subresource = (*from)["subResource"].string();
  request.dry_run = (*from)["dryRun"].boolean();
  if (Json* object = from->find("object")) request.object = std::move(*object);
  if (Json* old = from->find("oldObject")) request.old_object = std::move(*old);
  const Json& metadata = request.object["metadata"];
  request.name_space = (*from)["namespace"].string();
  request.name = (*from)["name"].string();
  if (request.name.empty()) request.name = metadata["name"].string();
  if (request.name.empty()) request.name = metadata["generateName"].string();
  return request;
}

ReviewPlan plan_review(const ReviewRequest& request, const Policy& policy) { return Planner(request, policy).plan(); }

Decision decide_review(const ReviewPlan& plan, const ImageAnswers& answers, const Policy& policy) {
  if (plan.subject) return decide(*plan.subject, answers, policy);
  Decision decision;
  decision.summary = plan.reason;
  return decision;
}

std::string write_response(const ReviewRequest& request, const Decision& decision, const Policy& policy) {
  Json response = Json::object({{"uid", request.uid}, {"allowed", !decision.refusal.has_value()}});
  if (decision.refusal) {
    response.set("status", Json::object({{"status", "Failure"}, {"message", *decision.refusal}, {"reason", "Forbidden"}, {"code", 403}}));
  } else if (decision.patch.size() > 0) {
    response.set("patchType", "JSONPatch");
    response.set("patch", base64_encode(to_json(decision.patch)));
  }
  if (!decision.warnings.empty()) response.set("warnings", Json(decision.warnings));
  response.set("auditAnnotations", audit_annotations(decision, policy));
  Json review = Json::object({{"apiVersion", kApiVersion}, {"kind", "AdmissionReview"}});
  review.set("response", std::move(response));
  return to_json(review);
}

}  // namespace archway::admission
