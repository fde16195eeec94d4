#include "kube/kubeconfig.h"

#include <gtest/gtest.h>

#include "base/fd.h"
#include "base/text.h"

namespace archway::kube {
namespace {

constexpr const char* kPem = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n";

class KubeconfigTest : public ::testing::Test {
 protected:
  std::string write(const std::string& name, const std::string& text) {
    std::string path = folder_ / name;
    EXPECT_TRUE(make_directories(path.substr(0, path.rfind('/'))).ok());
    EXPECT_TRUE(write_file_atomic(path, text).ok());
    return path;
  }
  Result<ClusterAccess> load(std::vector<std::string> paths, const std::string& context = "") {
    KubeconfigRequest request;
    request.paths = std::move(paths);
    request.context = context;
    request.environment = [this](const std::string& name) -> std::optional<std::string> {
      auto at = environment_.find(name);
      return at == environment_.end() ? std::nullopt : std::optional(at->second);
    };
    request.service_account_dir = folder_ / "account";
    return load_kubeconfig(request);
  }
  Result<ClusterAccess> load_text(const std::string& text) { return load({write("config", text)}); }
  std::string message(const Result<ClusterAccess>& result) { return result.ok() ? "" : replace_all(result.error().message, folder_.path() + "/", ""); }

  TempDir folder_ = *TempDir::create("/tmp", "archway-kubeconfig-");
  std::map<std::string, std::string> environment_;
};

std::string config(const std::string& cluster, const std::string& user) {
  return "apiVersion: v1\nkind: Config\ncurrent-context: it\ncontexts: [{name: it, context: {cluster: c, user: u}}]\n"
         "clusters: [{name: c, cluster: {" + cluster + "}}]\nusers: [{name: u, user: {" + user + "}}]\n";
}

TEST_F(KubeconfigTest, ReadsClusterUserAndContext) {
  auto access = load_text(
      "apiVersion: v1\nkind: Config\ncurrent-context: prod\n"
      "contexts:\n- name: prod\n  context: {cluster: big, user: me, namespace: shop}\n- name: test\n  context: {cluster: small, user: me}\n"
      "clusters:\n- name: big\n  cluster:\n    server: https://10.0.0.1:6443\n    tls-server-name: api\n    proxy-url: socks5://127.0.0.1:1080\n"
      "    certificate-authority-data: " + base64_encode(kPem) + "\n- name: small\n  cluster: {server: 'https://small', insecure-skip-tls-verify: true}\n"
      "users:\n- name: me\n  user: {token: abc, as: jane, as-groups: [a, b], as-uid: '7', as-user-extra: {reason: [x, z]}}\n");
  ASSERT_TRUE(access.ok()) << access.error().message;
  EXPECT_EQ(access->server, "https://10.0.0.1:6443");
  EXPECT_EQ(access->context, "prod");
  EXPECT_EQ(access->name_space, "shop");
  EXPECT_EQ(access->tls_server_name, "api");
  EXPECT_EQ(access->proxy_url, "socks5://127.0.0.1:1080");
  EXPECT_EQ(access->ca_pem, kPem);
  EXPECT_EQ(access->token, "abc");
  EXPECT_EQ(access->impersonate_user, "jane");
  EXPECT_EQ(access->impersonate_uid, "7");
  EXPECT_EQ(access->impersonate_groups, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(access->impersonate_extra, (std::vector<std::pair<std::string, std::string>>{{"reason", "x"}, {"reason", "z"}}));
  auto other = load({folder_ / "config"}, "test");
  ASSERT_TRUE(other.ok());
  EXPECT_EQ(other->server, "https://small");
  EXPECT_EQ(other->name_space, "default");
  EXPECT_TRUE(other->insecure_skip_tls_verify);
}

TEST_F(KubeconfigTest, TheFirstFileWinsForEachName) {
  std::string first = write("a/config", "contexts: [{name: x, context: {cluster: c, user: u, namespace: first}}]\nusers: [{name: u, user: {token: first}}]\n");
  std::string second = write("b/config",
                             "current-context: x\ncontexts: [{name: x, context: {cluster: c, user: u, namespace: second}}]\n"
                             "clusters: [{name: c, cluster: {server: 'https://second', certificate-authority: ca.pem}}]\nusers: [{name: u, user: {token: second, as: root}}]\n");
  std::string third = write("c/config", "current-context: y\nclusters: [{name: c, cluster: {server: 'https://third'}}]\n");
  write("b/ca.pem", kPem);
  auto access = load({first, folder_ / "missing", "", second, first, third});
  ASSERT_TRUE(access.ok()) << access.error().message;
  EXPECT_EQ(access->context, "x");
  EXPECT_EQ(access->name_space, "first");
  EXPECT_EQ(access->server, "https://second");
  EXPECT_EQ(access->token, "first");
  EXPECT_EQ(access->impersonate_user, "") << "entries are taken whole";
  EXPECT_EQ(access->ca_pem, kPem) << "relative to the file that names it";
}

TEST_F(KubeconfigTest, PathsAreRelativeToTheirFile) {
  write("certs/ca.pem", kPem);
  auto access = load_text(config("server: 'https://h', certificate-authority: certs/ca.pem", "tokenFile: run/token"));
  ASSERT_TRUE(access.ok()) << access.error().message;
  EXPECT_EQ(access->ca_pem, kPem);
  EXPECT_EQ(access->token_file, folder_ / "run/token");
}

TEST_F(KubeconfigTest, DataWinsOverFiles) {
  auto access = load_text(config("server: 'https://h', certificate-authority: missing.pem, certificate-authority-data: " + base64_encode(kPem), ""));
  ASSERT_TRUE(access.ok()) << access.error().message;
  EXPECT_EQ(access->ca_pem, kPem);
}

TEST_F(KubeconfigTest, ReadsExecPlugins) {
  auto access = load_text(
      "current-context: it\ncontexts: [{name: it, context: {cluster: c, user: u}}]\n"
      "clusters: [{name: c, cluster: {server: 'https://h', extensions: [{name: client.authentication.k8s.io/exec, extension: {audience: a}}]}}]\n"
      "users: [{name: u, user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: bin/login, args: [get, token], env: [{name: A, value: b}],\n"
      "  installHint: install it, provideClusterInfo: true, interactiveMode: Never}}}]\n");
  ASSERT_TRUE(access.ok()) << access.error().message;
  ASSERT_TRUE(access->exec);
  EXPECT_EQ(access->exec->command, folder_ / "bin/login");
  EXPECT_EQ(access->exec->arguments, (std::vector<std::string>{"get", "token"}));
  EXPECT_EQ(access->exec->environment, (std::vector<std::pair<std::string, std::string>>{{"A", "b"}}));
  EXPECT_EQ(access->exec->install_hint, "install it");
  EXPECT_TRUE(access->exec->provide_cluster_info);
  EXPECT_EQ(access->exec->cluster_config, R"({"audience":"a"})");
}

TEST_F(KubeconfigTest, RefusesWhatCannotBeMeant) {
  struct Case {
    std::string text, message;
  };
  const Case cases[] = {
      {"a: [", "reading config: line"},
      {"[]", "reading config: not an object"},
      {"kind: Pod\napiVersion: v1", "reading config: this is a Pod of v1, not a Config of v1"},
      {"clusters: 3", "reading config: clusters: must be a list"},
      {"users: [{name: u, user: text}]", "reading config: users: user of \"u\" must be an object"},
      {"users: [{name: u}, {name: u}]", "reading config: users: the name \"u\" is given twice"},
      {"contexts: [{name: a, context: {}}]", "the kubeconfig has no current-context"},
      {"current-context: b\ncontexts: [{name: a, context: {}}]", "the kubeconfig has no context \"b\""},
      {"current-context: a\ncontexts: [{name: a, context: {cluster: c}}]", "context \"a\" in config: there is no cluster \"c\""},
      {config("server: ''", ""), "cluster \"c\" in config: server is missing"},
      {config("server: 7", ""), "cluster \"c\" in config: server must be a string"},
      {config("server: 'https://h', certificate-authority-data: '%%'", ""), "cluster \"c\" in config: certificate-authority-data is not base64"},
      {config("server: 'https://h', certificate-authority-data: aGVsbG8=", ""), "cluster \"c\" in config: certificate-authority is not in PEM format"},
      {config("server: 'https://h', certificate-authority: none.pem", ""), "cluster \"c\": certificate-authority: "},
      {config("server: 'https://h', insecure-skip-tls-verify: true, certificate-authority-data: " + base64_encode(kPem), ""), "cluster \"c\" in config: a certificate authority and insecure"},
      {config("server: 'https://h'", "token: a, username: b"), "user \"u\" in config: both a token and a username are given"},
      {config("server: 'https://h'", "client-certificate-data: " + base64_encode(kPem)), "user \"u\" in config: client-certificate needs client-key"},
      {config("server: 'https://h'", "as-uid: x"), "user \"u\" in config: as-uid, as-groups"},
      {config("server: 'https://h'", "exec: {command: x, apiVersion: client.authentication.k8s.io/v1alpha1}"), "user \"u\" in config: exec: apiVersion"},
      {config("server: 'https://h'", "exec: {apiVersion: client.authentication.k8s.io/v1}"), "user \"u\" in config: exec: command is missing"},
      {config("server: 'https://h'", "exec: {command: x, apiVersion: client.authentication.k8s.io/v1, interactiveMode: Always}"), "user \"u\" in config: exec: the plugin x wants a terminal"},
      {config("server: 'https://h'", "auth-provider: {name: gcp}"), "user \"u\" in config: auth-provider \"gcp\""},
      {"", "config: names no cluster"},
  };
  for (const Case& one : cases) {
    auto result = load_text(one.text);
    ASSERT_FALSE(result.ok()) << one.text;
    EXPECT_TRUE(message(result).starts_with(one.message)) << message(result) << "\nfor " << one.text;
  }
}

TEST_F(KubeconfigTest, InAPodTheServiceAccountIsUsed) {
  write("account/token", "secret\n");
  write("account/ca.crt", kPem);
  write("account/namespace", "tools\n");
  EXPECT_FALSE(load({folder_ / "missing"}).ok()) << "not in a cluster without the variables";
  environment_ = {{"KUBERNETES_SERVICE_HOST", "fd00::1"}, {"KUBERNETES_SERVICE_PORT", "443"}};
  auto access = load({folder_ / "missing"});
  ASSERT_TRUE(access.ok()) << access.error().message;
  EXPECT_EQ(access->server, "https://[fd00::1]:443");
  EXPECT_EQ(access->name_space, "tools");
  EXPECT_EQ(access->token_file, folder_ / "account/token");
  EXPECT_EQ(access->ca_pem, kPem);
  EXPECT_EQ(load({write("empty", "")})->context, "in-cluster");
  EXPECT_EQ(load({write("config", config("server: 'https://h'", ""))})->server, "https://h") << "files come first";
}

TEST_F(KubeconfigTest, FilesOverTheLimitAreRefused) {
  std::string text = config("server: 'https://h'", "") + "#";
  text.resize(kMaxKubeconfigBytes, 'x');
  EXPECT_TRUE(load({write("fits", text)}).ok());
  EXPECT_FALSE(load({write("long", text + "x")}).ok());
}

TEST_F(KubeconfigTest, NothingAtAllIsNotFound) {
  auto none = load({});
  ASSERT_FALSE(none.ok());
  EXPECT_EQ(none.error().code, Code::NotFound);
}

}  // namespace
}  // namespace archway::kube
