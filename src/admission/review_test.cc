#include "admission/review.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "admission/names.h"
#include "admission/patch.h"
#include "admission/review_reader.h"
#include "base/fd.h"
#include "base/text.h"

namespace archway::admission {
namespace {

Json json(std::string_view text) {
  auto parsed = parse_json(text);
  EXPECT_TRUE(parsed.ok()) << text;
  return std::move(parsed).value_or(Json());
}

KnownImages images() {
  return KnownImages(*parse_truths(R"({"multi": {"platforms": ["linux/amd64", "linux/arm64"]}, "amd": {"platforms": ["linux/amd64"]}, "arm": {"platforms": ["linux/arm64"]}})"));
}

struct Answer {
  Decision decision;
  Json response;
};

Answer answer(const Json& review, const Policy& policy = {}) {
  auto request = read_review(to_json(review));
  EXPECT_TRUE(request.ok()) << request.error().message;
  ReviewPlan plan = plan_review(*request, policy);
  Decision decision = decide_review(plan, images().find_all(plan.images), policy);
  Json response = json(write_response(*request, decision, policy))["response"];
  return {std::move(decision), std::move(response)};
}

Json review(std::string_view group, std::string_view kind, std::string_view operation, std::string_view object, std::string_view old = "null", std::string_view subresource = "") {
  Json request = Json::object({{"uid", "u1"}, {"kind", Json::object({{"group", group}, {"version", "v1"}, {"kind", kind}})}, {"namespace", "default"}, {"name", "x"},
                               {"operation", operation}, {"object", json(object)}, {"oldObject", json(old)}});
  if (!subresource.empty()) request.set("subResource", subresource);
  return Json::object({{"apiVersion", "admission.k8s.io/v1"}, {"kind", "AdmissionReview"}, {"request", std::move(request)}});
}

constexpr std::string_view kPod = R"({"metadata":{"name":"x"},"spec":{"containers":[{"name":"c","image":"amd"}]}})";
constexpr std::string_view kOwner = R"({"metadata":{"name":"x"},"spec":{"template":{"metadata":{},"spec":{"containers":[{"name":"c","image":"amd"}]}}}})";

TEST(Review, AnswersWithTheUidAndAPatch) {
  Answer got = answer(review("", "Pod", "CREATE", kPod));
  EXPECT_EQ(got.response["uid"].string(), "u1");
  EXPECT_TRUE(got.response["allowed"].boolean());
  EXPECT_EQ(got.response["patchType"].string(), "JSONPatch");
  Json patch = json(base64_decode(got.response["patch"].string()).value_or(""));
  EXPECT_EQ(patch, got.decision.patch);
  EXPECT_EQ(got.response["auditAnnotations"]["decision"].string(), "changed");
}

TEST(Review, RefusesAsTheApiServerWantsIt) {
  Json two = review("", "Pod", "CREATE", R"({"metadata":{},"spec":{"containers":[{"image":"amd"},{"image":"arm"}]}})");
  Answer got = answer(two, {.on_conflict = Policy::OnConflict::Deny});
  EXPECT_FALSE(got.response["allowed"].boolean(true));
  EXPECT_EQ(got.response["status"]["code"].integer(), 403);
  EXPECT_NE(got.response["status"]["message"].string().find("no platform in common"), std::string::npos);
  EXPECT_FALSE(got.response.has("patch"));
}

TEST(Review, PatchesOwnersInTheirTemplate) {
  for (auto [group, kind] : {std::pair<std::string_view, std::string_view>{"apps", "Deployment"}, {"apps", "StatefulSet"}, {"apps", "DaemonSet"}, {"apps", "ReplicaSet"}, {"batch", "Job"}}) {
    Answer got = answer(review(group, kind, "CREATE", kOwner));
    ASSERT_EQ(got.decision.patch.size(), 2u) << kind;
    EXPECT_EQ(got.decision.patch.items()[1]["path"].string(), "/metadata/annotations") << kind;  // the owner's, not the template's
    EXPECT_EQ(got.decision.patch.items()[0]["path"].string(), "/spec/template/spec/affinity") << kind;
  }
  Answer cron = answer(review("batch", "CronJob", "CREATE", R"({"metadata":{},"spec":{"jobTemplate":{"spec":{"template":{"spec":{"containers":[{"image":"amd"}]}}}}}})"));
  EXPECT_EQ(cron.decision.patch.items().at(0)["path"].string(), "/spec/jobTemplate/spec/template/spec/affinity");
  EXPECT_EQ(answer(review("example.com", "Deployment", "CREATE", kOwner)).decision.outcome, Outcome::Ignored);
}

TEST(Review, LeavesTemplatesThatAnUpdateDoesNotTouch) {
  std::string scaled(kOwner);
  scaled.insert(scaled.find("\"template\""), "\"replicas\":3,");
  EXPECT_EQ(answer(review("apps", "Deployment", "UPDATE", scaled, kOwner)).decision.outcome, Outcome::Ignored);
  std::string labelled = replace_all(std::string(kOwner), R"("template":{"metadata":{})", R"("template":{"metadata":{"labels":{"a":"b"}})");
  EXPECT_EQ(answer(review("apps", "Deployment", "UPDATE", labelled, kOwner)).decision.outcome, Outcome::Ignored);
  std::string before = replace_all(std::string(kOwner), "amd", "multi");
  EXPECT_EQ(answer(review("apps", "Deployment", "UPDATE", kOwner, before)).decision.outcome, Outcome::Changed);
  EXPECT_EQ(answer(review("apps", "Deployment", "UPDATE", kOwner, kOwner, "scale")).decision.outcome, Outcome::Ignored);
}

// An image that ran on amd64 only is followed by one that runs on both: what was asked for because of the first was never the user's wish.
TEST(Review, MakesAnewWhatItAddedForEarlierImages) {
  Policy policy{.tolerate = {*parse_tolerated_taint("arch=arm64:NoSchedule")}};
  Json object = json(replace_all(std::string(kOwner), R"("containers")", R"("affinity":{"podAffinity":{}},"containers")"));
  auto with_image = [&](Json owner, std::string_view image) { return json(replace_all(to_json(owner), R"("image":"amd")", R"("image":")" + std::string(image) + "\"")); };
  auto patched = [&](const Json& now, const Json& before) {
    Answer got = answer(review("apps", "Deployment", before.is_null() ? "CREATE" : "UPDATE", to_json(now), to_json(before)), policy);
    auto after = apply_patch(now, got.decision.patch);
    EXPECT_TRUE(after.ok());
    return std::move(after).value_or(Json());
  };
  Json created = patched(object, Json());
  EXPECT_EQ(to_json(created).find("arm64"), std::string::npos) << to_json(created);
  Json updated = patched(with_image(created, "multi"), created);
  Json fresh = patched(with_image(object, "multi"), Json());
  EXPECT_EQ(updated["spec"], fresh["spec"]) << to_json(updated["spec"]) << to_json(fresh["spec"]);
  EXPECT_NE(to_json(updated["spec"]).find("tolerations"), std::string::npos);
  // And back again.
  Json back = patched(json(replace_all(to_json(updated), R"("image":"multi")", R"("image":"amd")")), updated);
  EXPECT_EQ(back["spec"]["template"]["spec"]["affinity"], created["spec"]["template"]["spec"]["affinity"]);
  EXPECT_EQ(back["spec"]["template"]["spec"]["tolerations"].size(), 0u);
  // What somebody has changed since is theirs.
  Json theirs = json(replace_all(to_json(with_image(created, "multi")), R"("values":["amd64"])", R"("values":["amd64","s390x"])"));
  theirs.find("metadata")->find("annotations")->set("archway.dev/template", created["metadata"]["annotations"]["archway.dev/template"]);
  EXPECT_NE(to_json(patched(theirs, created)["spec"]).find("s390x"), std::string::npos);
}

// `kubectl apply` puts the manifest's terms back and leaves what it never wrote: the record and the toleration.
TEST(Review, WhatKubectlAppliesAgainComesToTheSame) {
  Policy policy{.tolerate = {*parse_tolerated_taint("arch=arm64:NoSchedule")}};
  std::string own = R"("affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[{"matchExpressions":[{"key":"zone","operator":"Exists"}]}]}}},"containers")";
  Json object = json(replace_all(replace_all(std::string(kOwner), "\"containers\"", own), "\"amd\"", "\"arm\""));
  Json created = *apply_patch(object, answer(review("apps", "Deployment", "CREATE", to_json(object)), policy).decision.patch);
  Json again = created;
  Json& spec = *again.find("spec")->find("template")->find("spec");
  spec.set("affinity", object["spec"]["template"]["spec"]["affinity"]);
  Json after = *apply_patch(again, answer(review("apps", "Deployment", "UPDATE", to_json(again), to_json(created)), policy).decision.patch);
  EXPECT_EQ(after, created) << to_json(after) << "\n" << to_json(created);
  // So another image later takes the toleration away.
  Json amd = json(replace_all(to_json(again), R"("image":"arm")", R"("image":"amd")"));
  Json changed = *apply_patch(amd, answer(review("apps", "Deployment", "UPDATE", to_json(amd), to_json(created)), policy).decision.patch);
  EXPECT_EQ(changed["spec"]["template"]["spec"]["tolerations"].size(), 0u) << to_json(changed);
}

// The template of a started Job is fixed, with what was added to it.
TEST(Review, AStartedJobMayBeAppliedAgain) {
  Policy policy{.tolerate = {*parse_tolerated_taint("arch=arm64:NoSchedule")}};
  std::string own = R"("tolerations":[{"key":"own","operator":"Exists"}],"affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[{"matchExpressions":[{"key":"zone","operator":"Exists"}]}]}}},"containers")";
  Json object = json(replace_all(replace_all(std::string(kOwner), "\"containers\"", own), "\"amd\"", "\"arm\""));
  Json created = *apply_patch(object, answer(review("batch", "Job", "CREATE", to_json(object)), policy).decision.patch);
  ASSERT_EQ(created["spec"]["template"]["spec"]["tolerations"].size(), 2u);
  Json started = created;
  started.set("status", json(R"({"startTime":"2026-11-23T00:00:00Z"})"));
  Json again = started;
  again.set("spec", object["spec"]);
  Answer got = answer(review("batch", "Job", "UPDATE", to_json(again), to_json(started)), policy);
  EXPECT_EQ((*apply_patch(again, got.decision.patch))["spec"], created["spec"]) << to_json(got.decision.patch);
  EXPECT_TRUE(got.decision.warnings.empty());
  // What is no word of the manifest's is for the API server to refuse.
  Json other = again;
  other.set("spec", json(replace_all(to_json(again["spec"]), "zone", "rack")));
  EXPECT_EQ(answer(review("batch", "Job", "UPDATE", to_json(other), to_json(started)), policy).decision.patch.size(), 0u);
}

TEST(Review, LeavesWhatBelongsToAnother) {
  std::string owned = replace_all(std::string(kOwner), R"("metadata":{"name":"x"})", R"("metadata":{"name":"x","ownerReferences":[{"kind":"Deployment","name":"d","controller":true}]})");
  EXPECT_EQ(answer(review("apps", "ReplicaSet", "CREATE", owned)).decision.outcome, Outcome::Ignored);
  EXPECT_EQ(answer(review("batch", "Job", "CREATE", owned)).decision.outcome, Outcome::Changed);
}

TEST(Review, KnowsWhatMayStillChange) {
  std::string before = replace_all(std::string(kOwner), "amd", "multi");
  auto job = [&](std::string_view old_members) {
    Json old = json(before);
    Json more = json(old_members);
    for (const JsonMember& each : more["spec"].members()) old.find("spec")->set(each.key, each.value);
    if (more.has("status")) old.set("status", more["status"]);
    return answer(review("batch", "Job", "UPDATE", kOwner, to_json(old))).decision;
  };
  EXPECT_EQ(job(R"({"spec":{"suspend":true}})").outcome, Outcome::Changed);
  EXPECT_EQ(job(R"({"spec":{"suspend":true},"status":{"startTime":"2026-01-01T00:00:00Z"}})").patch.size(), 0u);
  EXPECT_EQ(job(R"({"spec":{}})").patch.size(), 0u);

  std::string gated = replace_all(std::string(kPod), "\"spec\":{", R"("spec":{"schedulingGates":[{"name":"g"}],)");
  EXPECT_EQ(answer(review("", "Pod", "UPDATE", gated, gated)).decision.outcome, Outcome::Changed);
  EXPECT_EQ(answer(review("", "Pod", "UPDATE", kPod, gated)).decision.outcome, Outcome::Changed);  // the gate is being lifted
  EXPECT_EQ(answer(review("", "Pod", "UPDATE", kPod, kPod)).decision.outcome, Outcome::Ignored);
  Decision image = answer(review("", "Pod", "UPDATE", kPod, replace_all(std::string(kPod), "amd", "multi"))).decision;
  EXPECT_EQ(image.patch.size(), 0u);
  EXPECT_EQ(image.warnings.size(), 1u);
  std::string bound = replace_all(std::string(kPod), "\"spec\":{", R"("spec":{"nodeName":"n1",)");
  EXPECT_EQ(answer(review("", "Pod", "CREATE", bound)).decision.patch.size(), 0u);
}

TEST(Review, LetsAGateBeLiftedWhateverTheImagesAre) {
  std::string pod = R"({"metadata":{},"spec":{"containers":[{"image":"amd"},{"image":"arm"}]}})";
  std::string gated = replace_all(pod, "\"spec\":{", R"("spec":{"schedulingGates":[{"name":"g"}],)");
  Answer got = answer(review("", "Pod", "UPDATE", pod, gated), {.on_conflict = Policy::OnConflict::Deny});
  EXPECT_TRUE(got.response["allowed"].boolean());
  EXPECT_EQ(got.decision.warnings.size(), 1u);
  EXPECT_FALSE(answer(review("", "Pod", "CREATE", gated), {.on_conflict = Policy::OnConflict::Deny}).response["allowed"].boolean(true));
}

TEST(Review, LooksAtNewEphemeralContainers) {
  std::string old = R"({"metadata":{},"spec":{"containers":[{"name":"c","image":"arm"}]}})";
  std::string with = R"({"metadata":{},"spec":{"containers":[{"name":"c","image":"arm"}],"ephemeralContainers":[{"name":"d","image":"amd"}]}})";
  Decision decision = answer(review("", "Pod", "UPDATE", with, old, "ephemeralcontainers")).decision;
  EXPECT_EQ(decision.outcome, Outcome::Conflict);
  EXPECT_EQ(decision.patch.size(), 0u);
  EXPECT_EQ(answer(review("", "Pod", "UPDATE", with, with, "ephemeralcontainers")).decision.outcome, Outcome::Ignored);
}

TEST(Review, LeavesAloneWhatAsksForIt) {
  EXPECT_EQ(answer(review("", "Pod", "DELETE", "null", kPod)).decision.outcome, Outcome::Ignored);
  EXPECT_EQ(answer(review("", "PodExecOptions", "CONNECT", R"({"command":["sh"]})", "null", "exec")).decision.outcome, Outcome::Ignored);
  EXPECT_EQ(answer(review("", "Pod", "CREATE", kPod, "null", "binding")).decision.outcome, Outcome::Ignored);
  std::string opted = replace_all(std::string(kPod), R"("name":"x")", R"("name":"x","labels":{"archway.dev/admission":"ignore"})");
  EXPECT_EQ(answer(review("", "Pod", "CREATE", opted)).decision.outcome, Outcome::Ignored);
  std::string mirror = replace_all(std::string(kPod), R"("name":"x")", R"("name":"x","annotations":{"kubernetes.io/config.mirror":"h"})");
  EXPECT_EQ(answer(review("", "Pod", "CREATE", mirror)).decision.outcome, Outcome::Ignored);
  Json system = review("", "Pod", "CREATE", kPod);
  system.find("request")->set("namespace", "kube-system");
  EXPECT_EQ(answer(system).decision.outcome, Outcome::Ignored);
}

TEST(Review, OnlyReportsWhenToldTo) {
  Answer got = answer(review("", "Pod", "CREATE", kPod), {.mode = Policy::Mode::Report});
  EXPECT_FALSE(got.response.has("patch"));
  EXPECT_EQ(got.response["auditAnnotations"]["mode"].string(), "report");
  EXPECT_EQ(got.response["auditAnnotations"]["summary"].string(), "only nodes of linux/amd64");
}

TEST(Review, RefusesWhatIsNoReview) {
  for (std::string_view text : {"", "[]", "{}", R"({"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1"})", R"({"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1beta1","request":{"uid":"a"}})",
                                R"({"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":""}})", R"({"kind":"Pod"})"}) {
    EXPECT_FALSE(read_review(text).ok()) << text;
  }
  EXPECT_FALSE(read_review(std::string(kMaxReviewBytes + 1, ' ')).ok());
}

TEST(ReviewReader, ReadsWhatParseJsonReads) {
  for (std::string_view text : {R"({"kind":"a\n\u00e9\ud83d\ude00\/","apiVersion":-1.5e3,"skipped":{"a":["]}",{"b":"\\"}],"c":-0.5},"request":{"uid":"x","object":{"spec":{"containers":[{"env":[1]},null,{"image":"i"}]}}}})",
                                R"( {"kind" : null , "kind" : true, "skipped" : 1 , "z":[], "request":[{"uid":1,"x":2},[{"uid":3}]]} )", R"({"request":{"object":{"spec":{"nodeSelector":{"a":"1","b":"2","a":"3"}}}}})",
                                "{\"x\":{}}", "{}", "3", "\"x\"", "[{\"kind\":{\"deep\":[1,2.25,-7]}}]", R"({"kind":18446744073709551615})"}) {
    auto whole = parse_json(text);
    auto read = read_review_json(text);
    ASSERT_TRUE(whole.ok() && read.ok()) << text << (read.ok() ? "" : read.error().message);
    EXPECT_EQ(*read, prune_review(*whole)) << text << to_json(*read);
  }
}

TEST(ReviewReader, RefusesWhatIsBroken) {
  for (std::string_view text : {"", "{", "[", "{]", "{\"kind\"}", "{\"kind\":}", "{\"kind\":1,}", "[1,]", "{\"kind\":01}", "{\"kind\":1.}", "{\"kind\":.5}", "{\"kind\":+1}", "{\"kind\":1e}", "{\"kind\":tru}",
                                "{\"kind\":\"\\x\"}", "{\"kind\":\"\\ud800\"}", "{\"kind\":\"\\udc00\"}", "{\"kind\":\"\xff\"}", "{\"kind\":\"\n\"}", "{\"x\":[}]}", "{\"x\":[1}", "{\"x\":\"", "{\"x\":\"\\\"}", "{\"x\":}",
                                "{\"x\":,\"kind\":1}", "{} {}", "{\"kind\":\"\xed\xa0\x80\"}", "{\"kind\":\"\xc0\x80\"}", "{\"kind\":-}", "{\"x\" 1}", "{\"x\":1 \"kind\":2}"}) {
    EXPECT_FALSE(read_review_json(text).ok()) << text;
  }
}

TEST(ReviewReader, BoundsDepth) {
  auto nested = [](std::string_view key, size_t depth) { return "{\"" + std::string(key) + "\":" + std::string(depth, '[') + std::string(depth, ']') + "}"; };
  for (std::string_view key : {"kind", "skipped"}) {
    EXPECT_TRUE(read_review_json(nested(key, kMaxJsonDepth - 1)).ok()) << key;
    EXPECT_FALSE(read_review_json(nested(key, kMaxJsonDepth)).ok()) << key;
  }
}

TEST(ReviewReader, ReadsRecordedReviewsAsParseJsonDoes) {
  std::filesystem::path folder = std::filesystem::path(ARCHWAY_SOURCE_DIR).parent_path() / "shared/vectors/kubernetes/admission";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << "skipped: the vectors are not beside the checkout";
  size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    std::string text = *read_file(entry.path(), kMaxReviewBytes);
    auto whole = parse_json(text);
    auto read = read_review_json(text);
    ASSERT_TRUE(whole.ok() && read.ok()) << entry.path();
    EXPECT_EQ(*read, prune_review(*whole)) << entry.path();
    // What was left out is not what decides.
    Policy policy{.prefer = Preference{"arm64"}, .tolerate = {*parse_tolerated_taint("arch=arm64:NoSchedule")}, .ignored_namespaces = {}};
    auto request = read_review(text);
    ASSERT_TRUE(request.ok()) << request.error().message;
    ReviewRequest full = *request;
    full.object = (*whole)["request"]["object"];
    full.old_object = (*whole)["request"]["oldObject"];
    ReviewPlan plan = plan_review(*request, policy), full_plan = plan_review(full, policy);
    ASSERT_EQ(plan.images, full_plan.images);
    ImageAnswers answers;
    ImageTruth truth;
    truth.platforms = {{"linux", "amd64"}, {"linux", "arm64"}};
    for (const std::string& image : plan.images) answers[image].truth = &truth;
    EXPECT_EQ(write_response(*request, decide_review(plan, answers, policy), policy), write_response(full, decide_review(full_plan, answers, policy), policy)) << entry.path();
    ++count;
  }
  EXPECT_GT(count, 0u);
}

TEST(KnownImages, FindsByNameAndByDigest) {
  std::string digest = "sha256:" + std::string(64, 'a'), other = "sha256:" + std::string(64, 'b');
  KnownImages known(*parse_truths(R"({"nginx:1": {"digest": ")" + digest + R"(", "platforms": ["linux/amd64"]}})"));
  for (const std::string& name : {std::string("nginx:1"), std::string("docker.io/library/nginx:1"), "nginx@" + digest, "nginx:2@" + digest}) {
    EXPECT_NE(known.find(name).truth, nullptr) << name;
  }
  for (const std::string& name : {std::string("nginx"), "nginx@" + other, "other@" + digest}) EXPECT_EQ(known.find(name).truth, nullptr) << name;
  EXPECT_EQ(known.find("Not A Reference").code, Code::Invalid);
}

}  // namespace
}  // namespace archway::admission
