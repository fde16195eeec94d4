#include "admission/certificates.h"

#include <gtest/gtest.h>

#include "admission/certificate_keeper.h"
#include "admission/fake_cluster_fixture.h"
#include "base/text.h"

namespace archway::admission {
namespace {

using testing::FakeCluster;

const Time kNow = Time::from_seconds(1'800'000'000);
const std::vector<std::string> kNames = {"hook.ns.svc", "hook.ns.svc.cluster.local", "10.0.0.1"};

Time later(int64_t seconds) { return Time::from_seconds(kNow.seconds() + seconds); }

TEST(Certificates, AreForTheirNamesAndSignedByTheirAuthority) {
  auto made = make_serving_certificate(kNames, kNow);
  ASSERT_TRUE(made.ok()) << made.error().message;
  auto facts = read_certificate(made->cert_pem);
  ASSERT_TRUE(facts.ok());
  EXPECT_EQ(facts->names, kNames);
  EXPECT_EQ(facts->not_after, later(kServingLife.count()));
  EXPECT_EQ(facts->not_before, later(-kClockSkew.count()));
  EXPECT_EQ(fault_of(*made, kNames, kNow), "");
  EXPECT_EQ(made->ca_pem.find("PRIVATE KEY"), std::string::npos);
}

TEST(Certificates, FaultsAreNamed) {
  ServingCertificate made = *make_serving_certificate(kNames, kNow), other = *make_serving_certificate(kNames, kNow);
  EXPECT_EQ(fault_of({}, kNames, kNow), "there is no certificate");
  EXPECT_EQ(fault_of({made.cert_pem, "", made.ca_pem}, kNames, kNow), "there is no private key");
  EXPECT_EQ(fault_of({made.cert_pem, other.key_pem, made.ca_pem}, kNames, kNow), "the private key belongs to another certificate");
  EXPECT_EQ(fault_of({made.cert_pem, made.key_pem, other.ca_pem}, kNames, kNow), "the authority beside it has not signed it");
  EXPECT_EQ(fault_of({made.cert_pem, made.key_pem, other.ca_pem + made.ca_pem}, kNames, kNow), "");
  EXPECT_EQ(fault_of(made, {"else.svc"}, kNow), "it is not for else.svc");
  EXPECT_EQ(fault_of(made, kNames, later(kServingLife.count())), "it has expired");
  EXPECT_EQ(fault_of(made, kNames, later(-3600)), "it is not valid yet");
}

TEST(Certificates, WantRenewalInTheLastThird) {
  CertificateFacts facts = {Time::from_seconds(0), Time::from_seconds(900), {}};
  EXPECT_FALSE(wants_renewal(facts, Time::from_seconds(599)));
  EXPECT_TRUE(wants_renewal(facts, Time::from_seconds(600)));
}

TEST(Certificates, RefuseNamesThatAreNone) {
  for (const std::string& name : {std::string(), std::string("a,DNS:b"), std::string("a b"), std::string(254, 'a')}) EXPECT_FALSE(make_serving_certificate({name}, kNow).ok()) << name;
  EXPECT_FALSE(make_serving_certificate({}, kNow).ok());
  EXPECT_TRUE(make_serving_certificate({std::string(100, 'a') + ".svc"}, kNow).ok()) << "too long for a common name is fine";
}

TEST(Bundles, MergeWithoutTheExpiredAndTheSame) {
  std::string a = make_serving_certificate(kNames, kNow)->ca_pem, b = make_serving_certificate(kNames, kNow)->ca_pem;
  std::string merged = merge_bundles(a, b + a, kNow);
  EXPECT_EQ(merged, a + b);
  EXPECT_TRUE(bundle_contains(merged, a) && bundle_contains(merged, b));
  EXPECT_FALSE(bundle_contains(a, merged));
  EXPECT_EQ(merge_bundles(a, b, later(kServingLife.count())), a);
  EXPECT_EQ(merge_bundles("", "garbage", kNow), "");
}

TEST(Bundles, HaveALimit) {
  std::string all;
  for (size_t i = 0; i < kMaxBundleCertificates; i++) all += make_serving_certificate({"a"}, kNow)->ca_pem;
  std::string one_more = make_serving_certificate({"a"}, kNow)->ca_pem;
  EXPECT_EQ(merge_bundles(one_more, all, kNow), one_more + merge_bundles("", all.substr(0, all.rfind("-----BEGIN")), kNow));
}

class FixedClock final : public Clock {
 public:
  Time now() override { return time; }
  Time time = kNow;
};

class CertificateKeeperTest : public ::testing::Test {
 protected:
  CertificateKeeperTest() {
    cluster_->put(kube::resources::mutating_webhook_configurations(), "",
                  *parse_json(R"({"metadata":{"name":"hook"},"webhooks":[{"name":"pods.archway.dev","clientConfig":{"service":{}}},{"name":"owners.archway.dev","clientConfig":{"caBundle":"b2xk"}}]})"));
    cluster_->put(kube::resources::secrets(), "ns", *parse_json(R"({"metadata":{"name":"tls","labels":{"a":"b"}}})"));
  }
  CertificateKeeper keeper() {
    CertificateKeeperOptions options;
    options.name_space = "ns";
    options.secret = "tls";
    options.webhook = "hook";
    options.names = kNames;
    options.clock = &clock_;
    options.sleep = [this](std::chrono::milliseconds, std::stop_token) { bundles_while_waiting_.push_back(bundle(0)); };
    return CertificateKeeper(cluster_, options);
  }
  std::string bundle(size_t index) {
    return base64_decode(cluster_->at(kube::resources::mutating_webhook_configurations(), "", "hook")["webhooks"].items()[index]["clientConfig"]["caBundle"].string()).value_or("?");
  }
  ServingCertificate secret() { return certificate_of_secret(cluster_->at(kube::resources::secrets(), "ns", "tls")); }

  std::shared_ptr<FakeCluster> cluster_ = std::make_shared<FakeCluster>();
  FixedClock clock_;
  std::vector<std::string> bundles_while_waiting_;
};

TEST_F(CertificateKeeperTest, MakesOneAndTellsTheWebhooks) {
  auto changed = keeper().tend({});
  ASSERT_TRUE(changed.ok()) << changed.error().message;
  EXPECT_TRUE(*changed);
  EXPECT_EQ(fault_of(secret(), kNames, kNow), "");
  EXPECT_EQ(bundle(0), secret().ca_pem);
  EXPECT_EQ(bundle(1), secret().ca_pem);
  EXPECT_EQ(cluster_->at(kube::resources::secrets(), "ns", "tls")["metadata"]["labels"]["a"].string(), "b");
  EXPECT_TRUE(bundles_while_waiting_.empty()) << "nobody has trusted anything before";
  EXPECT_FALSE(*keeper().tend({})) << "nothing more to do";
}

TEST_F(CertificateKeeperTest, ReplacesItInTimeAndIsTrustedAtEveryMoment) {
  ASSERT_TRUE(keeper().tend({}).ok());
  ServingCertificate before = secret();
  clock_.time = later(kServingLife.count() * 2 / 3 + 60);
  EXPECT_TRUE(*keeper().tend({}));
  ServingCertificate after = secret();
  EXPECT_NE(after.cert_pem, before.cert_pem);
  ASSERT_EQ(bundles_while_waiting_.size(), 1u);
  EXPECT_TRUE(bundle_contains(bundles_while_waiting_[0], before.ca_pem)) << "the old one is still shown then";
  EXPECT_TRUE(bundle_contains(bundles_while_waiting_[0], after.ca_pem));
  EXPECT_TRUE(bundle_contains(bundle(0), before.ca_pem)) << "replicas may show the old one for a while";
  // A later one drops what has expired.
  clock_.time = later(kServingLife.count() * 2);
  EXPECT_TRUE(*keeper().tend({}));
  EXPECT_FALSE(bundle_contains(bundle(0), before.ca_pem));
}

TEST_F(CertificateKeeperTest, PutsBackATrustThatSomebodyRemoved) {
  ASSERT_TRUE(keeper().tend({}).ok());
  cluster_->put(kube::resources::mutating_webhook_configurations(), "", *parse_json(R"({"metadata":{"name":"hook"},"webhooks":[{"name":"pods.archway.dev","clientConfig":{}}]})"));
  EXPECT_TRUE(*keeper().tend({}));
  EXPECT_EQ(bundle(0), secret().ca_pem);
}

TEST_F(CertificateKeeperTest, AnotherWasQuicker) {
  cluster_->fail = [&](const std::string& verb, const std::string& path) -> std::optional<Error> {
    if (verb == "PUT" && path.find("secrets") != std::string::npos) return Error{Code::Mismatch, "409"};
    return std::nullopt;
  };
  auto tended = keeper().tend({});
  ASSERT_FALSE(tended.ok());
  EXPECT_TRUE(secret().cert_pem.empty());
}

TEST_F(CertificateKeeperTest, EveryReplicaFollowsTheSecret) {
  CertificateKeeper one = keeper();
  std::stop_source stop;
  std::vector<ServingCertificate> shown;
  auto followed = one.follow([&](const ServingCertificate& certificate) {
    shown.push_back(certificate);
    if (shown.size() == 1) {
      // Nonsense is passed over, and so is what changes nothing of it.
      Json bad = cluster_->at(kube::resources::secrets(), "ns", "tls");
      Json data = bad["data"];
      data.set("tls.key", base64_encode("nonsense"));
      Json broken = bad;
      broken.set("data", data);
      cluster_->put(kube::resources::secrets(), "ns", broken);
      cluster_->put(kube::resources::secrets(), "ns", bad);
      clock_.time = later(kServingLife.count() * 2 / 3 + 60);
      EXPECT_TRUE(one.tend({}).ok());
    } else {
      stop.request_stop();
    }
  }, [&] {
    EXPECT_TRUE(one.tend({}).ok());
    return stop.get_token();
  }());
  EXPECT_TRUE(followed.ok());
  ASSERT_EQ(shown.size(), 2u);
  EXPECT_EQ(shown[1].cert_pem, secret().cert_pem);
}

}  // namespace
}  // namespace archway::admission
