#include "registry/keychain.h"

#include <gtest/gtest.h>

#include "base/text.h"

namespace archway {
namespace {

std::string config(std::initializer_list<std::pair<std::string, std::string>> users) {
  std::string text = "{\"auths\":{";
  for (const auto& [key, user] : users) text += (text.back() == '{' ? "\"" : ",\"") + key + "\":{\"auth\":\"" + base64_encode(user + ":secret") + "\"}";
  return text + "}}";
}

std::vector<std::string> users(const std::vector<std::string>& configs, const std::string& name) {
  std::vector<std::string> found;
  auto keyring = Keyring::parse(configs);
  if (!keyring.ok()) return {keyring.error().message};
  for (const Credentials& credentials : keyring->match(name)) found.push_back(credentials.username);
  return found;
}

using Users = std::vector<std::string>;

// The cases of the kubelet's documentation ("Interpretation of config.json").
TEST(Keyring, MatchesAsTheKubeletDoes) {
  struct Case {
    const char *key, *name;
    bool matches;
  };
  for (const Case& c : std::initializer_list<Case>{
           {"example.org", "example.org/app", true},
           {"example.org:5000", "example.org:5000/app", true},
           {"example.org:5000", "example.org/app", false},
           {"example.org", "example.org:5000/app", false},
           {"example.org/team", "example.org/team/app", true},
           {"example.org/team", "example.org/other/app", false},
           {"https://example.org/v1/", "example.org/app", true},
           {"https://example.org/v2/", "example.org/app", true},
           {"http://example.org", "example.org/app", true},
           {"https://example.org/v2/team", "example.org/team/app", true},
           {"*.example.org", "sub.example.org/app", true},
           {"*.example.org", "example.org/app", false},
           {"*.example.org", "a.b.example.org/app", false},
           {"*.*.example.org", "a.b.example.org/app", true},
           {"prefix.*.io", "prefix.kubernetes.io/app", true},
           {"*-good.example.org", "prefix-good.example.org/app", true},
           {"*.dkr.ecr.us-east-1.amazonaws.com", "123456789.dkr.ecr.us-east-1.amazonaws.com/app", true},
           {"*.dkr.ecr.us-east-1.amazonaws.com", "123456789.dkr.ecr.us-west-2.amazonaws.com/app", false},
           {"registry-[0-9].example.org", "registry-7.example.org/app", true},
           {"registry-[^0-9].example.org", "registry-7.example.org/app", false},
           {"registry-?.example.org", "registry-7.example.org/app", true},
           {"registry-[0-9.example.org", "registry-7.example.org/app", false},
           {"example.org/*", "example.org/app", false},
           {"https://index.docker.io/v1/", "docker.io/library/nginx", true},
           {"index.docker.io", "docker.io/library/nginx", true},
           {"docker.io", "docker.io/library/nginx", true},
           {"docker.io/team", "docker.io/library/nginx", false},
           {"https://index.docker.io/v1/", "example.org/library/nginx", false},
           {"a*a*a*a*a*b.example.org", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab.example.org/app", false},
       }) {
    EXPECT_EQ(users({config({{c.key, "u"}})}, c.name), c.matches ? Users{"u"} : Users{}) << c.key << " for " << c.name;
  }
}

TEST(Keyring, TriesTheMostSpecificFirstAcrossDocuments) {
  EXPECT_EQ(users({config({{"quay.io", "host"}}), config({{"quay.io/coreos", "path"}, {"quay.io/coreos/etcd", "image"}})}, "quay.io/coreos/etcd"), (Users{"image", "path", "host"}));
  EXPECT_EQ(users({config({{"quay.io", "first"}}), config({{"quay.io", "second"}})}, "quay.io/a"), (Users{"first", "second"})) << "of equal keys the earlier document's";
  EXPECT_EQ(users({config({{"quay.io", "same"}}), config({{"https://quay.io/v1/", "same"}})}, "quay.io/a"), Users{"same"});
}

TEST(Keyring, RefusesWhatIsNoConfigWithoutTellingItsContent) {
  for (std::string text : {"hunter2", "[\"hunter2\"]", "{\"auths\":{\"a.b\":{\"auth\":\"hunter2\"}}}"}) {
    auto keyring = Keyring::parse({config({{"a", "b"}}), text});
    ASSERT_FALSE(keyring.ok()) << text;
    EXPECT_EQ(keyring.error().code, Code::Invalid);
    EXPECT_EQ(keyring.error().message.find("hunter2"), std::string::npos) << keyring.error().message;
    EXPECT_NE(keyring.error().message.find("2 of 2"), std::string::npos) << keyring.error().message;
  }
  EXPECT_TRUE(Keyring::parse({"{}", "{\"auths\":{\"empty.example.org\":{}}}"}).ok());
}

TEST(Keyring, LimitsItsInput) {
  std::string padded = "{\"auths\":{}}" + std::string(kMaxKeyringBytes - 12, ' ');
  EXPECT_TRUE(Keyring::parse({padded}).ok());
  EXPECT_FALSE(Keyring::parse({padded, " "}).ok());
}

TEST(DockerConfig, OfOneHostKnowsNoOther) {
  DockerConfig config = DockerConfig::of("docker.io", {.username = "u", .password = "p"});
  EXPECT_EQ((*config.credentials_for("docker.io"))->password, "p");
  EXPECT_FALSE(config.credentials_for("example.org")->has_value());
  EXPECT_EQ((*DockerConfig::of("a.b", {.identity_token = "t"}).credentials_for("a.b"))->identity_token, "t");
  EXPECT_EQ(config.store("docker.io", {}).error().code, Code::Unsupported);
  EXPECT_EQ(config.erase("docker.io").error().code, Code::Unsupported);
}

TEST(DockerConfig, FingerprintsWhatAppliesToAHost) {
  auto of = [](const std::string& text, const std::string& host) { return DockerConfig::parse(text)->fingerprint(host); };
  EXPECT_EQ(of("{}", "a.b"), "");
  EXPECT_EQ(of(config({{"a.b", "u"}}), "c.d"), "");
  EXPECT_NE(of(config({{"a.b", "u"}}), "a.b"), of(config({{"a.b", "v"}}), "a.b"));
  EXPECT_EQ(of("{\"credHelpers\":{\"a.b\":\"x\"}}", "a.b"), "helper x");
  EXPECT_FALSE(DockerConfig::parse("[]").ok());
}

}  // namespace
}  // namespace archway
