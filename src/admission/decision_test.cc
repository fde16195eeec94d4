#include "admission/decision.h"

#include <gtest/gtest.h>

#include <random>

#include "admission/names.h"
#include "kube/node_affinity.h"

namespace archway::admission {
namespace {

Json json(std::string_view text) {
  auto parsed = parse_json(text);
  EXPECT_TRUE(parsed.ok()) << text;
  return std::move(parsed).value_or(Json());
}

// "a" is what linux/amd64,linux/arm64 runs, and so on; wrong platforms behind a "!".
struct World {
  std::map<std::string, ImageTruth> truths;
  ImageAnswers answers() const {
    ImageAnswers all;
    for (const auto& [name, truth] : truths) all[name].truth = &truth;
    return all;
  }
  void add(const std::string& name, std::vector<std::string> platforms, std::vector<std::string> wrong = {}) {
    ImageTruth truth;
    for (const std::string& each : platforms) truth.platforms.push_back(*parse_platform(each));
    for (const std::string& each : wrong) truth.wrong.push_back({*parse_platform(each), "it is x86-64"});
    truths[name] = truth;
  }
};

World usual() {
  World world;
  world.add("multi", {"linux/amd64", "linux/arm64"});
  world.add("amd", {"linux/amd64"});
  world.add("arm", {"linux/arm64"});
  world.add("lies", {"linux/amd64", "linux/arm64"}, {"linux/arm64"});
  world.add("both-systems", {"linux/amd64", "linux/arm64", "windows/amd64"});
  world.add("v3", {"linux/amd64/v3", "linux/arm64"});
  world.add("old", {"linux/386", "linux/arm/v7"});
  world.add("artifact", {});
  return world;
}

Subject subject_of(const Json& object, Subject::Change change = Subject::Change::Anything) {
  Subject subject;
  subject.object = &object;
  subject.name = "pod default/web";
  subject.change = change;
  subject.why_nothing = "spec.nodeName is set";
  return subject;
}

Json pod(std::string_view spec_members, std::string_view image = "multi") {
  return json(R"({"metadata":{"name":"web"},"spec":{"containers":[{"name":"a","image":")" + std::string(image) + R"("}])" +
              (spec_members.empty() ? "" : ",") + std::string(spec_members) + "}}");
}

Decision decided(const Json& object, const Policy& policy = {}, Subject::Change change = Subject::Change::Anything) {
  World world = usual();
  return decide(subject_of(object, change), world.answers(), policy);
}

// The operations of a patch, but for the record.
std::string spec_patch(const Decision& decision) {
  Json list = Json::array();
  for (const Json& each : decision.patch.items()) {
    if (each["path"].string().starts_with("/spec")) list.push(each);
  }
  return to_json(list);
}

constexpr std::string_view kAmdLinux =
    R"([{"key":"kubernetes.io/arch","operator":"In","values":["amd64"]},{"key":"kubernetes.io/os","operator":"In","values":["linux"]}])";

TEST(Decide, AddsOneTermWhereThereIsNone) {
  Decision decision = decided(pod("", "amd"));
  EXPECT_EQ(spec_patch(decision),
            R"([{"op":"add","path":"/spec/affinity","value":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[{"matchExpressions":)" +
                std::string(kAmdLinux) + "}]}}}}]");
  EXPECT_EQ(decision.summary, "only nodes of linux/amd64");
  EXPECT_TRUE(decision.warnings.empty());
}

TEST(Decide, AsksOnlyForWhatThePodDoesNotSay) {
  EXPECT_NE(spec_patch(decided(pod(R"("nodeSelector":{"kubernetes.io/os":"linux"})"))).find(R"("values":["amd64","arm64"])"), std::string::npos);
  EXPECT_EQ(spec_patch(decided(pod(R"("nodeSelector":{"kubernetes.io/os":"linux"})"))).find("kubernetes.io/os"), std::string::npos);
  for (std::string_view said : {R"("nodeSelector":{"kubernetes.io/os":"linux","kubernetes.io/arch":"arm64"})",
                                R"("nodeSelector":{"beta.kubernetes.io/os":"linux","beta.kubernetes.io/arch":"amd64"})",
                                R"("affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[
                                   {"matchExpressions":[{"key":"kubernetes.io/arch","operator":"In","values":["arm64","amd64"]},{"key":"kubernetes.io/os","operator":"In","values":["linux"]}]},
                                   {"matchExpressions":[{"key":"kubernetes.io/arch","operator":"In","values":["arm64","s390x"]},{"key":"kubernetes.io/arch","operator":"NotIn","values":["s390x"]},
                                                        {"key":"kubernetes.io/os","operator":"In","values":["linux"]}]}, {}]}}})"}) {
    Decision decision = decided(pod(said));
    EXPECT_EQ(decision.patch.size(), 0u) << said << to_json(decision.patch);
    EXPECT_EQ(decision.outcome, Outcome::Unchanged);
  }
}

TEST(Decide, NarrowsTermByTermAndLeavesEmptyOnes) {
  Decision decision = decided(pod(R"("nodeSelector":{"kubernetes.io/os":"linux"},"affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[
      {"matchExpressions":[{"key":"zone","operator":"In","values":["a"]}]},{},{"matchFields":[{"key":"metadata.name","operator":"In","values":["n"]}]}]}}})", "amd"));
  std::string requirement = R"({"key":"kubernetes.io/arch","operator":"In","values":["amd64"]})";
  std::string at = "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms/";
  EXPECT_EQ(spec_patch(decision), R"([{"op":"add","path":")" + at + R"(0/matchExpressions/-","value":)" + requirement + R"(},{"op":"add","path":")" + at +
                                      R"(2/matchExpressions","value":[)" + requirement + "]}]");
}

TEST(Decide, KnowsWhatTheApiServerTakesForNothing) {
  // A required selector without terms matches nothing; a null one is none.
  EXPECT_EQ(decided(pod(R"("affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[]}}})", "amd")).patch.size(), 0u);
  for (std::string_view nothing : {R"("affinity":null)", R"("affinity":{})", R"("affinity":{"nodeAffinity":null})", R"("affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":null}})"}) {
    EXPECT_NE(spec_patch(decided(pod(nothing, "amd"))).find(kAmdLinux), std::string::npos) << nothing;
  }
}

TEST(Decide, SplitsATermWhereSystemsDifferInArchitectures) {
  Decision decision = decided(pod("", "both-systems"));
  std::string text = spec_patch(decision);
  EXPECT_NE(text.find(R"("values":["amd64","arm64"]},{"key":"kubernetes.io/os","operator":"In","values":["linux"]})"), std::string::npos) << text;
  EXPECT_NE(text.find(R"("values":["amd64"]},{"key":"kubernetes.io/os","operator":"In","values":["windows"]})"), std::string::npos) << text;
}

TEST(Decide, BelievesContentOverTheManifest) {
  Decision decision = decided(pod("", "lies"), {.tolerate = {*parse_tolerated_taint("arch=arm64:NoSchedule")}});
  EXPECT_EQ(list_places(decision.common), "linux/amd64");
  EXPECT_EQ(to_json(decision.patch).find("tolerations"), std::string::npos);
  ASSERT_EQ(decision.warnings.size(), 1u);
  EXPECT_EQ(decision.warnings[0], "archway: image lies says linux/arm64 and does not hold it: it is x86-64");
}

TEST(Decide, WarnsOrRefusesWhereNothingIsInCommon) {
  Json object = json(R"({"metadata":{},"spec":{"containers":[{"name":"a","image":"amd"},{"name":"b","image":"arm"}]}})");
  Decision warned = decided(object);
  EXPECT_EQ(warned.outcome, Outcome::Conflict);
  EXPECT_EQ(warned.patch.size(), 0u);
  ASSERT_EQ(warned.warnings.size(), 1u);
  EXPECT_EQ(warned.warnings[0], "archway: the images of pod default/web have no platform in common, so it will not run anywhere: amd (linux/amd64); arm (linux/arm64)");
  Decision refused = decided(object, {.on_conflict = Policy::OnConflict::Deny});
  EXPECT_EQ(refused.outcome, Outcome::Refused);
  EXPECT_TRUE(refused.refusal.has_value());
  EXPECT_FALSE(decided(object, {.mode = Policy::Mode::Report, .on_conflict = Policy::OnConflict::Deny}).refusal.has_value());
}

TEST(Decide, WarnsWhereThePodContradictsItsImages) {
  Json object = pod(R"("nodeSelector":{"kubernetes.io/arch":"arm64"})", "amd");
  Decision decision = decided(object);
  EXPECT_EQ(decision.outcome, Outcome::Conflict);
  EXPECT_GT(decision.patch.size(), 0u);  // it waits, rather than crash
  EXPECT_EQ(decision.warnings.size(), 1u);
  EXPECT_EQ(decided(object, {.on_conflict = Policy::OnConflict::Deny}).patch.size(), 0u);
  EXPECT_EQ(decided(pod(R"("os":{"name":"windows"})", "amd")).outcome, Outcome::Conflict);
}

TEST(Decide, OnlySpeaksWhereNothingMayChange) {
  Decision decision = decided(pod(R"("nodeName":"n1")", "amd"), {}, Subject::Change::Nothing);
  EXPECT_EQ(decision.outcome, Outcome::Unchanged);
  EXPECT_EQ(decision.patch.size(), 0u);
  EXPECT_EQ(decision.warnings.size(), 1u);
  EXPECT_TRUE(decided(pod(R"("nodeName":"n1")"), {}, Subject::Change::Nothing).warnings.empty());
  EXPECT_EQ(decided(pod(R"("nodeName":"n1","nodeSelector":{"kubernetes.io/arch":"arm64"})", "amd"), {.on_conflict = Policy::OnConflict::Deny}, Subject::Change::Nothing).outcome,
            Outcome::Refused);
}

TEST(Decide, JudgesOnlyNewEphemeralContainers) {
  Json object = json(R"({"spec":{"containers":[{"image":"arm"}],"ephemeralContainers":[{"image":"amd"}]}})");
  World world = usual();
  Subject subject = subject_of(object, Subject::Change::Nothing);
  subject.new_images = {"amd"};
  EXPECT_EQ(decide(subject, world.answers(), {}).outcome, Outcome::Conflict);
  // The pod was broken before; its debugger is not to blame.
  Json broken = json(R"({"spec":{"containers":[{"image":"arm"},{"image":"amd"}],"ephemeralContainers":[{"image":"multi"}]}})");
  subject.object = &broken;
  subject.new_images = {"multi"};
  EXPECT_EQ(decide(subject, world.answers(), {}).outcome, Outcome::Unchanged);
}

TEST(Decide, PrefersOnlyWhereThereIsAChoice) {
  Policy policy{.prefer = *parse_preference("arm64=7")};
  std::string term = R"({"weight":7,"preference":{"matchExpressions":[{"key":"kubernetes.io/arch","operator":"In","values":["arm64"]}]}})";
  EXPECT_NE(spec_patch(decided(pod(""), policy)).find(term), std::string::npos);
  EXPECT_EQ(spec_patch(decided(pod("", "amd"), policy)).find("weight"), std::string::npos);
  EXPECT_EQ(spec_patch(decided(pod("", "arm"), policy)).find("weight"), std::string::npos);
  EXPECT_EQ(spec_patch(decided(pod(R"("nodeSelector":{"kubernetes.io/arch":"amd64"})"), policy)).find("weight"), std::string::npos);
  std::string_view own = R"("affinity":{"nodeAffinity":{"preferredDuringSchedulingIgnoredDuringExecution":[{"weight":1,"preference":{"matchExpressions":[{"key":"kubernetes.io/arch","operator":"In","values":["amd64"]}]}}]}})";
  EXPECT_EQ(spec_patch(decided(pod(own), policy)).find("\"weight\":7"), std::string::npos);
  std::string_view zone = R"("affinity":{"nodeAffinity":{"preferredDuringSchedulingIgnoredDuringExecution":[{"weight":1,"preference":{"matchExpressions":[{"key":"zone","operator":"In","values":["a"]}]}}]}})";
  EXPECT_NE(spec_patch(decided(pod(zone), policy)).find("preferredDuringSchedulingIgnoredDuringExecution/-"), std::string::npos);
}

TEST(Decide, ToleratesWhereImagesRunOnce) {
  Policy policy{.tolerate = {*parse_tolerated_taint("arch=arm64:NoSchedule"), *parse_tolerated_taint("dedicated=graviton:NoExecute@arm64")}};
  std::string both = R"({"op":"add","path":"/spec/tolerations","value":[{"key":"arch","operator":"Equal","value":"arm64","effect":"NoSchedule"}]},{"op":"add","path":"/spec/tolerations/-","value":{"key":"dedicated","operator":"Equal","value":"graviton","effect":"NoExecute"}})";
  EXPECT_NE(spec_patch(decided(pod(""), policy)).find(both), std::string::npos);
  EXPECT_EQ(spec_patch(decided(pod("", "amd"), policy)).find("toleration"), std::string::npos);
  for (std::string_view own : {R"([{"operator":"Exists"}])", R"([{"key":"arch","operator":"Exists"},{"key":"dedicated","value":"graviton"}])"}) {
    EXPECT_EQ(spec_patch(decided(pod(R"("tolerations":)" + std::string(own)), policy)).find("toleration"), std::string::npos) << own;
  }
  EXPECT_NE(spec_patch(decided(pod(R"("tolerations":[{"key":"arch","value":"amd64"}])"), policy)).find("/spec/tolerations/-"), std::string::npos);
  // An arm64 node may lack what v9 needs.
  World world;
  world.add("v9", {"linux/amd64", "linux/arm64/v9"});
  Json object = pod("", "v9");
  Decision decision = decide(subject_of(object), world.answers(), policy);
  EXPECT_EQ(spec_patch(decision).find("toleration"), std::string::npos);
  EXPECT_EQ(list_places(decision.common), "linux/amd64, linux/arm64");
  EXPECT_EQ(decision.warnings.size(), 1u);
}

TEST(Decide, LeavesPodsOfUnknownImages) {
  Json object = json(R"({"metadata":{},"spec":{"containers":[{"image":"amd"},{"image":"nobody-knows"}]}})");
  Decision passed = decided(object);
  EXPECT_EQ(passed.outcome, Outcome::Unknown);
  EXPECT_EQ(passed.patch.size(), 0u);
  EXPECT_EQ(passed.warnings.size(), 1u);
  Policy policy{.on_unknown = Policy::OnUnknown::Gate};
  EXPECT_EQ(to_json(decided(object, policy).patch), R"([{"op":"add","path":"/spec/schedulingGates","value":[{"name":"archway.dev/image-platforms"}]}])");
  Json gated = json(R"({"spec":{"containers":[{"image":"x"}],"schedulingGates":[{"name":"archway.dev/image-platforms"}]}})");
  EXPECT_EQ(decided(gated, policy).patch.size(), 0u);
  EXPECT_EQ(decided(object, policy, Subject::Change::Narrow).outcome, Outcome::Unknown);
  // What does not exist will not come by waiting.
  World world = usual();
  ImageAnswers answers = world.answers();
  answers["nobody-knows"].code = Code::NotFound;
  EXPECT_EQ(decide(subject_of(object), answers, policy).outcome, Outcome::Unknown);
}

// A gated pod's terms may be narrowed and no others added, so each takes its part where they were said twice from the start.
TEST(Decide, GatesWithTermsInReserveWhereSystemsDiffer) {
  Policy policy{.on_unknown = Policy::OnUnknown::Gate, .node_places = *parse_places("linux/amd64,linux/arm64,windows/amd64,windows/arm64")};
  std::string zone = R"({"matchExpressions":[{"key":"zone","operator":"Exists"}]})";
  auto with_terms = [&](const std::string& terms, std::string_view image) {
    return pod(R"("affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[)" + terms + "]}}}", image);
  };
  Json object = with_terms(zone + ",{}", "nobody-knows");
  Json gated = *apply_patch(object, decided(object, policy).patch);
  EXPECT_EQ(to_json(gated["spec"]["affinity"]), to_json(with_terms(zone + ",{}," + zone, "")["spec"]["affinity"]));
  EXPECT_EQ(decided(gated, policy).patch.size(), 0u) << "a second look adds nothing";
  // Not where the pod says its system, or nobody says what the nodes are.
  EXPECT_EQ(decided(pod(R"("nodeSelector":{"kubernetes.io/os":"linux"},"affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[)" + zone + "]}}}", "nobody-knows"), policy).patch.size(), 1u);
  EXPECT_EQ(decided(object, {.on_unknown = Policy::OnUnknown::Gate}).patch.size(), 1u);

  World world = usual();
  world.add("nobody-knows", {"linux/arm64", "windows/amd64"});
  Decision lifted = decide(subject_of(gated, Subject::Change::Narrow), world.answers(), policy);
  EXPECT_TRUE(lifted.warnings.empty());
  Json after = *apply_patch(gated, lifted.patch);
  std::string text = to_json(after["spec"]["affinity"]);
  EXPECT_NE(text.find(R"({"key":"kubernetes.io/arch","operator":"In","values":["arm64"]},{"key":"kubernetes.io/os","operator":"In","values":["linux"]})"), std::string::npos) << text;
  EXPECT_NE(text.find(R"({"key":"kubernetes.io/arch","operator":"In","values":["amd64"]},{"key":"kubernetes.io/os","operator":"In","values":["windows"]})"), std::string::npos) << text;
  // Without them Linux is what is left, and that is said.
  Decision partly = decide(subject_of(with_terms(zone, "nobody-knows"), Subject::Change::Narrow), world.answers(), policy);
  EXPECT_NE(spec_patch(partly).find(R"("values":["linux"])"), std::string::npos);
  ASSERT_EQ(partly.warnings.size(), 1u);
  EXPECT_NE(partly.warnings[0].find("goes to windows/amd64 no more"), std::string::npos) << partly.warnings[0];
}

TEST(Decide, SaysWhetherAPodRunsOnTheNodeThatItNames) {
  Json object = pod(R"("nodeName":"n1")", "amd");
  Subject subject = subject_of(object, Subject::Change::Nothing);
  subject.node = "n1";
  subject.node_place = Place{"linux", "arm64"};
  World world = usual();
  Decision decision = decide(subject, world.answers(), {});
  EXPECT_EQ(decision.outcome, Outcome::Conflict);
  ASSERT_EQ(decision.warnings.size(), 1u);
  EXPECT_EQ(decision.warnings[0], "archway: pod default/web will not run on node n1 (linux/arm64): its images run on linux/amd64 only; not changed, since spec.nodeName is set");
  EXPECT_EQ(decide(subject, world.answers(), {.on_conflict = Policy::OnConflict::Deny}).outcome, Outcome::Refused);
  subject.node_place = Place{"linux", "amd64"};
  decision = decide(subject, world.answers(), {});
  EXPECT_EQ(decision.outcome, Outcome::Unchanged);
  EXPECT_TRUE(decision.warnings.empty());
  // What is there already is not to blame for what is added.
  Json debugged = json(R"({"spec":{"nodeName":"n1","containers":[{"image":"amd"}],"ephemeralContainers":[{"name":"d","image":"arm"}]}})");
  Subject added = subject_of(debugged, Subject::Change::Nothing);
  added.new_images = {"arm"};
  added.node_place = Place{"linux", "arm64"};
  EXPECT_EQ(decide(added, world.answers(), {}).outcome, Outcome::Unchanged);
  added.node_place = Place{"linux", "amd64"};
  EXPECT_EQ(decide(added, world.answers(), {}).outcome, Outcome::Conflict);
}

TEST(Decide, CountsImageVolumesAndInitContainers) {
  Json object = json(R"({"spec":{"initContainers":[{"image":"multi","restartPolicy":"Always"}],"containers":[{"image":"both-systems"}],"volumes":[{"name":"v","image":{"reference":"arm"}},{"name":"d","image":{"reference":"artifact"}}]}})");
  EXPECT_EQ(list_places(decided(object).common), "linux/arm64");
  EXPECT_EQ(decided(pod("", "artifact")).outcome, Outcome::Conflict);
}

TEST(Decide, CountsThirtyTwoBitsOnlyWhenTold) {
  EXPECT_EQ(list_places(decided(pod("", "old")).common), "linux/386, linux/arm");
  EXPECT_EQ(list_places(decided(pod("", "old"), {.fallback = Fallback::Allow}).common), "linux/386, linux/amd64, linux/arm, linux/arm64");
}

TEST(Decide, AsksNothingThatHoldsForAllNodes) {
  Policy policy{.node_places = *parse_places("linux/amd64,linux/arm64")};
  EXPECT_EQ(decided(pod(""), policy).patch.size(), 0u);
  EXPECT_NE(spec_patch(decided(pod("", "amd"), policy)).find("kubernetes.io/arch"), std::string::npos);
  EXPECT_EQ(spec_patch(decided(pod("", "amd"), policy)).find("kubernetes.io/os"), std::string::npos);
  EXPECT_EQ(decided(pod("", "arm"), {.node_places = *parse_places("linux/amd64")}).outcome, Outcome::Conflict);
}

TEST(Decide, RecordsWhatItDidOnThePod) {
  Json object = json(R"({"metadata":{"annotations":{"a":"b"}},"spec":{"containers":[{"image":"amd"}]}})");
  Decision decision = decided(object);
  const Json& last = decision.patch.items().back();
  EXPECT_EQ(last["path"].string(), "/metadata/annotations/archway.dev~1platforms");
  EXPECT_EQ(last["value"].string(), R"({"images":{"amd":"linux/amd64"},"common":"linux/amd64","decision":"only nodes of linux/amd64"})");
}

TEST(Decide, MakesTheMetadataThatItsRecordNeeds) {
  Json object = json(R"({"spec":{"containers":[{"image":"amd"}]}})");
  auto after = apply_patch(object, decided(object).patch);
  ASSERT_TRUE(after.ok()) << after.error().message;
  EXPECT_TRUE((*after)["metadata"]["annotations"].has(kRecordAnnotation));
}

TEST(Decide, LeavesAnAffinityOfTooManyTerms) {
  auto with_terms = [](size_t count) {
    Json terms = Json::array();
    for (size_t i = 0; i < count; ++i) terms.push(json(R"({"matchExpressions":[{"key":"zone","operator":"Exists"}]})"));
    Json object = pod(R"("affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{}}})", "amd");
    object.find("spec")->find("affinity")->find("nodeAffinity")->find("requiredDuringSchedulingIgnoredDuringExecution")->set("nodeSelectorTerms", std::move(terms));
    return object;
  };
  EXPECT_EQ(decided(with_terms(kMaxTerms)).outcome, Outcome::Changed);
  Decision left = decided(with_terms(kMaxTerms + 1));
  EXPECT_EQ(left.outcome, Outcome::Unknown);
  EXPECT_EQ(left.patch.size(), 0u);
  EXPECT_EQ(left.warnings.size(), 1u);
}

TEST(Decide, HoldsItsLimits) {
  auto with_images = [](size_t count) {
    Json containers = Json::array();
    for (size_t i = 0; i < count; ++i) containers.push(Json::object({{"image", "image-" + std::to_string(i)}}));
    return Json::object({{"spec", Json::object({{"containers", std::move(containers)}})}});
  };
  EXPECT_TRUE(images_to_ask(with_images(kMaxImages)["spec"]).ok());
  EXPECT_FALSE(images_to_ask(with_images(kMaxImages + 1)["spec"]).ok());
  Json many = with_images(10'000);
  Decision decision = decided(many);
  EXPECT_EQ(decision.outcome, Outcome::Unknown);
  EXPECT_EQ(decision.warnings.size(), 1u);
  Json unknown = with_images(kMaxImages);
  EXPECT_EQ(decided(unknown).warnings.size(), kMaxWarnings);
  for (const std::string& warning : decided(unknown).warnings) EXPECT_LE(warning.size(), kMaxWarningBytes);
  Json named = Json::object({{"spec", Json::object({{"containers", Json(Json::Array{Json::object({{"image", std::string(kMaxImageNameBytes, 'a')}})})}})}});
  EXPECT_TRUE(images_to_ask(named["spec"]).ok());
  named = Json::object({{"spec", Json::object({{"containers", Json(Json::Array{Json::object({{"image", std::string(kMaxImageNameBytes + 1, 'a')}})})}})}});
  EXPECT_FALSE(images_to_ask(named["spec"]).ok());
}

// What an index says is not ours: it must not make a pod invalid.
TEST(Decide, NeverAsksForWhatIsNoLabel) {
  World world;
  world.truths["odd"].platforms = {{"linux", "amd64"}, {"linux", "a b"}, {"lin\nux", "amd64"}, {"", "amd64"}, {"linux", std::string(64, 'x')}};
  Json object = pod("", "odd");
  EXPECT_EQ(list_places(decide(subject_of(object), world.answers(), {}).common), "linux/amd64");
}

// --- the property, over random pods and nodes ---

class Dice {
 public:
  explicit Dice(uint32_t seed) : engine_(seed) {}
  size_t below(size_t count) { return engine_() % count; }
  bool one_in(size_t count) { return below(count) == 0; }
  template <class T>
  const T& of(const std::vector<T>& list) { return list[below(list.size())]; }

 private:
  std::mt19937 engine_;
};

const std::vector<std::string> kOses = {"linux", "linux", "linux", "windows", "freebsd"};
const std::vector<std::string> kArchitectures = {"amd64", "arm64", "amd64", "arm64", "s390x", "arm", "386"};

struct TestNode {
  std::string name;
  kube::Labels labels;
};

std::vector<TestNode> all_nodes() {
  std::vector<TestNode> nodes;
  for (const std::string& os : {std::string("linux"), std::string("windows"), std::string("freebsd")}) {
    for (const std::string architecture : {"amd64", "arm64", "s390x", "arm", "386", "riscv64"}) {
      for (const std::string zone : {"a", "b", ""}) {
        for (bool old : {false, true}) {
          kube::Labels labels({{"kubernetes.io/os", os}, {"kubernetes.io/arch", architecture}});
          if (!zone.empty()) labels.set("zone", zone);
          if (old) labels.set("beta.kubernetes.io/arch", architecture);
          if (old) labels.set("beta.kubernetes.io/os", os);
          nodes.push_back({"n" + std::to_string(nodes.size()), labels});
        }
      }
    }
  }
  return nodes;
}

Json random_expression(Dice& dice) {
  std::string key = dice.of(std::vector<std::string>{"kubernetes.io/arch", "kubernetes.io/os", "beta.kubernetes.io/arch", "beta.kubernetes.io/os", "zone"});
  std::string op = dice.of(std::vector<std::string>{"In", "In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"});
  Json values = Json::array();
  const auto& from = key == "zone" ? std::vector<std::string>{"a", "b", "c"} : key.ends_with("os") ? kOses : kArchitectures;
  if (op == "Gt" || op == "Lt") values.push(dice.one_in(2) ? "300" : "400");
  if (op == "In" || op == "NotIn") {
    for (size_t i = 0, count = 1 + dice.below(3); i < count; ++i) values.push(dice.of(from));
  }
  Json expression = Json::object({{"key", key}, {"operator", op}});
  if (values.size() > 0) expression.set("values", std::move(values));
  return expression;
}

Json random_term(Dice& dice) {
  Json term = Json::object();
  if (dice.one_in(8)) return term;
  if (!dice.one_in(5)) {
    Json list = Json::array();
    for (size_t i = 0, count = dice.below(3); i < count; ++i) list.push(random_expression(dice));
    term.set("matchExpressions", std::move(list));
  }
  if (dice.one_in(4)) {
    Json values = Json::array();
    values.push("n" + std::to_string(dice.below(20)));
    Json fields = Json::array();
    fields.push(Json::object({{"key", "metadata.name"}, {"operator", dice.one_in(3) ? "NotIn" : "In"}, {"values", std::move(values)}}));
    term.set("matchFields", std::move(fields));
  }
  return term;
}

Json random_spec(Dice& dice) {
  Json spec = Json::object();
  if (dice.one_in(2)) {
    Json selector = Json::object();
    if (dice.one_in(2)) selector.set("kubernetes.io/os", dice.of(kOses));
    if (dice.one_in(3)) selector.set("kubernetes.io/arch", dice.of(kArchitectures));
    if (dice.one_in(6)) selector.set("beta.kubernetes.io/arch", dice.of(kArchitectures));
    if (dice.one_in(4)) selector.set("zone", "a");
    spec.set("nodeSelector", std::move(selector));
  }
  if (dice.one_in(3)) return spec;
  Json node_affinity = Json::object();
  if (!dice.one_in(4)) {
    Json terms = Json::array();
    for (size_t i = 0, count = dice.below(4); i < count; ++i) terms.push(random_term(dice));
    node_affinity.set("requiredDuringSchedulingIgnoredDuringExecution", dice.one_in(10) ? Json() : Json::object({{"nodeSelectorTerms", std::move(terms)}}));
  }
  if (dice.one_in(3)) {
    Json preferred = Json::array();
    preferred.push(Json::object({{"weight", 3}, {"preference", random_term(dice)}}));
    node_affinity.set("preferredDuringSchedulingIgnoredDuringExecution", std::move(preferred));
  }
  spec.set("affinity", Json::object({{"nodeAffinity", std::move(node_affinity)}}));
  return spec;
}

// A pod's nodeSelector and required affinity, read once.
class Matcher {
 public:
  explicit Matcher(const Json& spec) {
    auto affinity = kube::read_node_affinity(spec["affinity"]["nodeAffinity"]);
    auto selector = kube::read_labels(spec["nodeSelector"]);
    EXPECT_TRUE(affinity.ok() && selector.ok()) << to_json(spec);
    affinity_ = std::move(affinity).value_or({});
    selector_ = std::move(selector).value_or({});
  }
  bool operator()(const TestNode& node) const { return kube::node_affinity_matches(selector_, affinity_, node.name, node.labels); }

 private:
  kube::NodeAffinity affinity_;
  kube::Labels selector_;
};

// `after` is one that the API server takes as the update of a gated pod (ValidatePodUpdate, "scheduling directives").
bool only_appends(const Json& before, const Json& after) {
  constexpr std::string_view kRequired = "requiredDuringSchedulingIgnoredDuringExecution";
  const Json::Array& old_terms = before["affinity"]["nodeAffinity"][kRequired]["nodeSelectorTerms"].items();
  const Json::Array& new_terms = after["affinity"]["nodeAffinity"][kRequired]["nodeSelectorTerms"].items();
  if (old_terms.empty()) return true;
  if (old_terms.size() != new_terms.size()) return false;
  for (size_t i = 0; i < old_terms.size(); ++i) {
    const Json::Array& was = old_terms[i]["matchExpressions"].items();
    const Json::Array& is = new_terms[i]["matchExpressions"].items();
    if (was.empty() && old_terms[i]["matchFields"].items().empty() && !is.empty()) return false;
    if (is.size() < was.size() || !std::equal(was.begin(), was.end(), is.begin())) return false;
    if (!(old_terms[i]["matchFields"] == new_terms[i]["matchFields"])) return false;
  }
  return true;
}

TEST(Property, ANodeTakesThePodExactlyWhereItDidAndTheImagesRun) {
  const std::vector<TestNode> nodes = all_nodes();
  size_t changed = 0, split = 0, conflicts = 0;
  for (uint32_t seed = 0; seed < 800; ++seed) {
    Dice dice(seed);
    World world;
    Json containers = Json::array();
    for (size_t i = 0, count = 1 + dice.below(3); i < count; ++i) {
      std::string name = "image-" + std::to_string(i);
      std::vector<std::string> platforms;
      for (size_t k = 0, sum = 1 + dice.below(5); k < sum; ++k) platforms.push_back(dice.of(kOses) + "/" + dice.of(kArchitectures));
      world.add(name, platforms, dice.one_in(5) ? std::vector<std::string>{platforms[0]} : std::vector<std::string>{});
      containers.push(Json::object({{"name", name}, {"image", name}}));
    }
    Json spec = random_spec(dice);
    spec.set("containers", std::move(containers));
    Json object = Json::object({{"metadata", Json::object({{"name", "p"}})}, {"spec", std::move(spec)}});
    Policy policy;
    if (dice.one_in(2)) policy.prefer = Preference{"arm64", 10};
    if (dice.one_in(2)) policy.tolerate = {*parse_tolerated_taint("arch=arm64:NoSchedule")};
    bool gated = dice.one_in(4);
    // Somebody vouches for what the nodes are: then there are no others.
    if (dice.one_in(3)) {
      for (const std::string& os : kOses) {
        for (const std::string& architecture : kArchitectures) {
          if (!dice.one_in(3)) policy.node_places.push_back({os, architecture});
        }
      }
      std::sort(policy.node_places.begin(), policy.node_places.end());
    }
    auto may_be = [&](const TestNode& node) {
      return policy.node_places.empty() || contains(policy.node_places, {*node.labels.find("kubernetes.io/os"), *node.labels.find("kubernetes.io/arch")});
    };

    Decision decision = decide(subject_of(object, gated ? Subject::Change::Narrow : Subject::Change::Anything), world.answers(), policy);
    auto after = apply_patch(object, decision.patch);
    ASSERT_TRUE(after.ok()) << after.error().message << to_json(decision.patch);
    Places common = decision.common;
    if (common.empty()) {
      EXPECT_EQ(decision.outcome, Outcome::Conflict);
      EXPECT_EQ(decision.patch.size(), 0u);
      continue;
    }
    bool inexact = std::any_of(decision.warnings.begin(), decision.warnings.end(), [](const std::string& w) { return w.find("no more, though its images run there") != std::string::npos; });
    Matcher matches_before(object["spec"]), matches_after((*after)["spec"]);
    for (const TestNode& node : nodes) {
      if (!may_be(node)) continue;
      bool runs = contains(common, {*node.labels.find("kubernetes.io/os"), *node.labels.find("kubernetes.io/arch")});
      bool was = matches_before(node), is = matches_after(node);
      if (inexact) {
        EXPECT_TRUE(!is || (was && runs)) << "what is lost is lost; nothing crashes";
      } else {
        ASSERT_EQ(is, was && runs) << "seed " << seed << " node " << node.name << "\n" << to_json(object) << "\n" << to_json(decision.patch) << "\n" << list_places(common);
      }
    }
    if (gated) {
      EXPECT_TRUE(only_appends(object["spec"], (*after)["spec"])) << to_json(decision.patch);
    }
    // Twice is once.
    Decision again = decide(subject_of(*after, gated ? Subject::Change::Narrow : Subject::Change::Anything), world.answers(), policy);
    if (!inexact) {
      EXPECT_EQ(again.patch.size(), 0u) << "seed " << seed << to_json(object) << "\n" << to_json(decision.patch) << "\n" << to_json(again.patch);
    }
    // The taint's toleration is there exactly where all images run.
    std::vector<kube::Toleration> tolerations;
    for (const Json& each : (*after)["spec"]["tolerations"].items()) tolerations.push_back(*kube::read_toleration(each));
    bool goes_somewhere = std::any_of(nodes.begin(), nodes.end(), [&](const TestNode& node) { return may_be(node) && matches_after(node); });
    if (goes_somewhere) {
      EXPECT_EQ(kube::tolerated({"arch", "arm64", "NoSchedule"}, tolerations), !policy.tolerate.empty() && contains(common, {"linux", "arm64"}));
    }
    changed += decision.patch.size() > 0;
    split += (*after)["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"].size() >
             object["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"].size() + 1;
    conflicts += decision.outcome == Outcome::Conflict;
  }
  // The dice came upon all kinds.
  EXPECT_GT(changed, 150u);
  EXPECT_GT(split, 10u);
  EXPECT_GT(conflicts, 25u);
}

TEST(Policy, ReadsItsFlags) {
  EXPECT_EQ(parse_preference("arm64")->weight, 1);
  EXPECT_EQ(parse_preference("aarch64=100")->architecture, "arm64");
  for (std::string_view bad : {"", "arm64=0", "arm64=101", "arm64=", "toaster"}) EXPECT_FALSE(parse_preference(bad).ok()) << bad;
  EXPECT_EQ(parse_tolerated_taint("kubernetes.io/arch=arm64:NoSchedule")->place.str(), "linux/arm64");
  EXPECT_EQ(parse_tolerated_taint("gpu=yes:NoExecute@windows/amd64")->place.str(), "windows/amd64");
  for (std::string_view bad : {"arch=arm64", "dedicated=graviton:NoSchedule", "arch=arm64:Sometimes", "a:NoSchedule@toaster"}) EXPECT_FALSE(parse_tolerated_taint(bad).ok()) << bad;
}

}  // namespace
}  // namespace archway::admission
