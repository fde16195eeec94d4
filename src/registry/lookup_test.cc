// Look-ups against registries that count, wait, refuse and lie.
#include "registry/lookup.h"

#include "base/sync.h"

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <latch>

#include "image/config.h"
#include "net/raw_server_fixture.h"
#include "registry/image_facts.h"
#include "registry/lookup_store.h"

namespace archway {
namespace {

using namespace std::chrono_literals;
using testing::RawRequest;
using testing::RawServer;

class FakeClock final : public Clock {
 public:
  Time now() override { return Time{at_}; }
  void pass(std::chrono::seconds time) { at_ += std::chrono::nanoseconds(time).count(); }

 private:
  std::atomic<int64_t> at_ = Time::from_seconds(1'700'000'000).nanoseconds;
};

std::string config_of(const std::string& architecture) { return "{\"os\":\"linux\",\"architecture\":\"" + architecture + "\",\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[]}}"; }

std::string manifest_of(std::string_view config, std::string_view config_type = media_type::kOciConfig) {
  return write_manifest({std::string(media_type::kOciManifest), descriptor_of(config_type, config), {}});
}

Descriptor entry(const std::string& manifest, const char* platform) {
  Descriptor descriptor = descriptor_of(media_type::kOciManifest, manifest);
  if (platform) descriptor.platform = *parse_platform(platform);
  return descriptor;
}

std::string index_of(std::vector<Descriptor> entries) { return write_index({std::string(media_type::kOciIndex), std::move(entries)}); }

// A registry of manifests (by tag, per repository) and blobs, kept in memory; every manifest can be asked for by digest.
class TinyRegistry {
 public:
  using Veto = std::function<std::string(const RawRequest&)>;  // an answer in place of the registry's own; "" for none
  explicit TinyRegistry(Veto veto = {}) : veto_(std::move(veto)), server_([this](const RawRequest& request, int) { return answer(request); }) {}

  void tag(const std::string& name, const std::string& raw) {
    std::lock_guard lock(mutex_);
    std::string digest = Digest::of(raw).str();
    manifests_[name] = raw;
    manifests_[name.substr(0, name.rfind(':')) + ":" + digest] = raw;
  }
  void add_manifest(const std::string& repository, const std::string& raw) { tag(repository + ":" + Digest::of(raw).str(), raw); }
  void add_blob(const std::string& raw) {
    std::lock_guard lock(mutex_);
    blobs_[Digest::of(raw).str()] = raw;
  }
  // The usual image: two platforms and BuildKit's attestation.
  void tag_two_platforms(const std::string& name) {
    std::string arm = manifest_of(config_of("arm64")), amd = manifest_of(config_of("amd64")), none = manifest_of("{}");
    Descriptor attestation = entry(none, nullptr);
    attestation.platform = Platform{"unknown", "unknown"};
    tag(name, index_of({entry(amd, "linux/amd64"), entry(arm, "linux/arm64"), attestation}));
  }
  void tag_lone(const std::string& name, const std::string& architecture) {
    add_blob(config_of(architecture));
    tag(name, manifest_of(config_of(architecture)));
  }
  std::string host() const { return server_.host(); }
  std::vector<std::string> log() { return server_.log(); }
  size_t requests() { return server_.requests().size(); }
  std::vector<RawRequest> all() { return server_.requests(); }

 private:
  std::string answer(const RawRequest& request) {
    if (veto_) {
      if (std::string other = veto_(request); !other.empty()) return other;
    }
    std::lock_guard lock(mutex_);
    if (request.target == "/v2/") return RawServer::reply(200);
    for (std::string_view kind : {"/manifests/", "/blobs/"}) {
      size_t at = request.target.find(kind);
      if (at == std::string::npos) continue;
      std::string what = request.target.substr(at + kind.size());
      auto& from = kind == "/blobs/" ? blobs_ : manifests_;
      auto found = from.find(kind == "/blobs/" ? what : request.target.substr(4, at - 4) + ":" + what);
      if (found == from.end()) return RawServer::reply(404, "", "{\"errors\":[{\"code\":\"MANIFEST_UNKNOWN\",\"message\":\"manifest unknown\"}]}");
      std::string head = "Docker-Content-Digest: " + Digest::of(found->second).str() + "\r\n";
      if (kind == "/manifests/") head += "Content-Type: " + detect_media_type(found->second).value() + "\r\n";
      return RawServer::reply(200, head, found->second);
    }
    return RawServer::reply(404);
  }
  Veto veto_;
  std::mutex mutex_;
  std::map<std::string, std::string> manifests_, blobs_;
  RawServer server_;
};

ImageLookupOptions options_for(const TinyRegistry& registry, FakeClock* clock = nullptr) {
  ImageLookupOptions options;
  options.registry.plain_http.insert(registry.host());
  options.registry.sleep = [](std::chrono::milliseconds, std::stop_token) {};
  options.clock = clock;
  return options;
}

std::vector<std::string> platforms(const ImageFacts& facts) {
  std::vector<std::string> names;
  for (const Platform& platform : facts.truth.platforms) names.push_back(platform.str());
  return names;
}

using Names = std::vector<std::string>;

std::string docker_config(const std::string& host, const std::string& user, const std::string& password) {
  return "{\"auths\":{\"" + host + "\":{\"username\":\"" + user + "\",\"password\":\"" + password + "\"}}}";
}

std::string basic(const std::string& user, const std::string& password) { return "Basic " + base64_encode(user + ":" + password); }

TEST(ImageLookup, AsksOnceForAnIndexAndTwiceForALoneImage) {
  TinyRegistry registry;
  registry.tag_two_platforms("a/index:1");
  registry.tag_lone("a/lone:1", "riscv64");
  auto lookup = *ImageLookup::open(options_for(registry));
  auto index = lookup->look_up(registry.host() + "/a/index:1");
  ASSERT_TRUE(index.ok()) << index.error().message;
  EXPECT_TRUE((*index)->is_index);
  EXPECT_EQ(platforms(**index), (Names{"linux/amd64", "linux/arm64"}));
  EXPECT_EQ((*index)->images.size(), 2u);
  EXPECT_EQ((*index)->images[1].manifest, Digest::of(manifest_of(config_of("arm64"))));
  EXPECT_EQ(registry.log(), Names{"GET /v2/a/index/manifests/1"});

  auto lone = lookup->look_up(registry.host() + "/a/lone:1");
  ASSERT_TRUE(lone.ok()) << lone.error().message;
  EXPECT_FALSE((*lone)->is_index);
  EXPECT_EQ(platforms(**lone), Names{"linux/riscv64"});
  EXPECT_EQ((*lone)->images[0].manifest, *(*lone)->truth.digest);
  EXPECT_EQ(registry.requests(), 3u);
  EXPECT_EQ(lookup->counters().registry_requests, 3u);
  EXPECT_EQ(lookup->counters().entries, 2u);
}

TEST(ImageLookup, EqualSpellingsAreOneImage) {
  TinyRegistry registry;
  registry.tag_two_platforms("library/nginx:latest");
  auto options = options_for(registry);
  options.registry.mirrors["docker.io"] = "http://" + registry.host();
  auto lookup = *ImageLookup::open(options);
  auto all = lookup->look_up_all({"nginx", "docker.io/nginx", "docker.io/library/nginx:latest", "index.docker.io/library/nginx", "nginx:latest"});
  for (const auto& each : all) ASSERT_TRUE(each.ok()) << each.error().message;
  EXPECT_EQ(registry.requests(), 1u);
  EXPECT_TRUE(lookup->look_up("library/nginx").ok());
  EXPECT_EQ(registry.requests(), 1u);
  EXPECT_EQ(lookup->counters().joined, 4u);
}

TEST(ImageLookup, AskedByManyAtOnceItAsksOnce) {
  std::latch arrived(1);
  std::atomic<bool> waited{false};
  TinyRegistry registry([&](const RawRequest&) {
    if (!waited.exchange(true)) arrived.wait();
    return std::string();
  });
  registry.tag_two_platforms("a/b:1");
  auto lookup = *ImageLookup::open(options_for(registry));
  std::vector<std::jthread> threads;
  std::atomic<int> right{0};
  for (int i = 0; i < 20; ++i) {
    threads.emplace_back([&] { right += lookup->look_up(registry.host() + "/a/b:1").ok(); });
  }
  while (lookup->counters().joined < 19) std::this_thread::yield();
  arrived.count_down();
  threads.clear();
  EXPECT_EQ(right, 20);
  EXPECT_EQ(registry.requests(), 1u);
}

TEST(ImageLookup, RevalidatesATagWithHeadOnly) {
  TinyRegistry registry;
  FakeClock clock;
  registry.tag_lone("a/b:1", "amd64");
  auto lookup = *ImageLookup::open(options_for(registry, &clock));
  std::string name = registry.host() + "/a/b:1";
  ASSERT_TRUE(lookup->look_up(name).ok());
  clock.pass(59min);
  ASSERT_TRUE(lookup->look_up(name).ok());
  EXPECT_EQ(registry.requests(), 2u);
  clock.pass(1min);
  EXPECT_EQ(lookup->peek(name), nullptr) << "no longer fresh";
  ASSERT_TRUE(lookup->look_up(name).ok());
  EXPECT_EQ(registry.log().back(), "HEAD /v2/a/b/manifests/1");
  EXPECT_EQ(registry.requests(), 3u);
  EXPECT_NE(lookup->peek(name), nullptr);
  // The tag moves: what the HEAD says is unknown yet.
  registry.tag_lone("a/b:1", "arm64");
  clock.pass(2h);
  EXPECT_EQ(platforms(**lookup->look_up(name)), Names{"linux/arm64"});
  EXPECT_EQ(registry.requests(), 6u);
}

TEST(ImageLookup, ADigestIsNeverAskedForAgain) {
  TinyRegistry registry;
  FakeClock clock;
  registry.tag_lone("a/b:1", "amd64");
  std::string digest = Digest::of(manifest_of(config_of("amd64"))).str();
  auto lookup = *ImageLookup::open(options_for(registry, &clock));
  ASSERT_TRUE(lookup->look_up(registry.host() + "/a/b@" + digest).ok());
  clock.pass(10'000h);
  ASSERT_TRUE(lookup->look_up(registry.host() + "/a/b:other@" + digest).ok()) << "a tag beside a digest does not count";
  EXPECT_EQ(registry.requests(), 2u);
}

TEST(ImageLookup, LeavesOutWhatIsNoImage) {
  TinyRegistry registry;
  std::string arm_config = config_of("arm64"), arm = manifest_of(arm_config), helm = manifest_of("{}", "application/vnd.cncf.helm.config.v1+json");
  std::string signature = write_manifest({std::string(media_type::kOciManifest), descriptor_of(media_type::kOciConfig, "{}"),
                                          {descriptor_of("application/vnd.dev.cosign.simplesigning.v1+json", "x")}});
  registry.add_blob(arm_config);
  for (const std::string& raw : {arm, helm, signature}) registry.add_manifest("a/b", raw);
  Descriptor annotated = entry(manifest_of("{\"a\":1}"), "linux/amd64"), artifact = entry(manifest_of("{\"b\":1}"), nullptr), gone = entry(manifest_of("{\"c\":1}"), nullptr);
  annotated.annotations = {{"vnd.docker.reference.type", "attestation-manifest"}};
  artifact.artifact_type = "application/vnd.example.sbom";
  registry.tag("a/b:1", index_of({annotated, artifact, gone, entry(helm, nullptr), entry(signature, nullptr), entry(arm, nullptr)}));
  registry.tag("a/b:chart", helm);
  registry.tag("a/b:sig", signature);
  auto lookup = *ImageLookup::open(options_for(registry));
  auto facts = lookup->look_up(registry.host() + "/a/b:1");
  ASSERT_TRUE(facts.ok()) << facts.error().message;
  EXPECT_EQ(platforms(**facts), Names{"linux/arm64"});
  for (const char* name : {"/a/b:chart", "/a/b:sig"}) {
    auto none = lookup->look_up(registry.host() + name);
    ASSERT_TRUE(none.ok()) << none.error().message;
    EXPECT_TRUE((*none)->images.empty() && (*none)->truth.platforms.empty());
  }
}

TEST(ImageLookup, FollowsNestedIndexesToALimit) {
  TinyRegistry registry;
  auto nested = [&](size_t depth) {
    std::string raw = index_of({entry(manifest_of(config_of("arm64")), "linux/arm64")});
    for (size_t i = 1; i < depth; ++i) {
      registry.add_manifest("a/b", raw);
      raw = index_of({descriptor_of(media_type::kOciIndex, raw)});
    }
    return raw;
  };
  registry.tag("a/b:just", nested(kMaxIndexDepth));
  registry.tag("a/b:over", nested(kMaxIndexDepth + 1));
  auto lookup = *ImageLookup::open(options_for(registry));
  EXPECT_EQ(platforms(**lookup->look_up(registry.host() + "/a/b:just")), Names{"linux/arm64"});
  EXPECT_EQ(lookup->look_up(registry.host() + "/a/b:over").error().code, Code::Invalid);
}

TEST(ImageLookup, LimitsTheRequestsThatOneImageMayCost) {
  TinyRegistry registry;
  auto with = [&](size_t count) {
    std::vector<Descriptor> entries;
    for (size_t i = 0; i < count; ++i) {
      std::string raw = manifest_of("{\"n\":" + std::to_string(i) + "}", "application/x-other");
      registry.add_manifest("a/b", raw);
      entries.push_back(entry(raw, nullptr));
    }
    return index_of(entries);
  };
  registry.tag("a/b:just", with(kMaxIndexRequests));
  registry.tag("a/b:over", with(kMaxIndexRequests + 1));
  auto lookup = *ImageLookup::open(options_for(registry));
  EXPECT_TRUE(lookup->look_up(registry.host() + "/a/b:just").ok());
  EXPECT_EQ(lookup->look_up(registry.host() + "/a/b:over").error().code, Code::Invalid);
}

TEST(ImageLookup, LimitsBodies) {
  TinyRegistry registry;
  auto padded = [&](uint64_t size) {
    std::string raw = index_of({entry(manifest_of(config_of("arm64")), "linux/arm64")});
    raw.insert(raw.size() - 1, std::string(size - raw.size(), ' '));
    return raw;
  };
  registry.tag("a/b:just", padded(kMaxLookupBytes));
  registry.tag("a/b:over", padded(kMaxLookupBytes + 1));
  auto lookup = *ImageLookup::open(options_for(registry));
  EXPECT_TRUE(lookup->look_up(registry.host() + "/a/b:just").ok());
  EXPECT_EQ(lookup->look_up(registry.host() + "/a/b:over").error().code, Code::Invalid);
}

TEST(ImageLookup, RemembersFailuresForAWhile) {
  std::atomic<int> status{404};
  TinyRegistry registry([&](const RawRequest&) { return status == 0 ? std::string() : RawServer::reply(status); });
  FakeClock clock;
  registry.tag_lone("a/b:1", "arm64");
  auto options = options_for(registry, &clock);
  options.registry.max_attempts = 1;
  auto lookup = *ImageLookup::open(options);
  std::string name = registry.host() + "/a/b:1";
  EXPECT_EQ(lookup->look_up(name).error().code, Code::NotFound);
  EXPECT_EQ(lookup->look_up(name).error().code, Code::NotFound);
  EXPECT_EQ(registry.requests(), 1u);
  clock.pass(60s);
  status = 503;
  EXPECT_EQ(lookup->look_up(name).error().code, Code::Unavailable);
  EXPECT_EQ(lookup->look_up(name).error().code, Code::Unavailable);
  EXPECT_EQ(registry.requests(), 2u);
  clock.pass(6s);
  status = 0;
  EXPECT_TRUE(lookup->look_up(name).ok());
  EXPECT_EQ(lookup->counters().registry_errors, 2u);
}

TEST(ImageLookup, AnOlderAnswerIsBetterThanNone) {
  std::atomic<int> status{0};
  TinyRegistry registry([&](const RawRequest&) { return status == 0 ? std::string() : RawServer::reply(status); });
  FakeClock clock;
  registry.tag_lone("a/b:1", "arm64");
  auto options = options_for(registry, &clock);
  options.registry.max_attempts = 1;
  auto lookup = *ImageLookup::open(options);
  std::string name = registry.host() + "/a/b:1";
  ASSERT_TRUE(lookup->look_up(name).ok());
  clock.pass(2h);
  status = 503;
  EXPECT_TRUE(lookup->look_up(name).ok());
  EXPECT_TRUE(lookup->look_up(name).ok());
  EXPECT_EQ(registry.requests(), 3u) << "that it is Unavailable is remembered all the same";
  clock.pass(23h);
  EXPECT_EQ(lookup->look_up(name).error().code, Code::Unavailable);
  status = 404;
  clock.pass(60s);
  EXPECT_EQ(lookup->look_up(name).error().code, Code::NotFound);
}

TEST(ImageLookup, TellsOneKeychainNothingOfAnother) {
  TinyRegistry registry([&](const RawRequest& request) {
    std::string given = request.header("Authorization");
    bool good = given == basic("alice", "a") || given == basic("carol", "c");
    return good ? std::string() : RawServer::reply(401, "WWW-Authenticate: Basic realm=\"x\"\r\n");
  });
  registry.tag_lone("a/b:1", "arm64");
  std::string name = registry.host() + "/a/b:1";
  auto lookup = *ImageLookup::open(options_for(registry));
  Keychain alice{{docker_config(registry.host(), "alice", "a")}}, bob{{docker_config(registry.host(), "bob", "b")}}, carol{{docker_config(registry.host(), "carol", "c")}};
  ASSERT_TRUE(lookup->look_up(name, alice).ok());
  EXPECT_EQ(lookup->peek(name), nullptr);
  EXPECT_EQ(lookup->peek(name, bob), nullptr);
  EXPECT_EQ(lookup->look_up(name).error().code, Code::Unauthorized);
  EXPECT_EQ(lookup->look_up(name, bob).error().code, Code::Unauthorized);
  std::string by_digest = registry.host() + "/a/b@" + (*lookup->look_up(name, alice))->truth.digest->str();
  EXPECT_EQ(lookup->look_up(by_digest, bob).error().code, Code::Unauthorized) << "not even by its digest";
  size_t before = registry.requests();
  EXPECT_TRUE(lookup->look_up(by_digest, carol).ok());
  auto log = registry.log();
  for (size_t i = before; i < log.size(); ++i) EXPECT_TRUE(log[i].starts_with("HEAD")) << "what a digest holds is known; whether carol may see it is not: " << log[i];
  EXPECT_NE(lookup->peek(by_digest, carol), nullptr);
}

TEST(ImageLookup, TriesCredentialsInTheirOrder) {
  TinyRegistry registry([&](const RawRequest& request) {
    return request.header("Authorization") == basic("good", "p") ? std::string() : RawServer::reply(401, "WWW-Authenticate: Basic realm=\"x\"\r\n");
  });
  registry.tag_lone("team/app:1", "arm64");
  registry.tag_lone("team/old:1", "arm64");
  std::string host = registry.host();
  auto lookup = *ImageLookup::open(options_for(registry));
  // The path is more specific than the host.
  EXPECT_TRUE(lookup->look_up(host + "/team/app:1", {{docker_config(host, "bad", "p"), docker_config(host + "/team", "good", "p")}}).ok());
  EXPECT_TRUE(lookup->look_up(host + "/team/old:1", {{docker_config(host + "/team", "bad", "p"), docker_config(host, "good", "p")}}).ok()) << "a bad one is no end";
  auto options = options_for(registry);
  options.registry.docker_config = *DockerConfig::parse(docker_config(host, "good", "p"));
  auto own = *ImageLookup::open(options);
  EXPECT_TRUE(own->look_up(host + "/team/app:1", {{docker_config(host, "bad", "p")}}).ok()) << "the client's own is the last resort";
  auto client = own->client(host + "/team/app:1", {{docker_config(host, "bad", "p")}});
  ASSERT_TRUE(client.ok());
  EXPECT_TRUE((*client)->resolve(*Reference::parse(host + "/team/app:1")).ok()) << "and the one that works reads content";
}

TEST(ImageLookup, SecretsThatCannotBeReadAreInvalid) {
  TinyRegistry registry;
  auto lookup = *ImageLookup::open(options_for(registry));
  EXPECT_EQ(lookup->look_up(registry.host() + "/a:1", {{"no json"}}).error().code, Code::Invalid);
  EXPECT_EQ(lookup->look_up("no reference!").error().code, Code::Invalid);
  EXPECT_EQ(registry.requests(), 0u);
}

TEST(ImageLookup, AsksNobodyForWhatIsKnown) {
  TinyRegistry registry;
  auto options = options_for(registry);
  Digest digest = Digest::of("x");
  options.known.images["nginx"] = {.digest = digest, .platforms = {*parse_platform("linux/arm64")}};
  auto lookup = *ImageLookup::open(options);
  for (const std::string& name : Names{"nginx", "docker.io/library/nginx:latest", "nginx@" + digest.str(), "nginx:1.2@" + digest.str()}) {
    auto facts = lookup->look_up(name);
    ASSERT_TRUE(facts.ok()) << name << facts.error().message;
    EXPECT_EQ(platforms(**facts), Names{"linux/arm64"});
    EXPECT_NE(lookup->peek(name), nullptr) << name;
  }
  EXPECT_EQ(lookup->counters().from_known, 4u);
  EXPECT_EQ(registry.requests(), 0u);
}

TEST(ImageLookup, JoinsVerdictsByContent) {
  auto dir = *TempDir::create("/tmp", "lookup-test-");
  TinyRegistry registry;
  registry.tag_two_platforms("a/b:1");
  registry.tag_two_platforms("c/d:2");
  auto options = options_for(registry);
  options.cache_dir = dir.path();
  auto lookup = *ImageLookup::open(options);
  Digest arm = Digest::of(manifest_of(config_of("arm64")));
  ASSERT_TRUE(lookup->look_up(registry.host() + "/a/b:1").ok());
  ASSERT_TRUE(lookup->remember_wrong(arm, {*parse_platform("linux/arm64"), "/app is x86-64"}).ok());
  ASSERT_TRUE(lookup->remember_wrong(arm, {*parse_platform("linux/amd64"), "not what the index says of it"}).ok());
  for (const char* name : {"/a/b:1", "/c/d:2"}) {
    auto facts = *lookup->look_up(registry.host() + name);
    ASSERT_EQ(facts->truth.wrong.size(), 1u) << name;
    EXPECT_EQ(facts->truth.wrong[0].why, "/app is x86-64");
    EXPECT_FALSE(facts->truth.runs_on(*parse_platform("linux/arm64")));
    EXPECT_TRUE(facts->truth.runs_on(*parse_platform("linux/amd64")));
  }
  lookup.reset();
  lookup = *ImageLookup::open(options);
  EXPECT_EQ((*lookup->look_up(registry.host() + "/a/b:1"))->truth.wrong.size(), 1u) << "and they are kept";
}

TEST(ImageLookup, AWarmRunAsksNobody) {
  auto dir = *TempDir::create("/tmp", "lookup-test-");
  TinyRegistry registry;
  FakeClock clock;
  std::vector<std::string> names;
  for (int i = 0; i < 50; ++i) {
    registry.tag_two_platforms("a/b" + std::to_string(i) + ":1");
    names.push_back(registry.host() + "/a/b" + std::to_string(i) + ":1");
  }
  auto options = options_for(registry, &clock);
  options.cache_dir = dir.path();
  std::atomic<size_t> last{0};
  auto first = (*ImageLookup::open(options))->look_up_all(names, {}, [&](size_t count) { last = count; });
  EXPECT_EQ(last, 50u);
  EXPECT_EQ(registry.requests(), 50u);
  auto lookup = *ImageLookup::open(options);
  EXPECT_EQ(lookup->peek(names[0]), nullptr) << "peek does not read the disk";
  auto again = lookup->look_up_all(names);
  for (size_t i = 0; i < names.size(); ++i) EXPECT_EQ(**again[i], **first[i]);
  EXPECT_EQ(lookup->counters().from_disk, 50u);
  EXPECT_EQ(registry.requests(), 50u);
  // What is old is asked for by HEAD; offline it is good enough.
  clock.pass(2h);
  options.offline = true;
  EXPECT_TRUE((*ImageLookup::open(options))->look_up(names[0]).ok());
  EXPECT_EQ((*ImageLookup::open(options))->look_up(registry.host() + "/never/seen:1").error().code, Code::Unavailable);
  options.offline = false;
  EXPECT_TRUE((*ImageLookup::open(options))->look_up(names[0]).ok());
  EXPECT_EQ(registry.log().back(), "HEAD /v2/a/b0/manifests/1");
}

TEST(ImageLookup, OnDiskKeychainsStayApartToo) {
  auto dir = *TempDir::create("/tmp", "lookup-test-");
  TinyRegistry registry([&](const RawRequest& request) {
    return request.header("Authorization") == basic("alice", "a") ? std::string() : RawServer::reply(401, "WWW-Authenticate: Basic realm=\"x\"\r\n");
  });
  registry.tag_lone("a/b:1", "arm64");
  auto options = options_for(registry);
  options.cache_dir = dir.path();
  std::string name = registry.host() + "/a/b:1";
  ASSERT_TRUE((*ImageLookup::open(options))->look_up(name, {{docker_config(registry.host(), "alice", "a")}}).ok());
  auto lookup = *ImageLookup::open(options);
  EXPECT_EQ(lookup->look_up(name).error().code, Code::Unauthorized);
  EXPECT_TRUE(lookup->look_up(name, {{docker_config(registry.host(), "alice", "a")}}).ok());
  EXPECT_EQ(lookup->counters().from_disk, 1u);
  std::string raw = *read_file(dir / "lookups.sqlite", 64 << 20);
  raw += read_file(dir / "lookups.sqlite-wal", 64 << 20).value_or("");
  EXPECT_EQ(raw.find("alice"), std::string::npos) << "no credentials on disk";
}

TEST(ImageLookup, LeavesAtItsDeadlineAndTheRequestGoesOn) {
  std::latch go(1);
  TinyRegistry registry([&](const RawRequest&) {
    go.wait();
    return std::string();
  });
  registry.tag_two_platforms("a/b:1");
  auto lookup = *ImageLookup::open(options_for(registry));
  std::string name = registry.host() + "/a/b:1";
  auto late = lookup->look_up(name, {}, std::chrono::steady_clock::now());
  EXPECT_EQ(late.error().code, Code::Unavailable);
  go.count_down();
  EXPECT_TRUE(lookup->look_up(name).ok());
  EXPECT_EQ(registry.requests(), 1u);
}

TEST(ImageLookup, StopsWhenEverybodyHasLeft) {
  std::latch arrived(1), go(1);
  TinyRegistry registry([&](const RawRequest&) {
    arrived.count_down();
    go.wait();
    return std::string();
  });
  registry.tag_two_platforms("a/b:1");
  auto lookup = *ImageLookup::open(options_for(registry));
  std::stop_source stop;
  std::jthread asks([&] { EXPECT_EQ(lookup->look_up(registry.host() + "/a/b:1", {}, {}, stop.get_token()).error().code, Code::Cancelled); });
  arrived.wait();
  stop.request_stop();
  asks.join();
  lookup.reset();  // does not wait for the registry, which still thinks
  go.count_down();
}

TEST(ImageLookup, AListStopsAtOnce) {
  std::latch arrived(1), go(1);
  std::atomic<bool> first{true};
  TinyRegistry registry([&](const RawRequest&) {
    if (first.exchange(false)) arrived.count_down();
    go.wait();
    return std::string();
  });
  auto lookup = *ImageLookup::open(options_for(registry));
  std::vector<std::string> names;
  for (int i = 0; i < 100; ++i) names.push_back(registry.host() + "/a/b" + std::to_string(i) + ":1");
  std::stop_source stop;
  std::jthread asks([&] {
    for (const auto& result : lookup->look_up_all(names, {}, {}, stop.get_token())) EXPECT_EQ(result.error().code, Code::Cancelled);
  });
  arrived.wait();
  stop.request_stop();
  asks.join();
  go.count_down();
}

TEST(ImageLookup, KeepsToItsShareOfAHost) {
  std::atomic<int> now{0}, most{0}, all{0};
  std::latch enough(3);
  TinyRegistry registry([&](const RawRequest&) {
    int here = ++now;
    for (int seen = most; here > seen && !most.compare_exchange_weak(seen, here);) {
    }
    if (all++ < 3) enough.count_down();
    enough.wait();  // until as many are here at once as may be
    --now;
    return std::string();
  });
  auto options = options_for(registry);
  options.max_in_flight_per_host = 3;
  auto lookup = *ImageLookup::open(options);
  std::vector<std::string> names;
  for (int i = 0; i < 30; ++i) {
    registry.tag_two_platforms("a/b" + std::to_string(i) + ":1");
    names.push_back(registry.host() + "/a/b" + std::to_string(i) + ":1");
  }
  for (const auto& result : lookup->look_up_all(names)) EXPECT_TRUE(result.ok());
  EXPECT_EQ(most, 3);
}

TEST(ImageLookup, ASlowHostDoesNotHoldUpAnother) {
  std::latch go(1);
  TinyRegistry slow([&](const RawRequest&) {
    go.wait();
    return std::string();
  });
  TinyRegistry quick;
  quick.tag_two_platforms("a/b:1");
  auto options = options_for(slow);
  options.registry.plain_http.insert(quick.host());
  auto lookup = *ImageLookup::open(options);
  std::vector<std::string> names;
  for (int i = 0; i < 100; ++i) names.push_back(slow.host() + "/a/b" + std::to_string(i) + ":1");
  std::jthread asks([&] { lookup->look_up_all(names); });
  while (lookup->counters().registry_requests < 16) std::this_thread::yield();
  EXPECT_TRUE(lookup->look_up(quick.host() + "/a/b:1").ok());
  go.count_down();
}

TEST(ImageLookup, StopsKnockingWhereNobodyAnswers) {
  TinyRegistry registry;
  std::string dead;
  {
    TinyRegistry gone;
    dead = gone.host();
  }
  auto options = options_for(registry);
  options.registry.plain_http.insert(dead);
  options.max_in_flight_per_host = 1;
  auto lookup = *ImageLookup::open(options);
  std::vector<std::string> names;
  for (int i = 0; i < 30; ++i) names.push_back(dead + "/a" + std::to_string(i) + ":1");
  for (const auto& result : lookup->look_up_all(names)) EXPECT_EQ(result.error().code, Code::Unavailable);
  EXPECT_LT(lookup->counters().registry_requests, 30u) << "not even once for each";
  registry.tag_lone("a:1", "arm64");
  EXPECT_TRUE(lookup->look_up(registry.host() + "/a:1").ok()) << "others are asked as ever";
}

TEST(ImageLookup, ComesBackWhenTheRegistrySaysSo) {
  std::atomic<int> count{0};
  TinyRegistry registry([&](const RawRequest&) { return count++ == 0 ? RawServer::reply(429, "Retry-After: 1\r\n") : std::string(); });
  registry.tag_two_platforms("a/b:1");
  auto lookup = *ImageLookup::open(options_for(registry));
  auto begin = std::chrono::steady_clock::now();
  EXPECT_TRUE(lookup->look_up(registry.host() + "/a/b:1").ok());
  EXPECT_GE(std::chrono::steady_clock::now() - begin, 900ms);
  EXPECT_EQ(registry.requests(), 2u);
}

TEST(ImageLookup, DoesNotComeBackWhenThatIsTooLate) {
  TinyRegistry registry([&](const RawRequest&) { return RawServer::reply(429, "Retry-After: 3600\r\nRateLimit-Limit: 100;w=21600\r\nRateLimit-Remaining: 0;w=21600\r\n"); });
  auto lookup = *ImageLookup::open(options_for(registry));
  auto first = lookup->look_up(registry.host() + "/a/b:1");
  EXPECT_EQ(first.error().code, Code::Unavailable);
  EXPECT_NE(first.error().message.find("rate limit"), std::string::npos) << first.error().message;
  EXPECT_EQ(lookup->look_up(registry.host() + "/a/c:1").error().code, Code::Unavailable);
  EXPECT_EQ(registry.requests(), 1u) << "the second was not even asked for";
  EXPECT_EQ(lookup->rate_limit(registry.host())->limit, 100);
}

TEST(ImageLookup, SparesWhatIsLeftOfALimit) {
  FakeClock clock;
  std::atomic<int> left{2};
  TinyRegistry registry;
  RawServer limited([&](const RawRequest& request, int) {
    std::string raw = index_of({entry(manifest_of(config_of("arm64")), "linux/arm64")});
    if (request.method == "GET") --left;
    return RawServer::reply(200, "Content-Type: " + std::string(media_type::kOciIndex) + "\r\nDocker-Content-Digest: " + Digest::of(raw).str() + "\r\nRateLimit-Limit: 2;w=60\r\nRateLimit-Remaining: " +
                                     std::to_string(left) + ";w=60\r\n", raw);
  });
  auto options = options_for(registry, &clock);
  options.registry.plain_http.insert(limited.host());
  auto lookup = *ImageLookup::open(options);
  EXPECT_TRUE(lookup->look_up(limited.host() + "/a:1").ok());
  EXPECT_TRUE(lookup->look_up(limited.host() + "/b:1").ok());
  auto third = lookup->look_up(limited.host() + "/c:1");
  EXPECT_EQ(third.error().code, Code::Unavailable);
  EXPECT_NE(third.error().hint.find("archway login"), std::string::npos);
  EXPECT_EQ(limited.requests().size(), 2u);
  clock.pass(2h);
  EXPECT_TRUE(lookup->look_up(limited.host() + "/a:1").ok()) << "a HEAD does not count";
}

// Docker Hub, as far as its limit goes: `left` manifests, then 429.
class LimitedHub {
 public:
  explicit LimitedHub(int left) : left_(left) {}
  std::atomic<int> gets{0}, refused{0};
  RawServer server{[this](const RawRequest& request, int) {
    std::string raw = index_of({entry(manifest_of(config_of("arm64")), "linux/arm64")});
    int now = request.method == "GET" ? --left_ : left_.load();
    std::string limit = "RateLimit-Limit: 100;w=21600\r\nRateLimit-Remaining: " + std::to_string(std::max(now, 0)) + ";w=21600\r\n";
    if (request.method == "GET") ++gets;
    if (now < 0) {
      ++refused;
      return RawServer::reply(429, "Retry-After: 21600\r\n" + limit);
    }
    return RawServer::reply(200, "Content-Type: " + std::string(media_type::kOciIndex) + "\r\nDocker-Content-Digest: " + Digest::of(raw).str() + "\r\n" + limit, raw);
  }};

 private:
  std::atomic<int> left_;
};

TEST(ImageLookup, StopsBeforeALimitIsOverrun) {
  LimitedHub hub(5);
  TinyRegistry none;
  Sync<std::vector<std::string>> warnings;
  auto options = options_for(none);
  options.registry.mirrors["docker.io"] = "http://" + hub.server.host();
  options.registry.warn = [&](const std::string& text) { warnings.lock()->push_back(text); };
  auto lookup = *ImageLookup::open(options);
  std::vector<std::string> names;
  for (int i = 0; i < 40; ++i) names.push_back("team/app:" + std::to_string(i));
  auto facts = lookup->look_up_all(names);
  size_t found = static_cast<size_t>(std::count_if(facts.begin(), facts.end(), [](const auto& each) { return each.ok(); }));
  EXPECT_EQ(found, 5u);
  EXPECT_EQ(hub.gets, 5);
  EXPECT_EQ(hub.refused, 0) << "nobody had to refuse us";
  ASSERT_EQ(warnings.lock()->size(), 1u);
  // It is said as soon as more are known to wait than are left: how many that is depends on who was quicker.
  std::string plan = warnings.lock()->at(0);
  EXPECT_TRUE(plan.starts_with("docker.io: it lets ")) << plan;
  EXPECT_NE(plan.find(" more requests through, of 100 in 6 hours, and "), std::string::npos) << plan;
}

TEST(ImageLookup, ALimitThatSufficesIsNoNews) {
  LimitedHub hub(60);
  TinyRegistry none;
  auto options = options_for(none);
  options.registry.mirrors["docker.io"] = "http://" + hub.server.host();
  options.registry.warn = [](const std::string& text) { ADD_FAILURE() << text; };
  auto lookup = *ImageLookup::open(options);
  std::vector<std::string> names;
  for (int i = 0; i < 60; ++i) names.push_back("team/app:" + std::to_string(i));
  for (const auto& each : lookup->look_up_all(names)) EXPECT_TRUE(each.ok()) << "to the last one";
  EXPECT_EQ(hub.refused, 0);
}

TEST(ImageLookup, ReachesNoAddressThatIsDenied) {
  TinyRegistry inside;
  std::string port = inside.host().substr(inside.host().find(':') + 1);
  TinyRegistry outside([&](const RawRequest& request) {
    return request.target.find("/redirect/") != std::string::npos ? RawServer::reply(307, "Location: http://localhost:" + port + "/x\r\n") : std::string();
  });
  auto options = options_for(outside);
  options.registry.plain_http.insert("localhost:" + port);
  options.registry.http.reach = AddressPolicy::no_local();
  options.registry.http.reach.allowed_hosts = {"127.0.0.1"};
  auto lookup = *ImageLookup::open(options);
  for (const std::string& name : Names{"localhost:" + port + "/a:1", outside.host() + "/redirect/a:1", "169.254.169.254/latest:1", "[::1]:" + port + "/a:1"}) {
    auto refused = lookup->look_up(name);
    ASSERT_FALSE(refused.ok()) << name;
    EXPECT_NE(refused.error().code, Code::NotFound) << name << ": " << refused.error().message;
  }
  EXPECT_EQ(inside.requests(), 0u);
}

TEST(ImageLookup, ListsTags) {
  TinyRegistry registry([&](const RawRequest& request) { return request.target.find("/tags/list") != std::string::npos ? RawServer::reply(200, "", "{\"tags\":[\"1\",\"2\"]}") : std::string(); });
  auto lookup = *ImageLookup::open(options_for(registry));
  EXPECT_EQ(*lookup->tags(registry.host() + "/a"), (Names{"1", "2"}));
}

TEST(ImageLookup, ForgetsTheLeastUsed) {
  TinyRegistry registry;
  auto options = options_for(registry);
  options.max_entries = 2;
  auto lookup = *ImageLookup::open(options);
  for (const char* name : {"a", "b", "c"}) {
    registry.tag_lone(std::string(name) + ":1", name);
    ASSERT_TRUE(lookup->look_up(registry.host() + "/" + name + ":1").ok());
    if (*name == 'b') {
      EXPECT_NE(lookup->peek(registry.host() + "/a:1"), nullptr);
    }
  }
  EXPECT_NE(lookup->peek(registry.host() + "/a:1"), nullptr);
  EXPECT_EQ(lookup->peek(registry.host() + "/b:1"), nullptr);
  EXPECT_EQ(lookup->counters().entries, 2u);
}

// The disk.

ImageFacts some_facts(int number) {
  ImageFacts facts;
  facts.truth.digest = Digest::of("facts " + std::to_string(number));
  facts.is_index = number % 2;
  facts.truth.platforms = {*parse_platform("linux/arm64"), Platform{"windows", "amd64", "", "10.0.17763." + std::to_string(number), {"win32k"}}};
  for (const Platform& platform : facts.truth.platforms) facts.images.push_back({platform, Digest::of(platform.str())});
  return facts;
}

TEST(PackedFacts, AreReadBackAsTheyWere) {
  for (int i = 0; i < 3; ++i) EXPECT_EQ(*unpack_facts(pack_facts(some_facts(i))), some_facts(i));
  Digest sha512 = *Digest::parse("sha512:" + std::string(128, 'a'));
  EXPECT_EQ(unpack_digest(pack_digest(sha512)), sha512);
  ImageFacts empty;
  empty.truth.digest = sha512;
  EXPECT_EQ(*unpack_facts(pack_facts(empty)), empty);
}

TEST(PackedFacts, DamageIsNoticed) {
  std::string packed = pack_facts(some_facts(1));
  for (size_t i = 0; i < packed.size(); ++i) EXPECT_FALSE(unpack_facts(packed.substr(0, i))) << i;
  EXPECT_FALSE(unpack_facts(packed + "x"));
  EXPECT_FALSE(unpack_facts(std::string(2, '\1') + packed.substr(2, 33) + std::string(9, '\xff')));
}

TEST(LookupStore, IsSharedAndSurvives) {
  auto dir = *TempDir::create("/tmp", "lookup-test-");
  auto one = *LookupStore::open(dir.path()), two = *LookupStore::open(dir.path());
  EXPECT_EQ(one->salt(), two->salt());
  one->put("a", "", {Digest::of("x"), Time{7}}, "packed");
  EXPECT_EQ(two->name("a", "")->digest, Digest::of("x"));
  EXPECT_EQ(two->name("a", "")->checked, Time{7});
  EXPECT_FALSE(two->name("a", "who"));
  EXPECT_EQ(two->any_digest("a"), Digest::of("x"));
  EXPECT_EQ(two->facts(Digest::of("x")), "packed");
  EXPECT_FALSE(two->facts(Digest::of("y")));
}

TEST(LookupStore, BeginsAnewWhereTheFileIsDamaged) {
  auto dir = *TempDir::create("/tmp", "lookup-test-");
  for (std::string damage : {std::string("this is no database, and is longer than a header of one would be: 100 bytes or so, all of them text"), std::string(8192, '\0'), std::string("SQLite format 3\0garbage", 23)}) {
    ASSERT_TRUE(write_file_atomic(dir / "lookups.sqlite", damage).ok());
    auto store = LookupStore::open(dir.path());
    ASSERT_TRUE(store.ok()) << store.error().message;
    (*store)->put("a", "", {Digest::of("x"), Time{7}}, "packed");
    EXPECT_TRUE((*store)->name("a", ""));
    store->reset();
    for (const char* name : {"lookups.sqlite", "lookups.sqlite-wal", "lookups.sqlite-shm"}) ::unlink((dir / name).c_str());
  }
}

TEST(LookupStore, ACacheThatCannotBeWrittenIsDoneWithout) {
  std::vector<std::string> warnings;
  TinyRegistry registry;
  registry.tag_lone("a:1", "arm64");
  auto options = options_for(registry);
  options.cache_dir = "/proc/no-such-folder";
  options.registry.warn = [&](const std::string& text) { warnings.push_back(text); };
  auto lookup = *ImageLookup::open(options);
  EXPECT_TRUE(lookup->look_up(registry.host() + "/a:1").ok());
  EXPECT_EQ(warnings.size(), 1u);
}

// A writer is killed again and again: what it said was stored is there, and what is there is whole.
TEST(LookupStore, SurvivesBeingKilled) {
  auto dir = *TempDir::create("/tmp", "lookup-test-");
  { auto made = *LookupStore::open(dir.path()); }
  int next = 0;
  for (int round = 0; round < 8; ++round) {
    int fds[2];
    ASSERT_EQ(::pipe(fds), 0);
    Fd read_end(fds[0]), write_end(fds[1]);
    pid_t child = ::fork();
    if (child == 0) {
      auto store = LookupStore::open(dir.path());
      for (int i = next;; ++i) {
        ImageFacts facts = some_facts(i);
        (*store)->put("image-" + std::to_string(i), "", {*facts.truth.digest, Time{i}}, pack_facts(facts));
        if (::write(write_end.get(), "x", 1) != 1) ::_exit(1);
      }
    }
    write_end.reset();
    char told[64];
    int stored = 0;
    for (ssize_t n; stored < 20 + round && (n = ::read(read_end.get(), told, 1)) > 0;) stored += static_cast<int>(n);
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    for (ssize_t n; (n = ::read(read_end.get(), told, sizeof told)) > 0;) stored += static_cast<int>(n);
    auto store = LookupStore::open(dir.path());
    ASSERT_TRUE(store.ok()) << store.error().message;
    for (int i = next; i < next + stored; ++i) {
      auto name = (*store)->name("image-" + std::to_string(i), "");
      ASSERT_TRUE(name) << i;
      EXPECT_EQ(*unpack_facts((*store)->facts(name->digest).value_or("")), some_facts(i));
    }
    next += stored;
  }
}

}  // namespace
}  // namespace archway
