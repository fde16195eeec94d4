#include "kube/client.h"

#include <gtest/gtest.h>

#include <atomic>

#include "base/fd.h"
#include "base/text.h"
#include "net/raw_server_fixture.h"
#include "net/tls_server_fixture.h"

namespace archway::kube {
namespace {

using testing::RawRequest;
using testing::RawServer;
using testing::TestCertificates;
using testing::TlsFront;

class FakeClock final : public Clock {
 public:
  Time now() override { return time; }
  Time time = Time::from_seconds(1'800'000'000);
};

// Notes how long was waited, and waits not.
struct Waits {
  ClientTiming timing() {
    return {&clock, [this](std::chrono::milliseconds duration, std::stop_token) { durations.push_back(duration.count()); }};
  }
  FakeClock clock;
  std::vector<int64_t> durations;
};

std::string json_reply(const std::string& body, int status = 200, const std::string& headers = "") {
  return RawServer::reply(status, "Content-Type: application/json\r\n" + headers, body);
}
std::string status_reply(int code, const std::string& reason, const std::string& message) {
  return json_reply(to_json(Json::object({{"kind", "Status"}, {"apiVersion", "v1"}, {"reason", reason}, {"message", message}, {"code", code}})), code);
}

std::shared_ptr<Client> connect(const RawServer& server, Waits& waits, ClusterAccess access = {}) {
  access.server = "http://" + server.host();
  return *Client::connect(std::move(access), {}, waits.timing());
}

TEST(ApiResource, BuildsPaths) {
  EXPECT_EQ(resources::pods().path(), "/api/v1/pods");
  EXPECT_EQ(resources::pods().path("a", "b", "log"), "/api/v1/namespaces/a/pods/b/log");
  EXPECT_EQ(resources::deployments().path("shop", "web"), "/apis/apps/v1/namespaces/shop/deployments/web");
  EXPECT_EQ(resources::nodes().path("ignored", "n1"), "/api/v1/nodes/n1");
  EXPECT_EQ(resources::priority_classes().path({}, "a/../b"), "/apis/scheduling.k8s.io/v1/priorityclasses/a%2F..%2Fb");
}

TEST(KubeClient, SaysWhoItIs) {
  RawServer server([](const RawRequest&, int) { return json_reply(R"({"gitVersion":"v1.34.1"})"); });
  Waits waits;
  ClusterAccess access;
  access.token = "abc";
  access.impersonate_user = "jane";
  access.impersonate_groups = {"a", "b"};
  access.impersonate_extra = {{"example.org/why", "x"}};
  EXPECT_EQ(*connect(server, waits, access)->server_version(), "v1.34.1");
  RawRequest request = server.requests().at(0);
  EXPECT_EQ(request.target, "/version");
  EXPECT_EQ(request.header("Authorization"), "Bearer abc");
  EXPECT_EQ(request.header("Impersonate-User"), "jane");
  EXPECT_NE(request.head.find("Impersonate-Group: a\r\nImpersonate-Group: b\r\n"), std::string::npos);
  EXPECT_EQ(request.header("Impersonate-Extra-example.org%2Fwhy"), "x");
  ClusterAccess basic;
  basic.username = "me";
  basic.password = "pw";
  EXPECT_TRUE(connect(server, waits, basic)->server_version().ok());
  EXPECT_EQ(server.requests().at(1).header("Authorization"), "Basic " + base64_encode("me:pw"));
}

TEST(KubeClient, KeepsAServersPathPrefix) {
  RawServer server([](const RawRequest&, int) { return json_reply("{}"); });
  ClusterAccess access;
  access.server = "http://" + server.host() + "/k8s/clusters/c-1/";
  EXPECT_TRUE((*Client::connect(access))->get(resources::pods(), "a", "b").ok());
  EXPECT_EQ(server.log().at(0), "GET /k8s/clusters/c-1/api/v1/namespaces/a/pods/b");
}

TEST(KubeClient, ErrorsCarryTheServersWords) {
  struct Case {
    int status;
    std::string reason;
    Code code;
  };
  for (const Case& one : {Case{401, "Unauthorized", Code::Unauthorized}, Case{403, "Forbidden", Code::Unauthorized}, Case{404, "NotFound", Code::NotFound},
                          Case{409, "AlreadyExists", Code::Exists}, Case{409, "Conflict", Code::Mismatch}, Case{422, "Invalid", Code::Invalid},
                          Case{405, "MethodNotAllowed", Code::Unsupported}, Case{500, "InternalError", Code::Unavailable}}) {
    RawServer server([&](const RawRequest&, int) { return status_reply(one.status, one.reason, "so it is"); });
    Waits waits;
    auto result = connect(server, waits)->create(resources::pods(), "a", Json::object());
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.error().code, one.code) << one.reason;
    EXPECT_NE(result.error().message.find(std::to_string(one.status) + " so it is"), std::string::npos) << result.error().message;
    if (one.status == 403) {
      EXPECT_NE(result.error().message.find("forbidden"), std::string::npos);
    }
    EXPECT_EQ(server.log().size(), 1u) << "what changes things is not sent twice: " << one.reason;
  }
}

TEST(KubeClient, ComesBackWhenTheServerSays) {
  std::atomic<int> asked = 0;
  RawServer server([&](const RawRequest&, int) { return ++asked < 3 ? json_reply("", 429, "Retry-After: 7\r\n") : json_reply("{}", 201); });
  Waits waits;
  EXPECT_TRUE(connect(server, waits)->create(resources::pods(), "a", Json::object()).ok());
  EXPECT_EQ(waits.durations, (std::vector<int64_t>{7000, 7000}));
}

TEST(KubeClient, DoesNotWaitForever) {
  std::string after = "120";
  RawServer server([&](const RawRequest&, int) { return json_reply("", 503, "Retry-After: " + after + "\r\n"); });
  Waits waits;
  EXPECT_EQ(connect(server, waits)->get(resources::pods(), "a", "b").error().code, Code::Unavailable);
  EXPECT_EQ(waits.durations.size(), 9u);
  after = "121";
  EXPECT_FALSE(connect(server, waits)->get(resources::pods(), "a", "b").ok());
  EXPECT_EQ(waits.durations.size(), 9u) << "over two minutes is an answer";
}

TEST(KubeClient, ReadsAgainAfterABreak) {
  std::atomic<int> asked = 0;
  RawServer server([&](const RawRequest&, int) {
    int nth = ++asked;
    if (nth == 1) return std::string();  // drops the connection
    return nth == 2 ? json_reply("", 502) : json_reply(R"({"kind":"Pod"})");
  });
  Waits waits;
  auto got = connect(server, waits)->get(resources::pods(), "a", "b");
  ASSERT_TRUE(got.ok()) << got.error().message;
  EXPECT_EQ(waits.durations, (std::vector<int64_t>{200, 400}));
}

// An API server with some pods, that pages.
std::string page_of(const std::string& items, const std::string& next, const std::string& version = "77") {
  return R"({"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":")" + version + R"(","continue":")" + next + R"("},"items":[)" + items + "]}";
}
std::string pod(const std::string& name, const std::string& version = "1", const std::string& uid = "") {
  return R"({"metadata":{"namespace":"n","name":")" + name + R"(","resourceVersion":")" + version + R"(","uid":")" + (uid.empty() ? name : uid) + R"("}})";
}

TEST(KubeClient, ListsPageByPage) {
  RawServer server([](const RawRequest& request, int) {
    return json_reply(request.target.find("continue=") == std::string::npos ? page_of(pod("a") + "," + pod("b"), "more/+") : page_of(pod("c"), ""));
  });
  Waits waits;
  std::vector<std::string> names;
  auto version = connect(server, waits)->list(resources::pods(), "n", {.label_selector = "a=b", .field_selector = "spec.nodeName=x", .page = 2}, [&](Json object) -> Result<void> {
    EXPECT_EQ(object["kind"].string() + object["apiVersion"].string(), "Podv1");
    names.push_back(object["metadata"]["name"].string());
    return {};
  });
  ASSERT_TRUE(version.ok()) << version.error().message;
  EXPECT_EQ(*version, "77");
  EXPECT_EQ(names, (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_EQ(server.log(), (std::vector<std::string>{"GET /api/v1/namespaces/n/pods?limit=2&labelSelector=a%3Db&fieldSelector=spec.nodeName%3Dx",
                                                    "GET /api/v1/namespaces/n/pods?limit=2&continue=more%2F%2B&labelSelector=a%3Db&fieldSelector=spec.nodeName%3Dx"}));
}

TEST(KubeClient, StartsAnExpiredListAgainWithoutRepeatingItself) {
  std::atomic<int> asked = 0;
  RawServer server([&](const RawRequest& request, int) {
    asked++;
    if (request.target.find("continue=") != std::string::npos) return status_reply(410, "Expired", "too old");
    return json_reply(request.target.find("limit=") == std::string::npos ? page_of(pod("a") + "," + pod("b") + "," + pod("c"), "", "99") : page_of(pod("a") + "," + pod("b"), "x"));
  });
  Waits waits;
  std::vector<std::string> names;
  auto version = connect(server, waits)->list(resources::pods(), "", {}, [&](Json object) -> Result<void> {
    names.push_back(object["metadata"]["name"].string());
    return {};
  });
  ASSERT_TRUE(version.ok()) << version.error().message;
  EXPECT_EQ(*version, "99");
  EXPECT_EQ(names, (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_EQ(asked, 5) << "the last time without pages";
}

TEST(KubeClient, AListenersErrorEndsTheList) {
  RawServer server([](const RawRequest&, int) { return json_reply(page_of(pod("a") + "," + pod("b"), "x")); });
  Waits waits;
  auto version = connect(server, waits)->list(resources::pods(), "", {}, [&](Json) -> Result<void> { return Error{Code::Io, "full"}; });
  ASSERT_FALSE(version.ok());
  EXPECT_EQ(version.error().message, "full");
  EXPECT_EQ(server.log().size(), 1u);
}

TEST(KubeClient, WritesObjects) {
  RawServer server([](const RawRequest&, int) { return json_reply("{}"); });
  Waits waits;
  auto client = connect(server, waits);
  Json object = Json::object({{"a", 1}});
  EXPECT_TRUE(client->create(resources::config_maps(), "n", object, true).ok());
  EXPECT_TRUE(client->replace(resources::config_maps(), "n", "x", object).ok());
  EXPECT_TRUE(client->patch(resources::nodes(), "", "x", "application/json-patch+json", "[]").ok());
  EXPECT_TRUE(client->patch(resources::nodes(), "", "x", "application/apply-patch+yaml", "{}", true).ok());
  EXPECT_TRUE(client->remove(resources::nodes(), "", "x").ok());
  EXPECT_EQ(server.log(), (std::vector<std::string>{"POST /api/v1/namespaces/n/configmaps?dryRun=All", "PUT /api/v1/namespaces/n/configmaps/x", "PATCH /api/v1/nodes/x",
                                                    "PATCH /api/v1/nodes/x?fieldManager=archway&force=true&dryRun=All", "DELETE /api/v1/nodes/x"}));
  EXPECT_EQ(server.requests().at(1).body, R"({"a":1})");
  EXPECT_EQ(server.requests().at(2).header("Content-Type"), "application/json-patch+json");
  // Never all of them by accident.
  EXPECT_FALSE(client->remove(resources::nodes(), "", "").ok());
  EXPECT_FALSE(client->remove(resources::config_maps(), "", "x").ok());
  EXPECT_EQ(server.log().size(), 5u);
}

TEST(KubeClient, ReadsTheEndOfALog) {
  RawServer server([](const RawRequest&, int) { return RawServer::reply(200, "Content-Type: text/plain\r\n", "exec format error\n"); });
  Waits waits;
  EXPECT_EQ(*connect(server, waits)->log("n", "p", "app", true, 10), "exec format error\n");
  EXPECT_EQ(server.log().at(0), "GET /api/v1/namespaces/n/pods/p/log?tailLines=10&limitBytes=1048576&container=app&previous=true");
}

TEST(KubeClient, DiscoversWhatAServerSums) {
  RawServer server([](const RawRequest& request, int) {
    if (request.target == "/api") {
      return json_reply(R"({"kind":"APIGroupDiscoveryList","items":[{"metadata":{},"versions":[{"version":"v1","resources":[
        {"resource":"pods","responseKind":{"group":"","version":"v1","kind":"Pod"},"scope":"Namespaced","verbs":["get","list"]},
        {"resource":"bindings","responseKind":{"kind":"Binding"},"scope":"Namespaced","verbs":["create"]}]}]}]})");
    }
    return json_reply(R"({"kind":"APIGroupDiscoveryList","items":[{"metadata":{"name":"apps"},"versions":[
      {"version":"v1","resources":[{"resource":"deployments","responseKind":{"kind":"Deployment"},"scope":"Namespaced","verbs":["list"]}]},
      {"version":"v1beta1","resources":[{"resource":"deployments","responseKind":{"kind":"Deployment"},"scope":"Namespaced","verbs":["list"]},
                                        {"resource":"oldies","responseKind":{"kind":"Oldie"},"scope":"Cluster","verbs":["list"]}]}]},
      {"metadata":{"name":"example.org"},"versions":[{"version":"v1","freshness":"Stale"}]}]})");
  });
  Waits waits;
  auto found = connect(server, waits)->discover();
  ASSERT_TRUE(found.ok()) << found.error().message;
  EXPECT_EQ(found->resources, (std::vector<Resource>{resources::pods(), resources::deployments(), {"apps", "v1beta1", "oldies", "Oldie", false}}));
  ASSERT_EQ(found->hidden.size(), 1u) << "an aggregated server that does not answer is named";
  EXPECT_EQ(found->hidden[0].group + "/" + found->hidden[0].version, "example.org/v1");
}

TEST(KubeClient, DiscoversGroupByGroupWhereItMust) {
  RawServer server([](const RawRequest& request, int) {
    if (request.target == "/api") return json_reply(R"({"kind":"APIVersions","versions":["v1"]})");
    if (request.target == "/apis") {
      return json_reply(R"({"kind":"APIGroupList","groups":[{"name":"batch","versions":[{"version":"v1beta1"},{"version":"v1"}],"preferredVersion":{"version":"v1"}},
        {"name":"metrics.k8s.io","versions":[{"version":"v1"}],"preferredVersion":{"version":"v1"}}]})");
    }
    if (request.target == "/api/v1") return json_reply(R"({"resources":[{"name":"nodes","kind":"Node","verbs":["list"]},{"name":"nodes/status","kind":"Node","verbs":["list"]}]})");
    if (request.target.starts_with("/apis/metrics")) return status_reply(503, "ServiceUnavailable", "down");
    return json_reply(R"({"resources":[{"name":"jobs","kind":"Job","namespaced":true,"verbs":["list"]}]})");
  });
  Waits waits;
  auto found = connect(server, waits)->discover();
  ASSERT_TRUE(found.ok()) << found.error().message;
  EXPECT_EQ(found->resources, (std::vector<Resource>{resources::nodes(), resources::jobs()}));
  ASSERT_EQ(found->hidden.size(), 1u);
  EXPECT_EQ(found->hidden[0].group, "metrics.k8s.io");
  EXPECT_NE(found->hidden[0].why.find("503 down"), std::string::npos) << found->hidden[0].why;
}

TEST(KubeClient, ReadsATokenAgainWhenItsFileChanges) {
  auto folder = *TempDir::create("/tmp", "archway-token-");
  ASSERT_TRUE(write_file_atomic(folder / "token", "one\n").ok());
  RawServer server([](const RawRequest&, int) { return json_reply("{}"); });
  Waits waits;
  ClusterAccess access;
  access.token_file = folder / "token";
  auto client = connect(server, waits, access);
  EXPECT_TRUE(client->get(resources::nodes(), "", "a").ok());
  ASSERT_TRUE(write_file_atomic(folder / "token", "second").ok());
  EXPECT_TRUE(client->get(resources::nodes(), "", "a").ok());
  ASSERT_TRUE(remove_tree(folder / "token").ok());
  EXPECT_TRUE(client->get(resources::nodes(), "", "a").ok()) << "the last one stays";
  std::vector<std::string> shown;
  for (const RawRequest& request : server.requests()) shown.push_back(request.header("Authorization"));
  EXPECT_EQ(shown, (std::vector<std::string>{"Bearer one", "Bearer second", "Bearer second"}));
  access.token_file = folder / "none";
  EXPECT_FALSE(connect(server, waits, access)->get(resources::nodes(), "", "a").ok());
}

// A plugin that counts how often it is asked.
ExecPlugin counting_plugin(const TempDir& folder, const std::string& expires) {
  ExecPlugin plugin;
  plugin.api_version = "client.authentication.k8s.io/v1";
  plugin.command = "/bin/sh";
  plugin.arguments = {"-c", "echo x >>'" + (folder / "count") + "'; n=$(wc -l <'" + (folder / "count") + R"('); echo '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"t'$n'","expirationTimestamp":")" + expires + R"("}}')"};
  return plugin;
}

TEST(KubeClient, AsksThePluginAgainWhenItsAnswerExpires) {
  auto folder = *TempDir::create("/tmp", "archway-exec-");
  std::vector<std::string> shown;
  RawServer server([&](const RawRequest& request, int) {
    shown.push_back(request.header("Authorization"));
    return json_reply("{}");
  });
  Waits waits;
  ClusterAccess access;
  access.exec = counting_plugin(folder, format_rfc3339({waits.clock.time.nanoseconds + 60'000'000'000}));
  auto client = connect(server, waits, access);
  for (int i = 0; i < 2; i++) EXPECT_TRUE(client->get(resources::nodes(), "", "a").ok());
  waits.clock.time.nanoseconds += 60'000'000'000;
  EXPECT_TRUE(client->get(resources::nodes(), "", "a").ok());
  EXPECT_EQ(shown, (std::vector<std::string>{"Bearer t1", "Bearer t1", "Bearer t2"}));
}

TEST(KubeClient, AsksThePluginAgainOnceAfterA401) {
  auto folder = *TempDir::create("/tmp", "archway-exec-");
  std::string good = "Bearer t2";
  RawServer server([&](const RawRequest& request, int) {
    return request.header("Authorization") == good ? json_reply("{}") : status_reply(401, "Unauthorized", "Unauthorized");
  });
  Waits waits;
  ClusterAccess access;
  access.exec = counting_plugin(folder, "2100-01-01T00:00:00Z");
  auto client = connect(server, waits, access);
  EXPECT_TRUE(client->create(resources::pods(), "n", Json::object()).ok());
  EXPECT_EQ(server.log().size(), 2u);
  good = "nobody";
  auto refused = client->create(resources::pods(), "n", Json::object());
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, Code::Unauthorized);
  EXPECT_EQ(server.log().size(), 4u);
}

// TLS as clusters have it.

const std::optional<TestCertificates>& certificates() {
  static const std::optional<TestCertificates> made = TestCertificates::make("kubernetes.default");
  return made;
}

TEST(KubeClientTls, ShowsItsCertificateAndKnowsTheClusterByItsName) {
  if (!certificates()) GTEST_SKIP() << "skipped: needs openssl";
  RawServer server([](const RawRequest&, int) { return json_reply(R"({"gitVersion":"v1.34.1"})"); });
  TlsFront front(server.port(), *certificates(), TlsFront::Clients::WithCertificate);
  ClusterAccess access;
  access.server = "https://" + front.host();
  access.ca_pem = certificates()->ca;
  access.client_cert_pem = certificates()->client_cert;
  access.client_key_pem = certificates()->client_key;
  Waits waits;
  EXPECT_EQ((*Client::connect(access, {}, waits.timing()))->server_version().error().code, Code::Invalid) << "the address is not in the certificate";
  access.tls_server_name = "kubernetes.default";
  auto client = *Client::connect(access, {}, waits.timing());
  for (int i = 0; i < 2; i++) {
    auto version = client->server_version();
    ASSERT_TRUE(version.ok()) << version.error().message;
  }
  EXPECT_EQ(front.clients().size(), 2u) << "that which was refused, and one for both requests";
  EXPECT_EQ(front.clients().back(), "tester");
  EXPECT_EQ(front.names().back(), "kubernetes.default");
  EXPECT_EQ(server.requests().at(0).header("Host"), front.host());
}

TEST(KubeClientTls, TrustsNobodyElse) {
  if (!certificates()) GTEST_SKIP() << "skipped: needs openssl";
  auto others = TestCertificates::make("kubernetes.default");
  RawServer server([](const RawRequest&, int) { return json_reply(R"({"gitVersion":"v1.34.1"})"); });
  TlsFront front(server.port(), *certificates(), TlsFront::Clients::Anyone);
  ClusterAccess access;
  access.server = "https://" + front.host();
  access.tls_server_name = "kubernetes.default";
  access.ca_pem = others->ca;
  Waits waits;
  auto refused = (*Client::connect(access, {}, waits.timing()))->server_version();
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, Code::Invalid) << refused.error().message;
  access.ca_pem.clear();
  access.insecure_skip_tls_verify = true;
  EXPECT_TRUE((*Client::connect(access, {}, waits.timing()))->server_version().ok());
}

TEST(KubeClientTls, ShowsThePluginsCertificate) {
  if (!certificates()) GTEST_SKIP() << "skipped: needs openssl";
  auto folder = *TempDir::create("/tmp", "archway-exec-");
  Json status = Json::object({{"clientCertificateData", certificates()->client_cert}, {"clientKeyData", certificates()->client_key}});
  Json answer = Json::object({{"apiVersion", "client.authentication.k8s.io/v1beta1"}, {"kind", "ExecCredential"}, {"status", status}});
  ASSERT_TRUE(write_file_atomic(folder / "answer", to_json(answer)).ok());
  RawServer server([](const RawRequest&, int) { return json_reply(R"({"gitVersion":"v1.34.1"})"); });
  TlsFront front(server.port(), *certificates(), TlsFront::Clients::WithCertificate);
  ClusterAccess access;
  access.server = "https://" + front.host();
  access.tls_server_name = "kubernetes.default";
  access.ca_pem = certificates()->ca;
  access.exec = ExecPlugin{.command = "/bin/cat", .api_version = "client.authentication.k8s.io/v1beta1", .install_hint = "", .arguments = {folder / "answer"}, .environment = {}};
  Waits waits;
  auto version = (*Client::connect(access, {}, waits.timing()))->server_version();
  ASSERT_TRUE(version.ok()) << version.error().message;
  EXPECT_EQ(front.clients(), std::vector<std::string>{"tester"});
}

TEST(KubeClient, GoesThroughTheProxyThatTheKubeconfigNames) {
  RawServer proxy([](const RawRequest&, int) { return json_reply(R"({"gitVersion":"v1"})"); });
  ClusterAccess access;
  access.server = "http://127.0.0.1:1";
  access.proxy_url = "http://" + proxy.host();
  auto version = (*Client::connect(access))->server_version();
  ASSERT_TRUE(version.ok()) << version.error().message;
  EXPECT_EQ(proxy.log().at(0), "GET http://127.0.0.1:1/version");
}

}  // namespace
}  // namespace archway::kube
