#include <gtest/gtest.h>

#include <algorithm>

#include "audit/audit.h"
#include "audit/collect.h"
#include "audit/readers.h"
#include "audit/report.h"
#include "base/hash.h"

namespace archway::audit {
namespace {

const Platform kArm{"linux", "arm64"}, kAmd{"linux", "amd64"};

Digest digest_of(const std::string& text) { return *Digest::parse("sha256:" + sha256_hex(text)); }

// A registry that is a map, and counts.
class MapLookup final : public ImageLookup {
 public:
  std::map<std::string, ImageFacts> images;               // by canonical name
  std::map<std::string, std::vector<std::string>> all_tags;
  std::map<std::string, std::string> needs;               // image -> the docker config that may see it
  std::map<std::string, size_t> asked;

  Result<Facts> look_up(const std::string& reference, const Keychain& keychain, std::optional<std::chrono::steady_clock::time_point>, std::stop_token) override {
    std::string name = Reference::parse(reference)->str();
    std::lock_guard lock(mutex_);
    ++asked[name];
    if (needs.contains(name) && keychain.docker_configs != std::vector<std::string>{needs[name]}) return Error{Code::Unauthorized, "unauthorized"};
    auto at = images.find(name);
    if (at == images.end()) return Error{Code::NotFound, "no such image"};
    return std::make_shared<const ImageFacts>(at->second);
  }
  std::vector<Result<Facts>> look_up_all(const std::vector<std::string>& references, const Keychain& keychain, std::function<void(size_t)> done, std::stop_token) override {
    std::vector<Result<Facts>> results;
    for (const std::string& reference : references) {
      results.push_back(look_up(reference, keychain, {}, {}));
      if (done) done(results.size());
    }
    return results;
  }
  Facts peek(const std::string&, const Keychain&) override { return nullptr; }
  Result<void> remember_wrong(const Digest&, const WrongPlatform&) override { return {}; }
  Result<std::vector<std::string>> tags(const std::string& reference, const Keychain&, std::stop_token) override { return all_tags[Reference::parse(reference)->name()]; }
  Result<std::shared_ptr<RegistryClient>> client(const std::string&, const Keychain&) override { return Error{Code::Unsupported, "none"}; }
  std::optional<RateLimit> rate_limit(const std::string&) override { return std::nullopt; }
  LookupCounters counters() const override { return {}; }

  void put(const std::string& name, std::vector<Platform> platforms, bool index = true) {
    ImageFacts facts;
    facts.is_index = index;
    facts.truth.platforms = platforms;
    facts.truth.digest = digest_of(name);
    for (const Platform& platform : platforms) facts.images.push_back({platform, index ? digest_of(name + platform.str()) : digest_of(name)});
    images[Reference::parse(name)->str()] = facts;
  }

 private:
  std::mutex mutex_;
};

Audit judged(MapLookup& lookup, const std::vector<std::string>& references, std::vector<Platform> platforms = {kArm}) {
  Collection all;
  for (const std::string& reference : references) read_reference(reference, all);
  all.settle();
  AuditOptions options;
  options.platforms = std::move(platforms);
  options.threads = 2;
  return judge(std::move(all), lookup, options);
}

TEST(Judge, AsksOnceForAnImageWithThreeNames) {
  MapLookup lookup;
  lookup.put("nginx", {kAmd, kArm});
  Audit audit = judged(lookup, {"nginx", "docker.io/nginx", "docker.io/library/nginx:latest"});
  ASSERT_EQ(audit.images.size(), 1u);
  EXPECT_EQ(audit.images[0].judgements[0].verdict, Verdict::Ready);
  EXPECT_EQ(lookup.asked["docker.io/library/nginx:latest"], 1u);
}

TEST(Judge, FindsTheFirstLaterTag) {
  MapLookup lookup;
  lookup.put("r.io/a:1.0", {kAmd}, false);
  lookup.put("r.io/a:1.1", {kAmd}, false);
  lookup.put("r.io/a:1.2", {kAmd, kArm});
  lookup.put("r.io/a:1.3", {kAmd, kArm});
  lookup.all_tags["r.io/a"] = {"1.3", "1.0", "1.1", "1.2", "latest"};
  Audit audit = judged(lookup, {"r.io/a:1.0"});
  const Judgement& judgement = audit.images[0].judgements[0];
  EXPECT_EQ(judgement.verdict, Verdict::ReadyAfterUpdate);
  EXPECT_EQ(judgement.new_tag, "1.2");
  EXPECT_EQ(judgement.newest_tag, "1.3");
  ASSERT_EQ(audit.findings.size(), 1u);
  EXPECT_EQ(audit.findings[0].remedy.replacement, "r.io/a:1.2");
}

TEST(Judge, RepinsADigestOfOnePlatform) {
  MapLookup lookup;
  lookup.put("r.io/a:1", {kAmd, kArm});
  Digest child = digest_of("r.io/a:1" + kAmd.str());
  std::string pinned = "r.io/a:1@" + child.str();
  ImageFacts facts;
  facts.truth.platforms = {kAmd};
  facts.truth.digest = child;
  lookup.images[Reference::parse(pinned)->str()] = facts;
  Audit audit = judged(lookup, {pinned});
  EXPECT_EQ(audit.images[0].judgements[0].verdict, Verdict::ReadyAfterRepin);
  EXPECT_EQ(audit.findings.at(0).remedy.replacement, "r.io/a:1@" + digest_of("r.io/a:1").str());
}

TEST(Judge, DropsTheProcessorFromTagsAndNames) {
  MapLookup lookup;
  lookup.put("r.io/a:1-amd64", {kAmd}, false);
  lookup.put("r.io/a:1", {kAmd, kArm});
  lookup.put("amd64/busybox", {kAmd}, false);
  lookup.put("busybox", {kAmd, kArm});
  Audit audit = judged(lookup, {"r.io/a:1-amd64", "amd64/busybox"});
  std::vector<std::string> replacements;
  for (const Finding& finding : audit.findings) replacements.push_back(finding.remedy.replacement);
  std::sort(replacements.begin(), replacements.end());
  EXPECT_EQ(replacements, (std::vector<std::string>{"busybox:latest", "r.io/a:1"}));
}

TEST(Judge, WhatCannotBeSeenIsUnknownAndABareLocalNameIsNoImage) {
  MapLookup lookup;
  Collection all = collect_text("apiVersion: v1\nkind: Pod\nspec: {containers: [{name: c, image: emailservice}, {name: d, image: r.io/gone:1}, {name: e, image: 'MyApp:1'}]}\n", "a.yaml", {.threads = 1});
  all.settle();
  AuditOptions options;
  options.platforms = {kArm};
  Audit audit = judge(std::move(all), lookup, options);
  std::map<std::string, Verdict> verdicts;
  for (const JudgedImage& image : audit.images) verdicts[image.image] = image.judgements[0].verdict;
  EXPECT_EQ(verdicts["r.io/gone:1"], Verdict::Unknown);
  EXPECT_EQ(verdicts["docker.io/library/emailservice:latest"], Verdict::Skipped);
  EXPECT_EQ(verdicts["MyApp:1"], Verdict::Unknown);
  // Who names it means it.
  EXPECT_EQ(judged(lookup, {"emailservice"}).images[0].judgements[0].verdict, Verdict::Unknown);
}

TEST(Judge, TriesEveryKeychainThatAnImageHas) {
  MapLookup lookup;
  lookup.put("r.io/a:1", {kArm});
  lookup.needs["r.io/a:1"] = "theirs";
  Collection all;
  read_reference("r.io/a:1", all);
  read_reference("r.io/a:1", all);
  all.uses[1].keychain = all.keychain(Keychain{{"theirs"}});
  AuditOptions options;
  options.platforms = {kArm};
  Audit audit = judge(std::move(all), lookup, options);
  EXPECT_EQ(audit.images[0].judgements[0].verdict, Verdict::Ready);
}

TEST(Judge, AWorkloadThatIsSurelyNotReadyIsNotUnknown) {
  MapLookup lookup;
  lookup.put("r.io/x86:1", {kAmd}, false);
  lookup.put("r.io/both:1", {kAmd, kArm});
  auto pod = [](const std::string& name, const std::string& a, const std::string& b) {
    return "apiVersion: v1\nkind: Pod\nmetadata: {name: " + name + "}\nspec: {containers: [{name: a, image: '" + a + "'}, {name: b, image: '" + b + "'}]}\n---\n";
  };
  Collection all = collect_text(pod("p", "r.io/x86:1", "r.io/gone:1") + pod("q", "r.io/both:1", "r.io/x86:1") + pod("r", "r.io/both:1", "r.io/gone:1"), "a.yaml", {.threads = 1});
  all.settle();
  AuditOptions options;
  options.platforms = {kArm, kAmd};
  Audit audit = judge(std::move(all), lookup, options);
  EXPECT_EQ(audit.workloads[0].verdicts[0], Verdict::NotReady);
  EXPECT_EQ(audit.workloads[1].verdicts[0], Verdict::NotReady);
  EXPECT_EQ(audit.workloads[1].verdicts[1], Verdict::Ready);
  EXPECT_EQ(audit.workloads[2].verdicts[0], Verdict::Unknown);
  // r.io/gone blocks r alone, r.io/x86 blocks q alone; both stand before what is ready.
  EXPECT_EQ(audit.images.back().image, "r.io/both:1");
  EXPECT_EQ(audit.images[0].sole_blocker_of, 1u);
}

TEST(Reports, QuoteWhatIsHostile) {
  MapLookup lookup;
  Audit audit = judged(lookup, {"r.io/a:1"});
  audit.findings[0].message = "</script><b>|\x1b[2J\n=1+1";
  Report report;
  report.audit = &audit;
  EXPECT_EQ(html_report(report).find("<b>"), std::string::npos);
  EXPECT_EQ(text_report(report, {}).find('\x1b'), std::string::npos);
  EXPECT_NE(markdown_report(report).find("\\|"), std::string::npos);
  EXPECT_TRUE(parse_json(sarif_report(report)).ok());
  audit.images[0].image = "=cmd()";
  EXPECT_NE(csv_report(report).find("\"'=cmd()\""), std::string::npos);
}

}  // namespace
}  // namespace archway::audit
