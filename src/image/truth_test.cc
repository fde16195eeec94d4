#include "image/truth.h"

#include <gtest/gtest.h>

namespace archway {
namespace {

const std::string kDigest = "sha256:" + std::string(64, 'a');

TEST(ImageTruths, ParseAndWriteAreInverses) {
  std::string text = "{\n  \"alpine\": {\n    \"platforms\": [\n      \"linux/amd64\",\n      \"linux/arm/v7\"\n    ]\n  },\n  \"example.org/app:1\": {\n    \"digest\": \"" + kDigest +
                     "\",\n    \"platforms\": [\n      \"linux/arm64\"\n    ],\n    \"wrong\": [\n      {\n        \"platform\": \"linux/arm64\",\n        \"why\": \"/app is x86-64\"\n      }\n    ]\n  }\n}\n";
  auto truths = parse_truths(text);
  ASSERT_TRUE(truths.ok()) << truths.error().message;
  EXPECT_EQ(write_truths(*truths), text);
  EXPECT_EQ(parse_truths(write_truths(*truths)).value(), *truths);
  const ImageTruth* app = truths->find("example.org/app:1");
  ASSERT_NE(app, nullptr);
  EXPECT_EQ(app->digest->str(), kDigest);
  EXPECT_FALSE(app->runs_on({"linux", "arm64"}));
  EXPECT_FALSE(app->runs_on({"linux", "amd64"}));
}

TEST(ImageTruths, OneImageHasManySpellings) {
  auto truths = parse_truths(R"({"alpine": {"platforms": ["linux/arm64/v8"]}, "docker.io/library/nginx:1": {"platforms": []}})").value();
  EXPECT_NE(truths.find("docker.io/library/alpine:latest"), nullptr);
  EXPECT_NE(truths.find("nginx:1"), nullptr);
  EXPECT_EQ(truths.find("nginx:2"), nullptr);
  EXPECT_EQ(truths.find("not a reference"), nullptr);
  EXPECT_TRUE(truths.find("alpine")->runs_on({"linux", "arm64"}));
}

TEST(ImageTruths, ErrorsNameTheLine) {
  auto error_of = [](std::string text) { return parse_truths(text).error().message; };
  EXPECT_TRUE(error_of("{\n \"a:1\": {\"platforms\": [\"linux/amd64\"]},\n \"b:1\": {\"platform\": []}\n}").starts_with("line 3: image \"b:1\": unknown member \"platform\""));
  EXPECT_TRUE(error_of("{\n\n \"A B\": {}\n}").starts_with("line 3: "));
  EXPECT_TRUE(error_of("{\n \"a\": {\"digest\": \"sha256:1\"}\n}").starts_with("line 2: "));
  EXPECT_TRUE(error_of("{\n \"a\": {\"platforms\": [\"linux/\"]}\n}").starts_with("line 2: "));
  EXPECT_TRUE(error_of("{\n \"a\": {\"platforms\": [\"arm64\"]}\n}").find("write linux/arm64") != std::string::npos);
  EXPECT_TRUE(error_of("{\n \"a\": {\"wrong\": [1]}\n}").starts_with("line 2: "));
  EXPECT_TRUE(error_of("{\n \"a\": ?\n}").starts_with("line 2, column"));
  EXPECT_TRUE(error_of("[]").starts_with("line 1: "));
}

TEST(ImageTruths, BarePlatformsMayBeWrong) {
  auto truths = parse_truths(R"({"a": {"platforms": ["linux/amd64"], "wrong": ["linux/amd64"]}})");
  ASSERT_TRUE(truths.ok());
  EXPECT_FALSE(truths->find("a")->runs_on({"linux", "amd64"}));
}

}  // namespace
}  // namespace archway
