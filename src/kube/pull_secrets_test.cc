#include "kube/pull_secrets.h"

#include <gtest/gtest.h>

#include "base/text.h"
#include "net/raw_server_fixture.h"

namespace archway::kube {
namespace {

using testing::RawRequest;
using testing::RawServer;

std::string secret(const std::string& key, const std::string& value) {
  return to_json(Json::object({{"metadata", Json::object({{"name", "s"}})}, {"data", Json::object({{key, Json(base64_encode(value))}})}}));
}

TEST(PullSecrets, ReadsBothForms) {
  EXPECT_EQ(*docker_config_of_secret(*parse_json(secret(".dockerconfigjson", R"({"auths": {"h": {}}})"))), R"({"auths":{"h":{}}})");
  EXPECT_EQ(*docker_config_of_secret(*parse_json(secret(".dockercfg", R"({"h": {}})"))), R"({"auths":{"h":{}}})");
  EXPECT_EQ(*docker_config_of_secret(*parse_json(R"({"stringData": {".dockerconfigjson": "{}"}})")), "{}");
}

TEST(PullSecrets, RefusesWhatIsNoneWithoutRepeatingIt) {
  for (const std::string& text : {secret("password", "{}"), secret(".dockercfg", "hunter2"), secret(".dockercfg", "[]"), std::string(R"({"data": {".dockercfg": "%%hunter2"}})"), std::string("{}")}) {
    auto result = docker_config_of_secret(*parse_json(text));
    ASSERT_FALSE(result.ok()) << text;
    EXPECT_EQ(result.error().message.find("hunter2"), std::string::npos) << result.error().message;
  }
}

class PullSecretsOfPod : public ::testing::Test {
 protected:
  PullSecrets of(std::string_view spec) {
    ClusterAccess access;
    access.server = "http://" + server_.host();
    auto client = *Client::connect(access);
    return *pull_secrets_of(*client, "n", *parse_json(spec));
  }
  RawServer server_{[](const RawRequest& request, int) {
    auto reply = [](const std::string& body, int status = 200) { return RawServer::reply(status, "", body); };
    if (request.target == "/api/v1/namespaces/n/serviceaccounts/default") return reply(R"({"imagePullSecrets":[{"name":"of-account"}]})");
    if (request.target.ends_with("/secrets/of-pod")) return reply(secret(".dockerconfigjson", R"({"auths":{"pod":{}}})"));
    if (request.target.ends_with("/secrets/of-account")) return reply(secret(".dockercfg", R"({"account":{}})"));
    if (request.target.ends_with("/secrets/hidden")) return reply(R"({"kind":"Status","message":"secrets \"hidden\" is forbidden"})", 403);
    return reply("", 404);
  }};
};

TEST_F(PullSecretsOfPod, ItsOwnComeFirstAndAlone) {
  PullSecrets found = of(R"({"imagePullSecrets":[{"name":"of-pod"},{"name":"gone"},{"name":"hidden"},{"name":"of-pod"},{}]})");
  EXPECT_EQ(found.docker_configs, std::vector<std::string>{R"({"auths":{"pod":{}}})"});
  EXPECT_EQ(found.missing, (std::vector<std::string>{"n/gone: not found", "n/hidden: forbidden"}));
}

TEST_F(PullSecretsOfPod, ElseThoseOfItsServiceAccount) {
  EXPECT_EQ(of("{}").docker_configs, std::vector<std::string>{R"({"auths":{"account":{}}})"});
  PullSecrets none = of(R"({"serviceAccountName":"other"})");
  EXPECT_TRUE(none.docker_configs.empty());
  EXPECT_EQ(none.missing, std::vector<std::string>{"service account n/other: not found"});
}

}  // namespace
}  // namespace archway::kube
