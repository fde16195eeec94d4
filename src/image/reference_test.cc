#include "image/reference.h"

#include <gtest/gtest.h>

#include "base/fd.h"
#include "format/json.h"

namespace archway {
namespace {

const std::string kHex(64, 'a');

TEST(Reference, AgreesWithDistribution) {
  auto text = read_file(std::string(ARCHWAY_SOURCE_DIR) + "/../shared/vectors/image/reference.json", 16 << 20);
  if (!text.ok()) GTEST_SKIP() << "skipped: no vectors";
  Json cases = parse_json(*text).value();
  ASSERT_GE(cases.size(), 85u);
  for (const Json& c : cases.items()) {
    const std::string& in = c["in"].string();
    auto reference = Reference::parse(in);
    // The recorder had no hash functions linked in, so it called every digest unsupported, the well-formed ones too.
    if (c["error"].string() == "unsupported digest algorithm") {
      std::string digest = in.substr(in.find('@') + 1);
      EXPECT_EQ(reference.ok(), Digest::parse(digest).ok()) << in;
      continue;
    }
    ASSERT_EQ(reference.ok(), !c.has("error")) << in << (reference.ok() ? "" : reference.error().message);
    if (!reference.ok()) {
      EXPECT_TRUE(reference.error().message.ends_with(c["error"].string())) << reference.error().message << "\nrather than " << c["error"].string();
      continue;
    }
    EXPECT_EQ(reference->host(), c["domain"].string()) << in;
    EXPECT_EQ(reference->repository(), c["path"].string()) << in;
    EXPECT_EQ(reference->tag(), c.has("tag") ? c["tag"].string() : "latest") << in;
    std::string suffix = c.has("tag") ? "" : ":latest";
    EXPECT_EQ(reference->str(), c["full"].string() + suffix) << in;
    EXPECT_EQ(reference->familiar(), c["familiar"].string() + suffix) << in;
    EXPECT_EQ(Reference::parse(reference->str()).value(), *reference) << in;
    EXPECT_EQ(Reference::parse(reference->familiar()).value(), *reference) << in;
  }
}

TEST(Reference, DefaultsToDockerHub) {
  auto reference = Reference::parse("alpine").value();
  EXPECT_EQ(reference.str(), "docker.io/library/alpine:latest");
  EXPECT_EQ(reference.identifier(), "latest");
  EXPECT_EQ(reference.name(), "docker.io/library/alpine");
}

TEST(Reference, ADigestNeedsNoTagAndBothAreKept) {
  auto pinned = Reference::parse("nginx@sha256:" + kHex).value();
  EXPECT_EQ(pinned.tag(), std::nullopt);
  EXPECT_EQ(pinned.identifier(), "sha256:" + kHex);
  EXPECT_EQ(pinned.familiar(), "nginx@sha256:" + kHex);
  auto both = Reference::parse("localhost:5000/team/app:1.0@sha256:" + kHex).value();
  EXPECT_EQ(both.str(), "localhost:5000/team/app:1.0@sha256:" + kHex);
  EXPECT_EQ(both.identifier(), "sha256:" + kHex);
  EXPECT_EQ(both.with_tag("2").str(), "localhost:5000/team/app:2");
  EXPECT_EQ(Reference::parse("a:1")->with_digest(*both.digest()).str(), "docker.io/library/a@sha256:" + kHex);
}

TEST(Reference, RefusesDigestsThatAreNone) {
  for (std::string text : {"a@sha256:" + std::string(63, 'a'), "a@sha256:" + std::string(64, 'A'), "a@sha384:" + std::string(96, 'a'), "a@1sha:" + kHex, "a@sha256+:" + kHex}) {
    EXPECT_FALSE(Reference::parse(text).ok()) << text;
  }
}

TEST(Reference, FamiliarNamesStayUnambiguous) {
  EXPECT_EQ(Reference::parse("docker.io/localhost/a:1")->familiar(), "docker.io/localhost/a:1");
  EXPECT_EQ(Reference::parse("docker.io/a.b/c:1")->familiar(), "docker.io/a.b/c:1");
}

TEST(Reference, LimitsAtTheEdge) {
  EXPECT_TRUE(Reference::parse("h.x/" + std::string(255, 'a')).ok());
  EXPECT_FALSE(Reference::parse("h.x/" + std::string(256, 'a')).ok());
  EXPECT_TRUE(Reference::parse("a:" + std::string(128, 't')).ok());
  EXPECT_FALSE(Reference::parse("a:" + std::string(129, 't')).ok());
}

TEST(Reference, RefusesASchemeWithANextStep) {
  EXPECT_NE(Reference::parse("docker://alpine").error().hint.find("no scheme"), std::string::npos);
}

}  // namespace
}  // namespace archway
