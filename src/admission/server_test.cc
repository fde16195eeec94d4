#include "admission/server.h"

#include <gtest/gtest.h>

#include <future>

#include "admission/metrics.h"
#include "base/fd.h"
#include "base/process.h"
#include "base/sync.h"
#include "base/text.h"
#include "net/http_client.h"

namespace archway::admission {
namespace {

// Knows "fast" at once; "slow" never before the deadline; "gone" is not there.
class FakeLookup final : public ImageLookup {
 public:
  FakeLookup() {
    auto facts = std::make_shared<ImageFacts>();
    facts->truth.platforms = {{"linux", "amd64"}};
    known_ = facts;
  }
  Result<Facts> look_up(const std::string& reference, const Keychain&, std::optional<std::chrono::steady_clock::time_point> deadline, std::stop_token) override {
    ++asked;
    last_patience = std::chrono::duration_cast<std::chrono::milliseconds>(deadline.value() - std::chrono::steady_clock::now());
    if (reference == "cold") return known_;
    if (reference == "gone") return Error{Code::NotFound, "no such image"};
    return Error{Code::Unavailable, "the registry did not answer in time"};
  }
  std::vector<Result<Facts>> look_up_all(const std::vector<std::string>&, const Keychain&, std::function<void(size_t)>, std::stop_token) override { return {}; }
  Facts peek(const std::string& reference, const Keychain& keychain) override {
    if (reference == "private") return keychain.docker_configs.empty() ? nullptr : known_;
    return reference == "fast" ? known_ : nullptr;
  }
  Result<void> remember_wrong(const Digest&, const WrongPlatform&) override { return {}; }
  Result<std::vector<std::string>> tags(const std::string&, const Keychain&, std::stop_token) override { return std::vector<std::string>(); }
  Result<std::shared_ptr<RegistryClient>> client(const std::string&, const Keychain&) override { return Error{Code::Unsupported, "none"}; }
  std::optional<RateLimit> rate_limit(const std::string&) override { return {}; }
  LookupCounters counters() const override { return {.asked = 7, .registry_errors = 3}; }

  std::atomic<int> asked = 0;
  std::atomic<std::chrono::milliseconds> last_patience = {};

 private:
  Facts known_;
};

struct Served {
  std::shared_ptr<FakeLookup> lookup = std::make_shared<FakeLookup>();
  Sync<std::vector<std::string>> lines;
  std::unique_ptr<WebhookServer> server;
  std::shared_ptr<HttpClient> client;

  explicit Served(WebhookOptions options = {}) {
    options.lookup = lookup;
    options.log = [this](std::string_view line) { lines.lock()->emplace_back(line); };
    auto started = WebhookServer::start(std::move(options));
    EXPECT_TRUE(started.ok()) << (started.ok() ? "" : started.error().message);
    server = std::move(started).value_or(nullptr);
    client = HttpClient::create().value_or(nullptr);
  }
  std::pair<int, std::string> send(std::string method, std::string path, std::string body = {}) {
    HttpRequest request;
    request.method = std::move(method);
    request.url = *parse_url("http://127.0.0.1:" + std::to_string(server->port()) + path);
    request.body = std::move(body);
    auto response = client->send(request);
    EXPECT_TRUE(response.ok()) << (response.ok() ? "" : response.error().message);
    if (!response.ok()) return {0, ""};
    int status = (*response)->status;
    return {status, (*response)->text(1 << 20).value_or("")};
  }
};

std::string review_of(std::string_view image) {
  return R"({"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"u","kind":{"group":"","kind":"Pod"},"operation":"CREATE","namespace":"default","object":{"metadata":{"name":"p"},"spec":{"containers":[{"name":"c","image":")" +
         std::string(image) + R"("}]}}}})";
}

Json response_of(const std::pair<int, std::string>& answer) {
  EXPECT_EQ(answer.first, 200) << answer.second;
  return parse_json(answer.second).value_or(Json())["response"];
}

TEST(Webhook, AnswersReviews) {
  Served served;
  Json response = response_of(served.send("POST", "/mutate?timeout=10s", review_of("fast")));
  EXPECT_EQ(response["uid"].string(), "u");
  EXPECT_TRUE(response.has("patch"));
  EXPECT_EQ(served.lookup->asked, 0);
  EXPECT_TRUE(response_of(served.send("POST", "/mutate", review_of("cold"))).has("patch"));
  EXPECT_EQ(served.lookup->asked, 1);
  auto lines = *served.lines.lock();
  ASSERT_EQ(lines.size(), 2u);
  Json line = *parse_json(lines[0]);
  EXPECT_EQ(line["decision"].string(), "changed");
  EXPECT_EQ(line["object"].string(), "pod default/p");
}

TEST(Webhook, LetsPodsPassWhereARegistryDoesNotAnswer) {
  Served served;
  Json response = response_of(served.send("POST", "/mutate", review_of("slow")));
  EXPECT_TRUE(response["allowed"].boolean());
  EXPECT_FALSE(response.has("patch"));
  EXPECT_EQ(response["auditAnnotations"]["decision"].string(), "unknown");
  WebhookOptions options;
  options.policy.on_unknown = Policy::OnUnknown::Gate;
  Served gating(std::move(options));
  EXPECT_EQ(response_of(gating.send("POST", "/mutate", review_of("slow")))["auditAnnotations"]["decision"].string(), "gated");
  EXPECT_EQ(response_of(gating.send("POST", "/mutate", review_of("gone")))["auditAnnotations"]["decision"].string(), "unknown");
}

TEST(Webhook, WaitsForHalfOfTheApiServersTimeoutAtMost) {
  Served served;
  (void)served.send("POST", "/mutate?timeout=1s", review_of("cold"));
  EXPECT_LE(served.lookup->last_patience.load(), std::chrono::milliseconds(500));
  (void)served.send("POST", "/mutate?timeout=30s", review_of("cold"));
  EXPECT_GT(served.lookup->last_patience.load(), std::chrono::milliseconds(500));
  EXPECT_LE(served.lookup->last_patience.load(), std::chrono::milliseconds(1800));
}

TEST(Webhook, UsesTheNodesCredentials) {
  WebhookOptions options;
  options.keychain = [](const ReviewRequest& request, const Json& spec, std::chrono::steady_clock::time_point) {
    return Keychain{{request.name_space + " " + spec["containers"].items()[0]["image"].string()}};
  };
  Served served(std::move(options));
  EXPECT_TRUE(response_of(served.send("POST", "/mutate", review_of("private"))).has("patch"));
}

TEST(Webhook, RefusesWhatIsNoReview) {
  Served served;
  EXPECT_EQ(served.send("POST", "/mutate", "{").first, 400);
  EXPECT_EQ(served.send("POST", "/mutate", "").first, 400);
  EXPECT_EQ(served.send("GET", "/mutate").first, 405);
  EXPECT_EQ(served.send("POST", "/elsewhere", "x").first, 404);
  EXPECT_EQ(served.send("POST", "/mutate", std::string(kMaxReviewBytes + 1, ' ')).first, 413);
}

TEST(Webhook, SaysHowItIs) {
  bool ready = false;
  WebhookOptions options;
  options.ready = [&] { return ready; };
  Served served(std::move(options));
  EXPECT_EQ(served.send("GET", "/healthz").first, 200);
  EXPECT_EQ(served.send("GET", "/readyz").first, 503);
  ready = true;
  EXPECT_EQ(served.send("GET", "/readyz").first, 200);
  (void)served.send("POST", "/mutate", review_of("fast"));
  std::string text = served.send("GET", "/metrics").second;
  for (std::string_view line : {"archway_admission_reviews_total{decision=\"changed\"} 1\n", "archway_admission_review_seconds_bucket{le=\"+Inf\"} 1\n", "archway_admission_review_seconds_count 1\n",
                                "archway_registry_errors_total 3\n", "# TYPE archway_admission_review_seconds histogram\n"}) {
    EXPECT_NE(text.find(line), std::string::npos) << line << text;
  }
}

TEST(Webhook, TakesUpANewCertificate) {
  if (!find_program("openssl")) GTEST_SKIP() << "skipped: needs openssl";
  auto folder = TempDir::create("/tmp", "archway-webhook-");
  ASSERT_TRUE(folder.ok());
  auto make = [&](const std::string& name) {
    auto made = run_process({"openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1", "-subj", "/CN=localhost", "-addext",
                             "subjectAltName=DNS:localhost", "-keyout", *folder / (name + ".key"), "-out", *folder / (name + ".cert")});
    ASSERT_TRUE(made.ok() && made->exit_code == 0);
  };
  auto use = [&](const std::string& name) {
    for (std::string part : {"cert", "key"}) ASSERT_TRUE(write_file_atomic(*folder / part, *read_file(*folder / (name + "." + part), 1 << 20)).ok());
  };
  make("old");
  make("new");
  use("old");
  std::promise<void> reloaded;
  std::atomic<bool> said = false;
  WebhookOptions options;
  options.http.host = "localhost";
  options.http.tls_cert_file = *folder / "cert";
  options.http.tls_key_file = *folder / "key";
  options.certificate_poll = std::chrono::milliseconds(5);
  options.lookup = std::make_shared<FakeLookup>();
  options.log = [&](std::string_view line) {
    if (line.find("\"reloaded\":true") != std::string_view::npos && !said.exchange(true)) reloaded.set_value();
  };
  auto server = WebhookServer::start(std::move(options));
  ASSERT_TRUE(server.ok()) << server.error().message;
  auto trusts = [&](const std::string& name) {
    HttpClientOptions trusting;
    trusting.tls.ca_file = *folder / (name + ".cert");
    auto client = HttpClient::create(trusting);
    HttpRequest request;
    request.url = *parse_url("https://localhost:" + std::to_string((*server)->port()) + "/healthz");
    auto response = (*client)->send(request);
    return response.ok() && (*response)->status == 200;
  };
  EXPECT_TRUE(trusts("old"));
  use("new");
  ASSERT_EQ(reloaded.get_future().wait_for(std::chrono::seconds(30)), std::future_status::ready);
  EXPECT_TRUE(trusts("new"));
  EXPECT_FALSE(trusts("old"));
}

// Ten thousand containers of ten thousand images: nobody is asked.
TEST(Webhook, BoundsWhatAPodCosts) {
  Served served;
  std::string containers;
  for (int i = 0; i < 10'000; ++i) containers += std::string(i ? "," : "") + R"({"name":"c","image":"169.254.169.254/x:)" + std::to_string(i) + "\"}";
  std::string review = replace_all(review_of("fast"), R"({"name":"c","image":"fast"})", containers);
  Json response = response_of(served.send("POST", "/mutate", review));
  EXPECT_TRUE(response["allowed"].boolean());
  EXPECT_EQ(response["warnings"].size(), 1u);
  EXPECT_EQ(served.lookup->asked, 0);
}

TEST(ParseTimeout, ReadsGoDurations) {
  using std::chrono::milliseconds;
  EXPECT_EQ(parse_timeout("10s"), milliseconds(10'000));
  EXPECT_EQ(parse_timeout("1m30s"), milliseconds(90'000));
  EXPECT_EQ(parse_timeout("1.5s"), milliseconds(1500));
  EXPECT_EQ(parse_timeout("250ms"), milliseconds(250));
  EXPECT_EQ(parse_timeout("9999999h"), milliseconds(3'600'000));
  for (std::string_view bad : {"", "10", "s", "-1s", "1x", "inf", "nans"}) EXPECT_EQ(parse_timeout(bad), std::nullopt) << bad;
}

}  // namespace
}  // namespace archway::admission
