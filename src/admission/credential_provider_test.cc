#include "admission/credential_provider.h"

#include <gtest/gtest.h>

#include <future>

#include "base/fd.h"
#include "base/text.h"

namespace archway::admission {
namespace {

constexpr const char* kV1 = "credentialprovider.kubelet.k8s.io/v1";

std::string config(const std::string& provider) { return "apiVersion: kubelet.config.k8s.io/v1\nkind: CredentialProviderConfig\nproviders:\n- " + provider + "\n"; }

TEST(ProviderConfig, ReadsTheKubeletsFile) {
  auto providers = parse_provider_config(
      "apiVersion: kubelet.config.k8s.io/v1\nkind: CredentialProviderConfig\nproviders:\n"
      "- name: ecr-credential-provider\n  matchImages: ['*.dkr.ecr.*.amazonaws.com', '*.dkr.ecr.*.amazonaws.com.cn']\n  defaultCacheDuration: 12h0m0s\n"
      "  apiVersion: credentialprovider.kubelet.k8s.io/v1\n  args: [get-credentials]\n  env: [{name: AWS_PROFILE, value: it}]\n"
      "- {name: gcr, matchImages: [gcr.io], defaultCacheDuration: 0s, apiVersion: credentialprovider.kubelet.k8s.io/v1alpha1}\n"
      "- {name: acr, matchImages: [a.azurecr.io], defaultCacheDuration: 0s, apiVersion: credentialprovider.kubelet.k8s.io/v1, tokenAttributes: {serviceAccountTokenAudience: a, requireServiceAccount: true, cacheType: Token}}\n"
      "- {name: own, matchImages: [a.azurecr.io], defaultCacheDuration: 0s, apiVersion: credentialprovider.kubelet.k8s.io/v1, tokenAttributes: {serviceAccountTokenAudience: a, requireServiceAccount: false}}\n");
  ASSERT_TRUE(providers.ok()) << providers.error().message;
  ASSERT_EQ(providers->size(), 4u);
  EXPECT_EQ((*providers)[0].name, "ecr-credential-provider");
  EXPECT_EQ((*providers)[0].match_images.size(), 2u);
  EXPECT_EQ((*providers)[0].default_cache, std::chrono::hours(12));
  EXPECT_EQ((*providers)[0].arguments, std::vector<std::string>{"get-credentials"});
  EXPECT_EQ((*providers)[0].environment, (std::vector<std::pair<std::string, std::string>>{{"AWS_PROFILE", "it"}}));
  using Token = CredentialProvider::Token;
  EXPECT_TRUE((*providers)[1].token == Token::None && (*providers)[2].token == Token::Required && (*providers)[3].token == Token::Optional);
}

TEST(ProviderConfig, RefusesWhatTheKubeletRefuses) {
  auto with_token = [](const std::string& attributes, const std::string& version = "v1") {
    return config("{name: a, matchImages: [a], defaultCacheDuration: 1h, apiVersion: credentialprovider.kubelet.k8s.io/" + version + ", tokenAttributes: " + attributes + "}");
  };
  EXPECT_TRUE(parse_provider_config(with_token("{serviceAccountTokenAudience: a, requireServiceAccount: true}")).ok());
  for (const std::string& text : {with_token("{serviceAccountTokenAudience: a}"), with_token("{requireServiceAccount: true}"), with_token("{serviceAccountTokenAudience: a, requireServiceAccount: true}", "v1beta1"),
                                  with_token("{serviceAccountTokenAudience: a, requireServiceAccount: true, cacheType: Pod}"),
                                  with_token("{serviceAccountTokenAudience: a, requireServiceAccount: false, requiredServiceAccountAnnotationKeys: [a/b]}")}) {
    EXPECT_FALSE(parse_provider_config(text).ok()) << text;
  }
  for (const std::string& text : {std::string("apiVersion: kubelet.config.k8s.io/v1\nkind: CredentialProviderConfig\nproviders: []\n"), std::string("{}"), std::string("kind: CredentialProviderConfig\napiVersion: v1"), config("{name: ../evil, matchImages: [a], defaultCacheDuration: 1h, apiVersion: " + std::string(kV1) + "}"),
                                  config("{name: a, matchImages: [], defaultCacheDuration: 1h, apiVersion: " + std::string(kV1) + "}"), config("{name: a, matchImages: [a], apiVersion: " + std::string(kV1) + "}"),
                                  config("{name: a, matchImages: [a], defaultCacheDuration: 1 day, apiVersion: " + std::string(kV1) + "}"), config("{name: a, matchImages: [a], defaultCacheDuration: 1h, apiVersion: v1}"),
                                  config("{name: a, matchImages: [a], defaultCacheDuration: 1h, apiVersion: " + std::string(kV1) + "}\n- {name: a, matchImages: [b], defaultCacheDuration: 1h, apiVersion: " + kV1 + "}")}) {
    EXPECT_FALSE(parse_provider_config(text).ok()) << text;
  }
}

TEST(ProviderConfig, MatchesImagesAsTheKubeletDoes) {
  const std::tuple<const char*, const char*, bool> cases[] = {
      {"*.dkr.ecr.*.amazonaws.com", "123.dkr.ecr.eu-west-1.amazonaws.com/app:1", true},
      {"*.dkr.ecr.*.amazonaws.com", "dkr.ecr.eu-west-1.amazonaws.com/app", false},
      {"*.io", "gcr.io/app", true},
      {"*.io", "a.gcr.io/app", false},
      {"*", "gcr.io/app", false},
      {"gcr.io", "gcr.io/team/app@sha256:abc", true},
      {"gcr.io/team", "gcr.io/team/app", true},
      {"gcr.io/team", "gcr.io/other/app", false},
      {"registry.io:8080/path", "registry.io:8080/path/app:1", true},
      {"registry.io:8080/path", "registry.io/path/app", false},
      {"registry.io", "registry.io:8080/app", false},
      // What the kubelet makes of it: a host called "https".
      {"https://gcr.io", "gcr.io/app", false},
      {"app*.k8s.io", "app12.k8s.io/x", true},
      {"app?.k8s.io", "app12.k8s.io/x", false},
      {"", "gcr.io/app", false},
      // Hosts are compared as they are written, and a question mark begins a query.
      {"GCR.io", "gcr.io/app", false},
      {"app?.k8s.io", "app1.k8s.io/x", false},
      {"app[0-9].k8s.io", "app7.k8s.io/x", true},
      {"app[^0-9].k8s.io", "app7.k8s.io/x", false},
      {"app[0-9.k8s.io", "app7.k8s.io/x", false},
      {"app[]].k8s.io", "app].k8s.io/x", false},
      {"*[a-c]*.k8s.io", "xxbxx.k8s.io/x", true},
      {"k8s.*", "k8s.io/x", true},
      {"*.*.registry.io", "a.b.registry.io/x", true},
      {"gcr.io/team", "gcr.io/teamwork/app", true},
      {"gcr.io/", "gcr.io/app", true},
      {"gcr.io:443", "gcr.io/app", false},
      {"*:5000", "localhost:5000/app", true},
      {"localhost:5000", "localhost:5000/app:tag", true},
  };
  for (const auto& [pattern, image, matches] : cases) EXPECT_EQ(image_matches(pattern, image), matches) << pattern << " " << image;
}

TEST(ProviderAnswers, KeysAreThoseOfTheKubeletsKeyring) {
  const std::pair<const char*, const char*> cases[] = {{"gcr.io", "gcr.io"}, {"https://gcr.io", "gcr.io"}, {"http://gcr.io/", "gcr.io"}, {"https://index.docker.io/v1/", "index.docker.io"},
                                                       {"gcr.io/v2/team", "gcr.io/team"}, {"gcr.io/v2", "gcr.io/v2"}, {"gcr.io:5000/team/a", "gcr.io:5000/team/a"}, {"", ""}};
  for (const auto& [key, entry] : cases) EXPECT_EQ(keyring_entry(key), entry) << key;
}

TEST(ProviderDurations, AreGos) {
  const std::pair<const char*, std::optional<int64_t>> cases[] = {{"0", 0}, {"12h", 43200}, {"1h30m0s", 5400}, {"1.5h", 5400}, {"500ms", 0}, {"90s", 90}, {"+5m", 300},
                                                                {"", {}}, {"5", {}}, {"-1h", {}}, {"1 h", {}}, {"h", {}}, {".s", {}}, {"1.2.3s", {}}, {"1d", {}}, {"99999999999h", 315360000}};
  for (const auto& [text, seconds] : cases) {
    auto parsed = parse_go_duration(text);
    EXPECT_EQ(parsed ? std::optional(parsed->count()) : std::nullopt, seconds) << text;
  }
}

std::string answer(const std::string& members) { return R"({"kind":"CredentialProviderResponse","apiVersion":"credentialprovider.kubelet.k8s.io/v1",)" + members + "}"; }

TEST(ProviderAnswers, AreRead) {
  auto read = parse_provider_answer(answer(R"("cacheKeyType":"Registry","cacheDuration":"6h","auth":{"*.gcr.io":{"username":"u","password":"p"}})"), kV1);
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(read->cache_key, ProviderAnswer::CacheKey::Registry);
  EXPECT_EQ(read->cache_for, std::chrono::hours(6));
  ASSERT_EQ(read->auth.size(), 1u);
  EXPECT_EQ(read->auth[0].pattern + read->auth[0].username + read->auth[0].password, "*.gcr.ioup");
  EXPECT_TRUE(parse_provider_answer(answer(R"("cacheKeyType":"Global","auth":null)"), kV1).ok());
}

TEST(ProviderAnswers, RefusedOnesAreNotRepeated) {
  for (const std::string& text : {std::string("hunter2"), std::string("[]"), answer(R"("cacheKeyType":"hunter2")"), answer(R"("cacheKeyType":"Image","cacheDuration":"hunter2")"),
                                  std::string(R"({"kind":"CredentialProviderResponse","apiVersion":"hunter2"})"), std::string(R"({"kind":"hunter2"})")}) {
    auto read = parse_provider_answer(text, kV1);
    ASSERT_FALSE(read.ok()) << text;
    EXPECT_EQ(read.error().message.find("hunter2"), std::string::npos) << read.error().message;
  }
}

TEST(ProviderAnswers, HaveLimits) {
  auto with_entries = [](size_t count) {
    std::string auth;
    for (size_t i = 0; i < count; i++) auth += (i ? ",\"h" : "\"h") + std::to_string(i) + R"(":{})";
    return answer(R"("cacheKeyType":"Image","auth":{)" + auth + "}");
  };
  EXPECT_TRUE(parse_provider_answer(with_entries(kMaxAuthEntries), kV1).ok());
  EXPECT_FALSE(parse_provider_answer(with_entries(kMaxAuthEntries + 1), kV1).ok());
  std::string text = answer(R"("cacheKeyType":"Image")");
  text.resize(kMaxProviderAnswerBytes, ' ');
  EXPECT_TRUE(parse_provider_answer(text, kV1).ok());
  EXPECT_FALSE(parse_provider_answer(text + " ", kV1).ok());
}

class SteppedClock final : public Clock {
 public:
  Time now() override { return time; }
  Time time = Time::from_seconds(1'800'000'000);
};

class ProvidersTest : public ::testing::Test {
 protected:
  CredentialProviders providers(const std::string& reply) {
    reply_ = reply;
    CredentialProvider provider;
    provider.name = "test";
    provider.match_images = {"*.example.org"};
    provider.api_version = kV1;
    provider.default_cache = std::chrono::seconds(60);
    CredentialProvidersOptions options;
    options.clock = &clock_;
    options.run = [this](const CredentialProvider&, const std::string& request, std::stop_token) -> Result<std::string> {
      requests_.push_back(request);
      if (reply_.empty()) return Error{Code::Unauthorized, "no"};
      return reply_;
    };
    return CredentialProviders({provider}, options);
  }
  static std::string reply(const std::string& key, const std::string& auth = R"({"a.example.org":{"username":"u","password":"p"}})") {
    return answer(R"("cacheKeyType":")" + key + R"(","auth":)" + auth);
  }
  SteppedClock clock_;
  std::string reply_;
  std::vector<std::string> requests_;
};

TEST_F(ProvidersTest, GiveADockerConfigForTheImagesHost) {
  CredentialProviders all = providers(reply("Image"));
  EXPECT_EQ(all.docker_configs_for("a.example.org/app:1"), std::vector<std::string>{R"({"auths":{"a.example.org":{"username":"u","password":"p"}}})"});
  EXPECT_EQ(requests_, std::vector<std::string>{R"({"kind":"CredentialProviderRequest","apiVersion":"credentialprovider.kubelet.k8s.io/v1","image":"a.example.org/app"})"});
  EXPECT_TRUE(all.docker_configs_for("b.example.org/app").empty()) << "its keys do not match that one";
  EXPECT_TRUE(all.docker_configs_for("alpine").empty());
  EXPECT_EQ(requests_.size(), 2u) << "not asked about what is not its own";
}

TEST_F(ProvidersTest, LongerKeysComeFirst) {
  CredentialProviders all = providers(reply("Image", R"({"a.example.org":{"username":"host","password":""},"a.example.org/team":{"username":"team","password":""}})"));
  auto found = all.docker_configs_for("a.example.org/team/app");
  ASSERT_EQ(found.size(), 2u);
  EXPECT_NE(found[0].find("team"), std::string::npos);
}

TEST_F(ProvidersTest, AnswersAreKeptByTheirKeyAndTheirTime) {
  const std::tuple<std::string, size_t> cases[] = {{"Image", 3}, {"Registry", 2}, {"Global", 1}};
  for (const auto& [key, times] : cases) {
    requests_.clear();
    CredentialProviders all = providers(reply(key));
    for (const char* image : {"a.example.org/x:1", "a.example.org/x:2", "a.example.org/y", "b.example.org/x"}) all.docker_configs_for(image);
    EXPECT_EQ(requests_.size(), times) << key;
    clock_.time.nanoseconds += 60'000'000'000;
    all.docker_configs_for("a.example.org/x:1");
    EXPECT_EQ(requests_.size(), times + 1) << "after its time";
  }
}

TEST_F(ProvidersTest, AFailureIsNoCredentialAndIsTriedAgain) {
  CredentialProviders all = providers("");
  EXPECT_TRUE(all.docker_configs_for("a.example.org/app").empty());
  reply_ = reply("Image");
  EXPECT_EQ(all.docker_configs_for("a.example.org/app").size(), 1u);
}

TEST_F(ProvidersTest, ASlowPluginIsNotWaitedForAndItsAnswerIsKept) {
  std::promise<void> go, done;
  CredentialProvider provider;
  provider.match_images = {"a.example.org"};
  provider.api_version = kV1;
  CredentialProvidersOptions options;
  options.run = [&](const CredentialProvider&, const std::string&, std::stop_token) -> Result<std::string> {
    go.get_future().wait();
    done.set_value();
    return answer(R"("cacheKeyType":"Global","cacheDuration":"1h","auth":{"a.example.org":{"username":"u","password":"p"}})");
  };
  CredentialProviders all({provider}, options);
  EXPECT_TRUE(all.docker_configs_until("a.example.org/app", std::chrono::steady_clock::now()).empty());
  go.set_value();
  done.get_future().wait();
  EXPECT_EQ(all.docker_configs_until("a.example.org/app", std::chrono::steady_clock::now() + std::chrono::hours(1)).size(), 1u);
}

TEST(Providers, RunAProgramByTheProtocol) {
  auto folder = *TempDir::create("/tmp", "archway-provider-");
  std::string script = "#!/bin/sh\nread line\ncase $line in *CredentialProviderRequest*a.example.org/app*) ;; *) exit 9;; esac\n"
                       "echo '" + answer(R"("cacheKeyType":"Image","auth":{"a.example.org":{"username":"'$1'","password":"'$SECRET'"}})") + "'\n";
  ASSERT_TRUE(write_file_atomic(folder / "plugin", script, 0755).ok());
  CredentialProvider provider;
  provider.name = "plugin";
  provider.match_images = {"a.example.org"};
  provider.api_version = kV1;
  provider.arguments = {"me"};
  provider.environment = {{"SECRET", "s3"}};
  CredentialProvidersOptions options;
  options.bin_dir = folder.path();
  EXPECT_EQ(CredentialProviders({provider}, options).docker_configs_for("a.example.org/app:1"), std::vector<std::string>{R"({"auths":{"a.example.org":{"username":"me","password":"s3"}}})"});
}

}  // namespace
}  // namespace archway::admission
