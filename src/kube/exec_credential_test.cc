#include "kube/exec_credential.h"

#include <gtest/gtest.h>

#include "format/json.h"

namespace archway::kube {
namespace {

constexpr const char* kV1 = "client.authentication.k8s.io/v1";

std::string answer(const std::string& status) { return R"({"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":)" + status + "}"; }

TEST(ExecCredential, ReadsTokensAndCertificates) {
  auto token = parse_exec_credential(answer(R"({"token":"abc","expirationTimestamp":"2026-11-22T20:00:00Z"})") + "\n", kV1);
  ASSERT_TRUE(token.ok()) << token.error().message;
  EXPECT_EQ(token->token, "abc");
  EXPECT_EQ(token->expires, parse_rfc3339("2026-11-22T20:00:00Z"));
  auto certificate = parse_exec_credential(answer(R"({"clientCertificateData":"C","clientKeyData":"K","expirationTimestamp":null})"), kV1);
  ASSERT_TRUE(certificate.ok());
  EXPECT_EQ(certificate->client_cert_pem + certificate->client_key_pem, "CK");
  EXPECT_FALSE(certificate->expires);
}

TEST(ExecCredential, RefusesWhatIsNone) {
  const std::pair<std::string, std::string> cases[] = {
      {"", "its answer is not a JSON object"},
      {"token", "its answer is not a JSON object"},
      {"[]", "its answer is not a JSON object"},
      {"{}", "its answer is not of kind ExecCredential"},
      {R"({"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1beta1","status":{"token":"a"}})", "its answer is not of version client.authentication.k8s.io/v1"},
      {answer("null"), "its answer has no status"},
      {answer("{}"), "its answer has neither a token nor a certificate"},
      {answer(R"({"clientKeyData":"K","token":"a"})"), "its answer has a certificate or a key, not both"},
      {answer(R"({"token":"a\nb"})"), "its token has characters that no token has"},
      {answer(R"({"token":"a","expirationTimestamp":"soon"})"), "its expirationTimestamp is no RFC 3339 time"},
  };
  for (const auto& [text, message] : cases) {
    auto result = parse_exec_credential(text, kV1);
    ASSERT_FALSE(result.ok()) << text;
    EXPECT_EQ(result.error().message, message) << text;
  }
}

TEST(ExecCredential, HasALimit) {
  std::string text = answer(R"({"token":"abc"})");
  text.resize(kMaxExecAnswerBytes, ' ');
  EXPECT_TRUE(parse_exec_credential(text, kV1).ok());
  EXPECT_FALSE(parse_exec_credential(text + " ", kV1).ok());
}

TEST(ExecCredential, ThePluginIsToldOfItsClusterWhereItAsks) {
  ClusterAccess access;
  access.server = "https://h:6443";
  access.ca_pem = "PEM";
  access.tls_server_name = "api";
  ExecPlugin plugin;
  plugin.api_version = kV1;
  EXPECT_EQ(exec_info(access, plugin), R"({"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1","spec":{"interactive":false}})");
  plugin.provide_cluster_info = true;
  plugin.cluster_config = R"({"a":1})";
  EXPECT_EQ(exec_info(access, plugin),
            R"({"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1","spec":{"interactive":false,"cluster":{"server":"https://h:6443",)"
            R"("tls-server-name":"api","certificate-authority-data":"UEVN","config":{"a":1}}}})");
}

TEST(ExecCredential, RunsThePluginWithItsEnvironment) {
  ExecPlugin plugin;
  plugin.api_version = kV1;
  plugin.command = "/bin/sh";
  plugin.environment = {{"SECRET", "s3"}};
  plugin.arguments = {"-c", R"(case $KUBERNETES_EXEC_INFO in *ExecCredential*) ;; *) exit 3;; esac
    echo '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"'"$SECRET$0"'"}}')", "arg"};
  auto credential = run_exec_plugin({}, plugin);
  ASSERT_TRUE(credential.ok()) << credential.error().message;
  EXPECT_EQ(credential->token, "s3arg");
}

TEST(ExecCredential, SaysWhyAPluginDidNotDo) {
  ExecPlugin plugin;
  plugin.api_version = kV1;
  plugin.command = "/bin/sh";
  plugin.arguments = {"-c", "echo secret; echo 'log in first' >&2; exit 7"};
  auto failed = run_exec_plugin({}, plugin);
  ASSERT_FALSE(failed.ok());
  EXPECT_EQ(failed.error().message, "credential plugin /bin/sh failed with exit code 7: log in first");
  EXPECT_EQ(failed.error().code, Code::Unauthorized);
  plugin.command = "/nowhere/plugin";
  plugin.install_hint = "brew install it";
  auto missing = run_exec_plugin({}, plugin);
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().code, Code::NotFound);
  EXPECT_EQ(missing.error().hint, "brew install it");
}

}  // namespace
}  // namespace archway::kube
