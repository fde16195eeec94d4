#include "audit/suppress.h"

#include <gtest/gtest.h>

namespace archway::audit {
namespace {

Finding finding(std::string id, std::string rule, std::string image = "") {
  Finding made;
  made.id = std::move(id);
  made.rule = std::move(rule);
  made.image = std::move(image);
  made.message = "m";
  made.place.object = "Deployment shop/web";
  return made;
}

Time day(const char* text) { return *parse_rfc3339(std::string(text) + "T12:00:00Z"); }

TEST(Ignores, NeedAReasonAConditionAndADate) {
  auto ignores = parse_ignores("# why\nignore:\n- id: abc\n  reason: known\n- {rule: image-*, image: '*/x:*', reason: later, until: 2027-03-31}\n");
  ASSERT_TRUE(ignores.ok()) << ignores.error().message;
  EXPECT_EQ(ignores->size(), 2u);
  EXPECT_EQ((*ignores)[1].line, 5u);
  for (const char* text : {"ignore:\n- {id: a}\n", "ignore:\n- {reason: a}\n", "ignore:\n- {id: a, reason: b, until: 31.3.2027}\n", "ignore:\n- {id: a, reason: b, when: x}\n", "other: []\n", "- a\n"}) {
    auto bad = parse_ignores(text);
    ASSERT_FALSE(bad.ok()) << text;
    EXPECT_TRUE(bad.error().message.starts_with("line ")) << bad.error().message;
  }
  EXPECT_TRUE(parse_ignores("")->empty());
}

TEST(Suppress, CountsTheLastDayInAndTellsWhatExpired) {
  Audit audit;
  audit.findings = {finding("a", "image-not-ready", "quay.io/x:1"), finding("b", "arch-selector"), finding("c", "arch-selector")};
  Report report;
  report.audit = &audit;
  auto ignores = *parse_ignores("ignore:\n- {image: 'quay.io/*', reason: r, until: 2027-01-01}\n- {id: zzz, reason: old}\n");
  suppress(report, {"b", "gone"}, ignores, day("2027-01-01"));
  EXPECT_TRUE(report.is_suppressed("a"));
  EXPECT_TRUE(report.is_suppressed("b"));
  EXPECT_FALSE(report.is_suppressed("c"));
  EXPECT_EQ(report.remarks.size(), 2u);
  Report later;
  later.audit = &audit;
  suppress(later, {}, ignores, day("2027-01-02"));
  EXPECT_FALSE(later.is_suppressed("a"));
  EXPECT_NE(later.remarks[0].find("expired on 2027-01-01; what it ignored counts again"), std::string::npos);
}

TEST(Baseline, ThereAndBack) {
  auto ids = parse_baseline(write_baseline({finding("a", "r"), finding("b", "r"), finding("a", "r")}));
  ASSERT_TRUE(ids.ok());
  EXPECT_EQ(*ids, (std::vector<std::string>{"a", "b"}));
  EXPECT_FALSE(parse_baseline("{}").ok());
  EXPECT_FALSE(parse_baseline(R"({"schema": "archway-audit-baseline/1", "findings": [{}]})").ok());
}

TEST(Ignores, StarsMatchWithoutBacktrackingForEver) {
  Ignore ignore;
  ignore.image = std::string(50, '*') + "a*a*a*a*a*a*a*a*a*b";
  EXPECT_FALSE(matches(ignore, finding("x", "r", std::string(20'000, 'a'))));
}

}  // namespace
}  // namespace archway::audit
