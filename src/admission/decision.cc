#include "admission/decision.h"

#include <algorithm>

#include "admission/names.h"
#include "base/text.h"

namespace archway::admission {

namespace {

constexpr std::string_view kRequired = "requiredDuringSchedulingIgnoredDuringExecution";
constexpr std::string_view kPreferred = "preferredDuringSchedulingIgnoredDuringExecution";

// The middle of a long name is left out; what is not printable ASCII would not pass through an HTTP header.
std::string shown(std::string_view text, size_t limit = 90) {
  std::string clean;
  for (char c : text) clean += c >= 0x20 && c < 0x7f ? c : '?';
  if (clean.size() <= limit) return clean;
  return clean.substr(0, limit / 2 - 2) + "..." + clean.substr(clean.size() - (limit / 2 - 1));
}

std::string cut_to(std::string text, size_t limit) {
  if (text.size() > limit) text = text.substr(0, limit - 3) + "...";
  return text;
}

// One run of decide(): the subject's parts, and what has been found so far.
class Run {
 public:
  Run(const Subject& subject, const ImageAnswers& answers, const Policy& policy)
      : subject_(subject), answers_(answers), policy_(policy), object_(subject.object ? *subject.object : none()) {
    const Json* holder = value_at(object_, subject.pointer);
    holder_ = holder ? holder : &none();
  }

  Decision decide();

 private:
  static const Json& none() {
    static const Json null;
    return null;
  }
  const Json& spec() const { return (*holder_)["spec"]; }
  std::string spec_pointer() const { return subject_.pointer + "/spec"; }

  void warn(std::string text) {
    if (decision_.warnings.size() < kMaxWarnings) decision_.warnings.push_back(cut_to("archway: " + std::move(text), kMaxWarningBytes));
  }
  Decision finish(Outcome outcome, std::string summary) {
    decision_.outcome = outcome;
    decision_.summary = std::move(summary);
    return std::move(decision_);
  }

  bool read_images();
  Decision without_facts();
  void find_common();
  Decision conflict(std::string text);
  std::string places_per_image() const;
  std::string contradiction_text() const;
  Decision only_words();
  Decision on_its_node(const Place& place);
  Decision change();
  void warn_of_lies();
  void warn_of_variants();
  void add_preference(Json& spec, const Narrowed& narrowed);
  void add_tolerations(Json& spec);
  void add_record();
  bool restore_own_words(Json& spec) const;
  bool put_back_added();
  void change_words(Json& spec, Narrowed& narrowed);
  void write_difference(const Json& spec);
  void add_template_record(const Json& before, const Json& after);
  bool excludes_by_os() const;
  bool runs_on_usual_nodes() const;
  bool is_only_mounted(const std::string& image) const;

  const Subject& subject_;
  const ImageAnswers& answers_;
  const Policy& policy_;
  const Json& object_;
  const Json* holder_;
  Decision decision_;
  PatchWriter patch_;
  std::vector<std::string> images_;
  std::vector<const ImageTruth*> truths_;  // of images_, where known
  std::vector<std::pair<std::string, const ImageAnswer*>> unknown_;
  std::vector<std::string> done_;          // what was done, in words
};

bool Run::read_images() {
  if (spec()["affinity"]["nodeAffinity"][kRequired]["nodeSelectorTerms"].items().size() > kMaxTerms) {
    warn(subject_.name + " passes unchanged: its node affinity has more than " + std::to_string(kMaxTerms) + " terms");
    return false;
  }
  auto images = images_to_ask(spec());
  if (!images.ok()) {
    warn(subject_.name + " passes unchanged: " + images.error().message);
    return false;
  }
  images_ = std::move(*images);
  for (const std::string& image : images_) {
    auto found = answers_.find(image);
    const ImageAnswer* answer = found == answers_.end() ? nullptr : &found->second;
    const ImageTruth* truth = answer ? answer->truth : nullptr;
    truths_.push_back(truth);
    if (!truth) unknown_.emplace_back(image, answer);
    decision_.images.emplace_back(image, truth ? list_places(places_of(*truth, policy_.fallback)) : "unknown");
  }
  return true;
}

// A registry that does not answer may answer later: the gate's controller asks again. An image that is not there will not come by waiting.
Decision Run::without_facts() {
  bool may_come = std::all_of(unknown_.begin(), unknown_.end(), [](const auto& each) {
    return !each.second || each.second->code == Code::Unavailable || each.second->code == Code::Cancelled;
  });
  bool gate = policy_.on_unknown == Policy::OnUnknown::Gate && may_come && subject_.kind == Subject::Kind::Pod &&
              subject_.change == Subject::Change::Anything;
  for (const auto& [image, answer] : unknown_) {
    std::string why = answer && !answer->why.empty() ? answer->why : "nothing is known of it";
    warn((gate ? "the pod waits for what is known of image " : "not looked at, since nothing is known of image ") + shown(image) + ": " + shown(why, 120));
  }
  std::string summary = std::to_string(unknown_.size()) + " of " + std::to_string(images_.size()) + " images unknown";
  if (!gate) return finish(Outcome::Unknown, summary + "; passes as it is");
  const Json::Array& gates = spec()["schedulingGates"].items();
  bool there = std::any_of(gates.begin(), gates.end(), [](const Json& each) { return each["name"].string() == kGate; });
  if (!there) {
    Json copy = Json::object();
    for (std::string_view name : {"schedulingGates", "nodeSelector", "affinity"}) copy.set(name, spec()[name]);
    patch_.append(copy, spec_pointer(), {"schedulingGates"}, Json::object({{"name", kGate}}));
    // Once it is there the API server lets no term be added.
    for (Json& term : terms_in_reserve(copy, policy_.node_places)) patch_.append(copy, spec_pointer(), {"affinity", "nodeAffinity", kRequired, "nodeSelectorTerms"}, std::move(term));
  }
  decision_.patch = std::move(patch_).take();
  return finish(Outcome::Gated, summary + "; gated");
}

bool Run::is_only_mounted(const std::string& image) const {
  std::vector<kube::PodImage> images = kube::pod_images(spec());
  return std::all_of(images.begin(), images.end(), [&](const kube::PodImage& each) {
    return each.image != image || each.use == kube::PodImage::Use::Volume;
  });
}

// Where all images run. Of an update that adds ephemeral containers only these are judged, against where the others let the pod be.
void Run::find_common() {
  auto fold = [&](auto belongs) {
    std::optional<Places> common;
    for (size_t i = 0; i < images_.size(); ++i) {
      if (!belongs(images_[i])) continue;
      // An artifact without platforms is mounted anywhere.
      if (truths_[i]->platforms.empty() && is_only_mounted(images_[i])) continue;
      Places places = places_of(*truths_[i], policy_.fallback);
      common = common ? in_common(*common, places) : std::move(places);
    }
    return common;
  };
  auto is_new = [&](const std::string& image) {
    return std::find(subject_.new_images.begin(), subject_.new_images.end(), image) != subject_.new_images.end();
  };
  if (subject_.new_images.empty()) {
    decision_.common = fold([](const std::string&) { return true; }).value_or(Places());
    return;
  }
  Places added = fold(is_new).value_or(Places());
  std::optional<Places> before = fold([&](const std::string& image) { return !is_new(image); });
  // Where the pod is is known: then the others do not matter.
  if (subject_.node_place) before.reset();
  decision_.common = before && !before->empty() ? in_common(*before, added) : added;
}

std::string Run::places_per_image() const {
  std::string text;
  for (const auto& [image, places] : decision_.images) {
    text += (text.empty() ? "" : "; ") + shown(image, 60) + " (" + (places.empty() ? "none" : cut_to(places, 60)) + ")";
  }
  return text;
}

Decision Run::conflict(std::string text) {
  if (policy_.on_conflict == Policy::OnConflict::Deny && policy_.mode == Policy::Mode::Enforce && subject_.may_refuse) {
    decision_.refusal = cut_to("archway: " + text, 2000);
    decision_.patch = Json::array();
    return finish(Outcome::Refused, std::move(text));
  }
  warn(text);
  return finish(Outcome::Conflict, std::move(text));
}

std::string Run::contradiction_text() const {
  return subject_.name + " cannot run where it asks to be: its images run on " + cut_to(list_places(decision_.common), 80) +
         " only, and its nodeSelector, affinity or os leaves none of that";
}

// spec.os is the kubelet's to hold: a node of another system rejects the pod.
bool Run::excludes_by_os() const {
  const std::string& os = spec()["os"]["name"].string();
  return !os.empty() && std::none_of(decision_.common.begin(), decision_.common.end(), [&](const Place& place) { return place.os == os; });
}

void Run::warn_of_lies() {
  for (size_t i = 0; i < images_.size(); ++i) {
    for (const WrongPlatform& wrong : truths_[i]->wrong) {
      warn("image " + shown(images_[i]) + " says " + wrong.platform.str() + " and does not hold it" + (wrong.why.empty() ? "" : ": " + shown(wrong.why)));
    }
  }
}

// Nodes' labels do not say which variant of amd64 or arm64 they are.
void Run::warn_of_variants() {
  for (size_t i = 0; i < images_.size(); ++i) {
    for (const Platform& platform : truths_[i]->platforms) {
      Place place{platform.os, platform.architecture};
      if (platform.variant.empty() || platform.architecture == "arm" || !contains(decision_.common, place)) continue;
      if (runs_for_sure(*truths_[i], place, policy_.fallback)) continue;
      warn("image " + shown(images_[i]) + " needs " + platform.str() + "; nodes' labels say " + platform.architecture + " only, so see to it that these are such");
    }
  }
}

// The cluster's places where they are known, else those that clusters of two architectures are made of.
bool Run::runs_on_usual_nodes() const {
  static const Places usual = {{"linux", "amd64"}, {"linux", "arm64"}};
  const Places& nodes = policy_.node_places.empty() ? usual : policy_.node_places;
  return std::all_of(nodes.begin(), nodes.end(), [&](const Place& place) { return contains(decision_.common, place); });
}

// Its node is known, so it is known whether it runs.
Decision Run::on_its_node(const Place& place) {
  std::string where = "node " + shown(subject_.node, 80) + " (" + place.str() + ")";
  if (contains(decision_.common, place)) return finish(Outcome::Unchanged, "runs on " + where + "; not changed, since " + subject_.why_nothing);
  std::string what = subject_.new_images.empty() ? "its images run on " : "what is new in it runs on ";
  return conflict(subject_.name + " will not run on " + where + ": " + what + cut_to(list_places(decision_.common), 80) + " only; not changed, since " + subject_.why_nothing);
}

// One that may not be changed is looked at all the same: a new pod may be refused.
Decision Run::only_words() {
  if (subject_.node_place) return on_its_node(*subject_.node_place);
  Narrowed narrowed = look_at(spec(), decision_.common, policy_.node_places);
  if (narrowed.contradiction || excludes_by_os()) return conflict(contradiction_text());
  std::string summary = "runs on " + list_places(decision_.common) + "; not changed, since " + subject_.why_nothing;
  if (!narrowed.asked && subject_.new_images.empty() && !runs_on_usual_nodes()) {
    warn(subject_.name + " is not changed, since " + subject_.why_nothing + "; its images run on " + cut_to(list_places(decision_.common), 100) + " only");
  }
  return finish(Outcome::Unchanged, std::move(summary));
}

bool prefers_architecture(const Json& spec) {
  for (const Json& term : spec["affinity"]["nodeAffinity"][kPreferred].items()) {
    for (const Json& expression : term["preference"]["matchExpressions"].items()) {
      const std::string& key = expression["key"].string();
      if (key == kArchLabel || key == kBetaArchLabel) return true;
    }
  }
  return false;
}

// Worth something only where there is a choice.
void Run::add_preference(Json& spec, const Narrowed& narrowed) {
  if (!policy_.prefer || prefers_architecture(spec)) return;
  const std::string& wanted = policy_.prefer->architecture;
  auto is_wanted = [&](const Place& place) { return place.architecture == wanted; };
  bool has_it = std::any_of(narrowed.places.begin(), narrowed.places.end(), is_wanted);
  bool has_other = !std::all_of(narrowed.places.begin(), narrowed.places.end(), is_wanted);
  if (!has_it || !has_other) return;
  Json values = Json::array();
  values.push(wanted);
  Json expressions = Json::array();
  expressions.push(Json::object({{"key", kArchLabel}, {"operator", "In"}, {"values", std::move(values)}}));
  Json term = Json::object({{"weight", policy_.prefer->weight}, {"preference", Json::object({{"matchExpressions", std::move(expressions)}})}});
  patch_.append(spec, spec_pointer(), {"affinity", "nodeAffinity", kPreferred}, std::move(term));
  done_.push_back("prefers " + wanted);
}

kube::Toleration toleration_of(const Json& json) {
  return {json["key"].string(), json["operator"].string(), json["value"].string(), json["effect"].string()};
}

void Run::add_tolerations(Json& spec) {
  for (const ToleratedTaint& each : policy_.tolerate) {
    bool runs = contains(decision_.common, each.place) && std::all_of(truths_.begin(), truths_.end(), [&](const ImageTruth* truth) {
      return truth->platforms.empty() || runs_for_sure(*truth, each.place, policy_.fallback);
    });
    if (!runs) continue;
    const Json::Array& have = spec["tolerations"].items();
    // One with a limit in time is an answer too: another would not lengthen it.
    if (std::any_of(have.begin(), have.end(), [&](const Json& json) { return toleration_of(json).tolerates(each.taint); })) continue;
    Json toleration = Json::object({{"key", each.taint.key}, {"operator", "Equal"}});
    if (!each.taint.value.empty()) toleration.set("value", each.taint.value);
    toleration.set("effect", each.taint.effect);
    patch_.append(spec, spec_pointer(), {"tolerations"}, std::move(toleration));
    done_.push_back("tolerates " + each.taint.str());
  }
}

// Only on pods: a template's metadata belongs to who wrote it, and each of its pods gets its own.
void Run::add_record() {
  if (subject_.kind != Subject::Kind::Pod) return;
  Json images = Json::object();
  size_t bytes = 0, left_out = 0;
  for (const auto& [image, places] : decision_.images) {
    bytes += image.size() + places.size() + 8;
    if (bytes > kMaxRecordBytes / 2) {
      ++left_out;
    } else {
      images.set(image, replace_all(places, ", ", ","));
    }
  }
  Json record = Json::object({{"images", std::move(images)}, {"common", replace_all(list_places(decision_.common), ", ", ",")}, {"decision", join(done_, "; ")}});
  if (left_out > 0) record.set("imagesLeftOut", left_out);
  Json copy = Json::object();
  if (const Json* metadata = holder_->find("metadata")) copy.set("metadata", *metadata);
  patch_.put(copy, subject_.pointer, {"metadata", "annotations", kRecordAnnotation}, to_json(record));
}

// Takes what was added to a template at an earlier time out of `spec`. False where nothing was, or somebody has changed it since: then all
// that is there counts as the user's.
bool Run::restore_own_words(Json& spec) const {
  if (subject_.kind != Subject::Kind::Template) return false;
  auto record = parse_json(object_["metadata"]["annotations"][kTemplateAnnotation].string());
  if (!record.ok() || !record->has("before")) return false;
  // `kubectl apply` puts a manifest's own terms back, and leaves our tolerations where they are.
  const Json& affinity_now = spec["affinity"]["nodeAffinity"];
  if (!((*record)["after"] == affinity_now) && !((*record)["before"] == affinity_now)) return false;
  Json affinity = spec["affinity"];
  affinity.set("nodeAffinity", (*record)["before"]);
  spec.set("affinity", std::move(affinity));
  Json kept = Json::array();
  const Json::Array& ours = (*record)["tolerations"].items();
  for (const Json& each : spec["tolerations"].items()) {
    if (std::find(ours.begin(), ours.end(), each) == ours.end()) kept.push(each);
  }
  if (spec["tolerations"].is_array()) spec.set("tolerations", std::move(kept));
  return true;
}

// The other way: the manifest's own words become again what they were made when the object was. Whatever is known of images now: nothing
// else would be taken.
bool Run::put_back_added() {
  if (!subject_.keep_added) return false;
  auto record = parse_json(object_["metadata"]["annotations"][kTemplateAnnotation].string());
  if (!record.ok() || !record->has("after")) return false;
  Json spec = Json::object();
  for (std::string_view name : {"affinity", "tolerations"}) {
    if (const Json* value = this->spec().find(name)) spec.set(name, *value);
  }
  const Json now = spec["affinity"]["nodeAffinity"];
  bool theirs = now == (*record)["before"], ours = now == (*record)["after"];
  if (!theirs && !ours) return false;
  if (!ours) patch_.put(spec, spec_pointer(), {"affinity", "nodeAffinity"}, (*record)["after"]);
  for (const Json& toleration : (*record)["tolerations"].items()) {
    const Json::Array& have = spec["tolerations"].items();
    if (std::find(have.begin(), have.end(), toleration) == have.end()) patch_.append(spec, spec_pointer(), {"tolerations"}, toleration);
  }
  return !patch_.empty();
}

void Run::change_words(Json& spec, Narrowed& narrowed) {
  MayChange may = subject_.change == Subject::Change::Narrow ? MayChange::AppendOnly : MayChange::Anything;
  narrowed = narrow(spec, spec_pointer(), decision_.common, policy_.node_places, may, patch_);
  if (!patch_.empty()) done_.push_back("only nodes of " + list_places(decision_.common));
  // A pod whose own words leave no node has no use for more.
  if (narrowed.contradiction || excludes_by_os() || narrowed.places.empty()) return;
  add_preference(spec, narrowed);
  add_tolerations(spec);
}

// In place of the operations that led from the user's own words to `spec`, those that lead there from what the object says.
void Run::write_difference(const Json& wanted) {
  patch_ = PatchWriter();
  Json spec = Json::object();
  for (std::string_view name : {"affinity", "tolerations"}) {
    if (const Json* value = this->spec().find(name)) spec.set(name, *value);
  }
  const Json& affinity = wanted["affinity"]["nodeAffinity"];
  if (!(spec["affinity"]["nodeAffinity"] == affinity)) patch_.put(spec, spec_pointer(), {"affinity", "nodeAffinity"}, affinity);
  if (!(spec["tolerations"] == wanted["tolerations"])) patch_.put(spec, spec_pointer(), {"tolerations"}, wanted["tolerations"]);
}

void Run::add_template_record(const Json& before, const Json& after) {
  Json added = Json::array();
  const Json::Array& had = before["tolerations"].items();
  for (const Json& each : after["tolerations"].items()) {
    if (std::find(had.begin(), had.end(), each) == had.end()) added.push(each);
  }
  Json record = Json::object({{"before", before["affinity"]["nodeAffinity"]}, {"after", after["affinity"]["nodeAffinity"]}, {"tolerations", std::move(added)}});
  std::string text = to_json(record);
  // A long one is not kept; then what was added stays, as if the user had said it.
  Json copy = Json::object();
  if (const Json* metadata = object_.find("metadata")) copy.set("metadata", *metadata);
  if (text.size() <= kMaxRecordBytes) patch_.put(copy, "", {"metadata", "annotations", kTemplateAnnotation}, text);
}

Decision Run::change() {
  // Of the spec only what is changed is copied.
  Json spec = Json::object();
  for (std::string_view name : {"nodeSelector", "affinity", "tolerations"}) {
    if (const Json* value = this->spec().find(name)) spec.set(name, *value);
  }
  bool restored = restore_own_words(spec);
  Json before = subject_.kind == Subject::Kind::Template ? spec : Json();
  Narrowed narrowed;
  change_words(spec, narrowed);
  if (restored) write_difference(spec);
  bool contradiction = narrowed.contradiction || excludes_by_os();
  if (!contradiction) {
    for (size_t index : narrowed.dead_terms) {
      warn("term " + std::to_string(index) + " of the node affinity of " + subject_.name + " asks for places where its images do not run (" +
           cut_to(list_places(decision_.common), 60) + " they do)");
    }
    if (!narrowed.left_out.empty()) {
      warn(subject_.name + " goes to " + cut_to(list_places(narrowed.left_out), 60) + " no more, though its images run there: the API server lets no term be added to the node affinity of a gated pod");
    }
  }
  if (!patch_.empty()) add_record();
  if (!patch_.empty() && subject_.kind == Subject::Kind::Template) add_template_record(before, spec);
  decision_.patch = std::move(patch_).take();
  bool changed = decision_.patch.size() > 0;
  // Narrowed all the same: it then waits, visibly, and does not crash in a loop.
  if (contradiction) return conflict(contradiction_text());
  if (changed) return finish(Outcome::Changed, done_.empty() ? "what was asked for earlier is no longer needed" : join(done_, "; "));
  return finish(Outcome::Unchanged, "asks already for nodes of " + list_places(decision_.common));
}

Decision Run::decide() {
  if (put_back_added()) {
    decision_.patch = std::move(patch_).take();
    return finish(Outcome::Changed, "keeps what it was given before, since " + subject_.why_nothing);
  }
  if (!read_images()) return finish(Outcome::Unknown, "beyond the limits of what is looked at");
  if (images_.empty()) return finish(Outcome::Unchanged, "it has no images");
  if (!unknown_.empty()) return without_facts();
  warn_of_lies();
  find_common();
  if (decision_.common.empty()) {
    return conflict("the images of " + subject_.name + " have no platform in common, so it will not run anywhere: " + places_per_image());
  }
  warn_of_variants();
  if (subject_.change == Subject::Change::Nothing) return only_words();
  return change();
}

}  // namespace

std::string_view outcome_name(Outcome outcome) {
  constexpr std::string_view kNames[] = {"ignored", "unchanged", "changed", "gated", "unknown", "conflict", "refused"};
  return kNames[static_cast<size_t>(outcome)];
}

Decision decide(const Subject& subject, const ImageAnswers& answers, const Policy& policy) {
  Decision decision = Run(subject, answers, policy).decide();
  if (policy.mode == Policy::Mode::Report) decision.patch = Json::array();
  return decision;
}

}  // namespace archway::admission
