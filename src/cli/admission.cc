#include <unistd.h>

#include <algorithm>
#include <memory>

#include "admission/cluster_side.h"
#include "admission/review.h"
#include "base/fd.h"
#include "base/text.h"
#include "cli/admission_commands.h"
#include "cli/cluster_files.h"
#include "cli/image_lookup.h"

namespace archway::cli {

namespace {

using namespace admission;

// What is known of images: with --images FILE what it says, and nobody is asked; else what their registries say.
class ImageFinder {
 public:
  static Result<ImageFinder> open(const Arguments& arguments, const Context& context) {
    ImageFinder finder;
    finder.stop_ = context.stop;
    if (auto file = arguments.one("images")) {
      std::string text = TRY(read_file(*file, kMaxTruthBytes));
      ImageTruths truths = TRY(parse_truths(text).context(*file));
      finder.known_ = std::make_shared<const KnownImages>(std::move(truths));
    } else {
      finder.lookup_ = TRY(make_image_lookup(arguments, context));
    }
    return finder;
  }
  // Each name is asked for once, all at a time; what has been asked for is remembered.
  ImageAnswers find_all(const std::vector<std::string>& images) {
    if (known_) return known_->find_all(images);
    std::vector<std::string> fresh;
    for (const std::string& image : images) {
      if (!answers_.contains(image)) fresh.push_back(image);
    }
    auto found = lookup_->look_up_all(fresh, {}, {}, stop_);
    for (size_t i = 0; i < fresh.size(); ++i) answers_.emplace(fresh[i], answer_of(found[i]));
    ImageAnswers wanted;
    for (const std::string& image : images) wanted.emplace(image, answers_.at(image));
    return wanted;
  }

 private:
  std::shared_ptr<const KnownImages> known_;
  std::shared_ptr<ImageLookup> lookup_;
  ImageAnswers answers_;
  std::stop_token stop_;
};

Result<std::string> read_input(const std::optional<std::string>& path) {
  if (path && *path != "-") return read_file(*path, kMaxReviewBytes);
  FdSource input(Fd(::dup(0)), "standard input");
  return read_all(input, kMaxReviewBytes, "the review on standard input");
}

Result<int> review(const Arguments& arguments, const Context& context) {
  Policy policy = TRY(admission_policy(arguments));
  ImageFinder images = TRY(ImageFinder::open(arguments, context));
  std::optional<std::string> path;
  if (!arguments.positional().empty()) path = arguments.positional()[0];
  std::string text = TRY(read_input(path));
  // A person may have written this one: what is wrong anywhere in it is said with its line.
  TRY(parse_json(text).context("reading the AdmissionReview"));
  ReviewRequest request = TRY(read_review(text));
  ReviewPlan plan = plan_review(request, policy);
  Decision decision = decide_review(plan, images.find_all(plan.images), policy);
  context.out(write_response(request, decision, policy) + "\n");
  return kOk;
}

// An object as `kubectl create` would send it, and what is to be looked at.
struct Asked {
  ReviewRequest request;
  ReviewPlan plan = {};  // points into `request`
};
struct Explained {
  std::string name;
  Decision decision;
};

// Lists are taken apart.
void add_objects(const Json& object, std::vector<std::unique_ptr<Asked>>& all) {
  if (object["kind"].string().ends_with("List")) {
    for (const Json& item : object["items"].items()) add_objects(item, all);
    return;
  }
  if (!kube::pod_template_path(object["kind"].string())) return;
  auto asked = std::make_unique<Asked>();
  ReviewRequest& request = asked->request;
  request.operation = "CREATE";
  request.kind = object["kind"].string();
  request.group = std::string(cut(object["apiVersion"].string(), '/').second ? cut(object["apiVersion"].string(), '/').first : "");
  request.name_space = object["metadata"]["namespace"].string_or("default");
  request.name = object["metadata"]["name"].string_or(object["metadata"]["generateName"].string());
  request.object = object;
  all.push_back(std::move(asked));
}

// All images of all objects are asked about at once, then each object is decided on.
std::vector<Explained> explain_all(std::vector<std::unique_ptr<Asked>>& objects, const Policy& policy, ImageFinder& images) {
  std::vector<std::string> names;
  for (auto& each : objects) {
    each->plan = plan_review(each->request, policy);
    names.insert(names.end(), each->plan.images.begin(), each->plan.images.end());
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  images.find_all(names);
  std::vector<Explained> all;
  for (auto& each : objects) all.push_back({each->request.str(), decide_review(each->plan, images.find_all(each->plan.images), policy)});
  return all;
}

Json explained_json(const Explained& each) {
  Json json = Json::object({{"object", each.name}, {"decision", outcome_name(each.decision.outcome)}, {"summary", each.decision.summary}});
  Json list = Json::array();
  for (const auto& [image, places] : each.decision.images) list.push(Json::object({{"image", image}, {"platforms", places}}));
  json.set("images", std::move(list));
  json.set("common", list_places(each.decision.common));
  json.set("patch", each.decision.patch);
  json.set("warnings", Json(each.decision.warnings));
  if (each.decision.refusal) json.set("refusal", *each.decision.refusal);
  return json;
}

std::string explained_text(const Explained& each) {
  std::string text = each.name + "\n";
  for (const auto& [image, places] : each.decision.images) text += "  image " + image + ": " + (places.empty() ? "nothing that runs" : places) + "\n";
  if (!each.decision.common.empty()) text += "  in common: " + list_places(each.decision.common) + "\n";
  text += "  " + std::string(outcome_name(each.decision.outcome)) + ": " + each.decision.summary + "\n";
  for (const std::string& warning : each.decision.warnings) text += "  warning: " + warning + "\n";
  for (const Json& operation : each.decision.patch.items()) {
    text += "    " + operation["op"].string() + " " + operation["path"].string() + " " + to_json(operation["value"]) + "\n";
  }
  return text;
}

Result<int> explain(const Arguments& arguments, const Context& context) {
  Policy policy = TRY(admission_policy(arguments));
  if (!arguments.has("filename")) return usage_error("archway admission explain needs -f FILE, a manifest");
  ImageFinder images = TRY(ImageFinder::open(arguments, context));
  std::vector<std::unique_ptr<Asked>> asked;
  for (const std::string& file : arguments.many("filename")) {
    auto objects = TRY(load_objects(file));
    for (const Json& object : objects) add_objects(object, asked);
  }
  std::vector<Explained> all = explain_all(asked, policy, images);
  if (all.empty()) return Error{Code::NotFound, "no pods, and nothing that makes pods, in " + join(arguments.many("filename"), ", ")};
  bool problems = false;
  Json list = Json::array();
  for (const Explained& each : all) {
    problems |= each.decision.outcome == Outcome::Conflict || each.decision.outcome == Outcome::Refused;
    if (arguments.has("json")) {
      list.push(explained_json(each));
    } else {
      context.out(explained_text(each));
    }
  }
  if (arguments.has("json")) context.out(to_json(Json::object({{"objects", std::move(list)}}), {.indent = 2}) + "\n");
  return problems ? kFoundProblems : kOk;
}

// As other verbs have them, but that a file of images is all there is.
std::vector<Flag> image_flags() {
  std::vector<Flag> flags = lookup_flags();
  for (Flag& flag : flags) {
    if (flag.name == "images") flag.help = "what is known of images' platforms; nobody else is asked";
    if (flag.name == "offline") flag.help = "ask no registry: only what the cache knows";
  }
  return flags;
}

template <class Choice>
Result<Choice> choice_of(const Arguments& arguments, std::string_view flag, std::initializer_list<std::pair<std::string_view, Choice>> choices) {
  auto text = arguments.one(flag);
  if (!text) return choices.begin()->second;
  std::string known;
  for (const auto& [name, meant] : choices) {
    if (*text == name) return meant;
    known += (known.empty() ? "" : " or ") + std::string(name);
  }
  return usage_error("archway admission: --" + std::string(flag) + " " + *text + ": expected " + known);
}

// A malformed flag is wrong usage, whatever the room below calls it.
template <class T>
Result<T> as_usage(Result<T> result, std::string_view flag) {
  if (result.ok()) return result;
  const Error& error = result.error();
  return usage_error("archway admission: --" + std::string(flag) + ": " + error.message + (error.hint.empty() ? "" : "; " + error.hint));
}

}  // namespace

std::vector<Flag> admission_policy_flags() {
  return {
      {"mode", 0, Flag::Kind::One, "MODE", "enforce, or report: change and refuse nothing, only say what would be done"},
      {"on-conflict", 0, Flag::Kind::One, "WHAT", "where images have no platform in common, or the pod asks for places where they do not run: warn or deny"},
      {"on-unknown", 0, Flag::Kind::One, "WHAT", "where a registry does not answer: pass the pod unchanged, or gate it until it does"},
      {"prefer", 0, Flag::Kind::One, "ARCH[=WEIGHT]", "prefer nodes of this architecture where a pod may go to several (weight 1, up to 100)"},
      {"tolerate", 0, Flag::Kind::Many, "TAINT[@ARCH]", "tolerate this taint in pods whose images run there, as arch=arm64:NoSchedule"},
      {"node-platforms", 0, Flag::Kind::One, "PLATFORMS", "what the cluster's nodes are, as linux/amd64,linux/arm64; what holds for all of them is not asked for"},
      {"allow-32bit", 0, Flag::Kind::Bool, "", "count images for 386 on amd64 nodes, and for arm on arm64 nodes"},
      {"ignore-namespace", 0, Flag::Kind::Many, "NAMESPACE", "leave its pods alone, besides kube-system"},
  };
}

Result<Policy> admission_policy(const Arguments& arguments) {
  Policy policy;
  policy.mode = TRY(choice_of<Policy::Mode>(arguments, "mode", {{"enforce", Policy::Mode::Enforce}, {"report", Policy::Mode::Report}}));
  policy.on_conflict = TRY(choice_of<Policy::OnConflict>(arguments, "on-conflict", {{"warn", Policy::OnConflict::Warn}, {"deny", Policy::OnConflict::Deny}}));
  policy.on_unknown = TRY(choice_of<Policy::OnUnknown>(arguments, "on-unknown", {{"pass", Policy::OnUnknown::Pass}, {"gate", Policy::OnUnknown::Gate}}));
  if (auto text = arguments.one("prefer")) policy.prefer = TRY(as_usage(parse_preference(*text), "prefer"));
  for (const std::string& text : arguments.many("tolerate")) policy.tolerate.push_back(TRY(as_usage(parse_tolerated_taint(text), "tolerate")));
  if (auto text = arguments.one("node-platforms")) policy.node_places = TRY(as_usage(parse_places(*text), "node-platforms"));
  if (arguments.has("allow-32bit")) policy.fallback = Fallback::Allow;
  for (const std::string& name : arguments.many("ignore-namespace")) policy.ignored_namespaces.push_back(name);
  return policy;
}

Command admission_review_command() {
  Command command;
  command.name = "admission review";
  command.summary = "Answer one AdmissionReview";
  command.usage = "archway admission review [--images FILE] [flags] < REVIEW > RESPONSE";
  command.description =
      "Reads an AdmissionReview (admission.k8s.io/v1) from standard input or a file, and writes the answer that `archway admission serve`\n"
      "would give: allowed or not, a JSON patch, warnings, audit annotations. With --images nobody else is asked; without, registries are.\n\n"
      "  archway admission review --images images.json --tolerate arch=arm64:NoSchedule < review.json";
  command.flags = admission_policy_flags();
  for (Flag& flag : image_flags()) command.flags.push_back(std::move(flag));
  command.flags.push_back({"json", 0, Flag::Kind::Bool, "", "the answer is JSON anyway"});
  command.max_positional = 1;
  command.run = review;
  return command;
}

Command admission_explain_command() {
  Command command;
  command.name = "admission explain";
  command.summary = "Show what the webhook would do to a manifest, and why";
  command.usage = "archway admission explain -f MANIFEST [--images FILE] [flags]";
  command.description =
      "For each pod, and each object that makes pods: its images and where they run, what they have in common, and what would be changed,\n"
      "warned of or refused were it created now. With --images nobody else is asked; without, registries are. Exit status 1 where\n"
      "something would not run.\n\n"
      "  archway admission explain -f deployment.yaml --images images.json --prefer arm64";
  command.flags = admission_policy_flags();
  command.flags.push_back({"filename", 'f', Flag::Kind::Many, "FILE", "a manifest, or a folder of them"});
  for (Flag& flag : image_flags()) command.flags.push_back(std::move(flag));
  command.flags.push_back({"json", 0, Flag::Kind::Bool, "", "print JSON"});
  command.run = explain;
  return command;
}

}  // namespace archway::cli
