#include "registry_server/route.h"

#include <gtest/gtest.h>

namespace archway::registry_server {
namespace {

TEST(Route, FindsTheEndpointFromTheEnd) {
  struct Case {
    const char* path;
    Endpoint endpoint;
    const char *repository, *item;
  };
  for (const Case& c : {Case{"/v2/", Endpoint::Base, "", ""},
                        {"/v2", Endpoint::Base, "", ""},
                        {"/v2/_catalog", Endpoint::Catalog, "", ""},
                        {"/v2/a/tags/list", Endpoint::Tags, "a", ""},
                        {"/v2/a/b/manifests/latest", Endpoint::Manifest, "a/b", "latest"},
                        {"/v2/a/manifests/sha256%3Aab", Endpoint::Manifest, "a", "sha256:ab"},
                        {"/v2/a/blobs/sha256:ab", Endpoint::Blob, "a", "sha256:ab"},
                        {"/v2/a/blobs/uploads/", Endpoint::Uploads, "a", ""},
                        {"/v2/a/blobs/uploads", Endpoint::Uploads, "a", ""},
                        {"/v2/a/blobs/uploads/xyz", Endpoint::Upload, "a", "xyz"},
                        {"/v2/a/referrers/sha256:ab", Endpoint::Referrers, "a", "sha256:ab"},
                        {"/v2/tags/list/manifests/tags/list", Endpoint::Tags, "tags/list/manifests", ""},
                        {"/v2/blobs/manifests/blobs", Endpoint::Manifest, "blobs", "blobs"}}) {
    auto result = parse_route(c.path);
    ASSERT_TRUE(result.route) << c.path;
    EXPECT_EQ(result.route->endpoint, c.endpoint) << c.path;
    EXPECT_EQ(result.route->repository, c.repository) << c.path;
    EXPECT_EQ(result.route->item, c.item) << c.path;
  }
}

TEST(Route, KnowsNothingElse) {
  for (const char* path : {"", "/", "/v1/", "/v2x", "/v2/a", "/v2/a/manifests/", "/v2/a/manifests", "/v2/a/b/c", "/v2/a/tags/%zz", "/v2/a/manifests/%00"}) {
    auto result = parse_route(path);
    EXPECT_FALSE(result.route) << path;
  }
}

TEST(Route, RefusesNamesThatCouldLeadOutOfTheStore) {
  for (const char* path : {"/v2/../manifests/a", "/v2/%2e%2e/manifests/a", "/v2/a/../b/manifests/a", "/v2/a%2fb/manifests/a", "/v2//manifests/a", "/v2/_uploads/manifests/a",
                           "/v2/A/manifests/a", "/v2/a/blobs/sha256/manifests/a", "/v2/a/index.json/manifests/a", "/v2/a/oci-layout/manifests/a"}) {
    auto result = parse_route(path);
    EXPECT_FALSE(result.route) << path;
    EXPECT_EQ(result.error, RouteError::InvalidName) << path;
  }
}

TEST(Route, HoldsNamesAgainstTheGrammar) {
  for (const char* name : {"a", "a/b/c", "a.b", "a_b", "a__b", "a---b", "0", "blobs", "a/my-blobs"}) EXPECT_TRUE(is_repository_name(name)) << name;
  for (const char* name : {"", "/", "a/", "/a", "a..b", "a___b", "a._b", "-a", "a-", ".a", "a b", "ä"}) EXPECT_FALSE(is_repository_name(name)) << name;
  EXPECT_TRUE(is_repository_name(std::string(kMaxRepositoryNameBytes, 'a')));
  EXPECT_FALSE(is_repository_name(std::string(kMaxRepositoryNameBytes + 1, 'a')));
  EXPECT_TRUE(is_tag("_a.B-9"));
  EXPECT_TRUE(is_tag(std::string(128, 'a')));
  EXPECT_FALSE(is_tag(std::string(129, 'a')));
  for (const char* tag : {"", ".a", "-a", "a/b", "a:b"}) EXPECT_FALSE(is_tag(tag)) << tag;
}

}  // namespace
}  // namespace archway::registry_server
