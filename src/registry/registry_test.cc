// The client against registries that lie, stall, break off, ask for credentials and send us elsewhere.
#include <gtest/gtest.h>

#include "image/copy.h"
#include "net/raw_server_fixture.h"
#include "registry/challenge.h"
#include "registry/client.h"
#include "registry/origin_guard.h"
#include "registry/response_headers.h"
#include "registry/transport.h"

namespace archway {
namespace {

using namespace std::chrono_literals;
using testing::RawRequest;
using testing::RawServer;

// What a client slept, instead of sleeping.
struct Waits {
  std::mutex mutex;
  std::vector<std::chrono::milliseconds> list;
};

RegistryOptions quick(Waits& waits) {
  RegistryOptions options;
  options.sleep = [&](std::chrono::milliseconds wait, std::stop_token) {
    std::lock_guard lock(waits.mutex);
    waits.list.push_back(wait);
  };
  return options;
}

Reference at(const RawServer& server, const std::string& rest) { return *Reference::parse(server.host() + rest); }

std::string manifest_text() {
  std::string d = Digest::of("x").str();
  return "{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\"config\":{\"mediaType\":\"application/vnd.oci.image.config.v1+json\",\"digest\":\"" + d +
         "\",\"size\":1},\"layers\":[]}";
}

std::string manifest_reply(const std::string& extra = "", const std::string& type = std::string(media_type::kOciManifest)) {
  return RawServer::reply(200, "Content-Type: " + type + "\r\n" + extra, manifest_text());
}

bool is_probe(const RawRequest& request) { return request.target == "/v2/"; }

// Pulls `blob` whole through the checks that every caller uses.
Result<std::string> pull(RegistryClient& client, const Reference& name, const Descriptor& blob) {
  return read_blob(*client.repository(name), blob, 64 << 20);
}

TEST(Registry, RefusesAManifestWhoseDigestIsALie) {
  Waits waits;
  RawServer server([](const RawRequest& request, int) {
    return is_probe(request) ? RawServer::reply(200) : manifest_reply("Docker-Content-Digest: " + Digest::of("other").str() + "\r\n");
  });
  auto client = *RegistryClient::create(quick(waits));
  EXPECT_EQ(client->resolve(at(server, "/a:1")).error().code, Code::Mismatch);
  EXPECT_EQ(client->resolve(at(server, "/a@" + Digest::of("third").str())).error().code, Code::Mismatch);
}

TEST(Registry, RefusesAManifestThatIsCalledSomethingElse) {
  Waits waits;
  RawServer server([](const RawRequest& request, int) {
    return is_probe(request) ? RawServer::reply(200) : manifest_reply("", std::string(media_type::kOciIndex));
  });
  EXPECT_EQ((*RegistryClient::create(quick(waits)))->resolve(at(server, "/a:1")).error().code, Code::Invalid);
}

TEST(Registry, LimitsManifests) {
  Waits waits;
  RawServer server([](const RawRequest& request, int) {
    if (is_probe(request)) return RawServer::reply(200);
    bool over = request.target.ends_with("over");
    std::string text = manifest_text();
    text.insert(text.size() - 1, std::string(kMaxManifestBytes - text.size() + (over ? 1 : 0), ' '));
    return RawServer::reply(200, "Content-Type: " + std::string(media_type::kOciManifest) + "\r\n", text);
  });
  auto client = *RegistryClient::create(quick(waits));
  EXPECT_TRUE(client->resolve(at(server, "/a:just")).ok());
  EXPECT_EQ(client->resolve(at(server, "/a:over")).error().code, Code::Invalid);
}

TEST(Registry, GoesOnWhereABlobBrokeOff) {
  Waits waits;
  std::string text(100'000, 'a');
  for (size_t i = 0; i < text.size(); i++) text[i] = static_cast<char>('a' + i * 7 % 26);
  Descriptor blob = descriptor_of(media_type::kOciLayerTar, text);
  RawServer server([&](const RawRequest& request, int fd) {
    if (is_probe(request)) return RawServer::reply(200);
    size_t from = 0;
    std::string range = request.header("Range");
    if (!range.empty()) from = *parse_uint(range.substr(6, range.size() - 7));
    std::string head = range.empty() ? "HTTP/1.1 200 OK\r\n"
                                     : "HTTP/1.1 206 X\r\nContent-Range: bytes " + std::to_string(from) + "-" + std::to_string(text.size() - 1) + "/" + std::to_string(text.size()) + "\r\n";
    head += "ETag: \"e\"\r\nContent-Length: " + std::to_string(text.size() - from) + "\r\n\r\n";
    (void)write_all(fd, as_bytes(head + text.substr(from, 30'000)));
    return std::string();
  });
  auto client = *RegistryClient::create(quick(waits));
  auto got = pull(*client, at(server, "/a"), blob);
  ASSERT_TRUE(got.ok()) << got.error().message;
  EXPECT_TRUE(*got == text);
  EXPECT_EQ(server.requests().back().header("If-Range"), "\"e\"");
  EXPECT_TRUE(waits.list.empty()) << "each connection brought something";
}

TEST(Registry, A200ToARangeIsReadFromTheStart) {
  Waits waits;
  std::string text = "0123456789abcdef";
  Descriptor blob = descriptor_of(media_type::kOciLayerTar, text);
  std::atomic<int> count{0};
  RawServer server([&](const RawRequest& request, int fd) {
    if (is_probe(request)) return RawServer::reply(200);
    if (count++ > 0) return RawServer::reply(200, "", text);
    (void)write_all(fd, as_bytes("HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n01234567"));
    return std::string();
  });
  auto got = pull(**RegistryClient::create(quick(waits)), at(server, "/a"), blob);
  ASSERT_TRUE(got.ok()) << got.error().message;
  EXPECT_EQ(*got, text);
}

TEST(Registry, AnotherPartThanAskedForIsAMismatch) {
  Waits waits;
  Descriptor blob = descriptor_of(media_type::kOciLayerTar, "0123456789abcdef");
  std::atomic<int> count{0};
  RawServer server([&](const RawRequest& request, int fd) {
    if (is_probe(request)) return RawServer::reply(200);
    if (count++ > 0) return RawServer::reply(206, "Content-Range: bytes 4-15/16\r\n", "456789abcdef");
    (void)write_all(fd, as_bytes("HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n01234567"));
    return std::string();
  });
  EXPECT_EQ(pull(**RegistryClient::create(quick(waits)), at(server, "/a"), blob).error().code, Code::Mismatch);
}

TEST(Registry, SizesOtherThanPromisedAreMismatches) {
  Waits waits;
  Descriptor blob = descriptor_of(media_type::kOciLayerTar, "0123456789");
  for (std::string body : {"012345678", "0123456789x", "0123456780", ""}) {
    for (bool chunked : {false, true}) {
      RawServer server([&](const RawRequest& request, int) {
        if (is_probe(request)) return RawServer::reply(200);
        if (!chunked) return RawServer::reply(200, "", body);
        std::string chunk = body.empty() ? "" : "0" + to_hex(std::string(1, static_cast<char>(body.size()))).substr(1) + "\r\n" + body + "\r\n";
        return "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk + "0\r\n\r\n";
      });
      auto got = pull(**RegistryClient::create(quick(waits)), at(server, "/a"), blob);
      ASSERT_FALSE(got.ok()) << body;
      EXPECT_EQ(got.error().code, Code::Mismatch) << body << ": " << got.error().message;
    }
  }
}

TEST(Registry, AStallEndsAsUnavailableAfterBoundedAttempts) {
  Waits waits;
  Descriptor blob = descriptor_of(media_type::kOciLayerTar, "0123456789");
  RawServer server([&](const RawRequest& request, int fd) {
    if (is_probe(request)) return RawServer::reply(200);
    (void)write_all(fd, as_bytes("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"));
    RawServer::wait_for_close(fd);
    return std::string();
  });
  RegistryOptions options = quick(waits);
  options.http.stall_timeout = 50ms;
  auto got = pull(**RegistryClient::create(options), at(server, "/a"), blob);
  ASSERT_FALSE(got.ok());
  EXPECT_EQ(got.error().code, Code::Unavailable);
  EXPECT_EQ(server.log().size(), 1u + 6u);  // the probe, the first, and five more
}

TEST(Registry, WaitsAsLongAsItIsTold) {
  Waits waits;
  std::atomic<int> count{0};
  RawServer server([&](const RawRequest& request, int) {
    if (is_probe(request)) return RawServer::reply(200);
    switch (count++) {
      case 0: return RawServer::reply(429, "Retry-After: 7\r\n");
      case 1: return RawServer::reply(503);
      default: return manifest_reply();
    }
  });
  EXPECT_TRUE((*RegistryClient::create(quick(waits)))->resolve(at(server, "/a:1")).ok());
  EXPECT_EQ(waits.list, (std::vector<std::chrono::milliseconds>{7s, 400ms}));
}

TEST(Registry, DoesNotWaitForHours) {
  Waits waits;
  RawServer server([&](const RawRequest& request, int) { return is_probe(request) ? RawServer::reply(200) : RawServer::reply(429, "Retry-After: 7200\r\n"); });
  auto got = (*RegistryClient::create(quick(waits)))->resolve(at(server, "/a:1"));
  ASSERT_FALSE(got.ok());
  EXPECT_EQ(got.error().code, Code::Unavailable);
  EXPECT_TRUE(waits.list.empty());
}

TEST(Registry, GivesUpAfterTheLastAttempt) {
  Waits waits;
  RawServer server([&](const RawRequest& request, int) { return is_probe(request) ? RawServer::reply(200) : RawServer::reply(502); });
  auto got = (*RegistryClient::create(quick(waits)))->resolve(at(server, "/a:1"));
  EXPECT_EQ(got.error().code, Code::Unavailable);
  EXPECT_EQ(server.log().size(), 1u + 5u);
  EXPECT_EQ(waits.list.size(), 4u);
}

// A registry behind tokens: asks for one, gives one.
struct TokenRegistry {
  std::atomic<int> tokens{0};
  std::string accepted = "t1";
  RawServer server;
  std::string answer(const RawRequest& request) {
    if (request.target.starts_with("/token")) {
      tokens++;
      return RawServer::reply(200, "", "{\"token\":\"" + accepted + "\",\"expires_in\":300}");
    }
    if (request.header("Authorization") != "Bearer " + accepted) {
      return RawServer::reply(401, "WWW-Authenticate: Bearer realm=\"http://" + request.header("Host") + "/token?x=y\",service=\"reg\",scope=\"repository:a:pull\"\r\n");
    }
    return is_probe(request) ? RawServer::reply(200) : manifest_reply();
  }
  TokenRegistry() : server([this](const RawRequest& request, int) { return answer(request); }) {}
};

TEST(Registry, FetchesATokenOnceAndAgainWhenItIsRefused) {
  Waits waits;
  TokenRegistry registry;
  auto client = *RegistryClient::create(quick(waits));
  EXPECT_TRUE(client->resolve(at(registry.server, "/a:1")).ok());
  EXPECT_TRUE(client->resolve(at(registry.server, "/a:2")).ok());
  EXPECT_EQ(registry.tokens, 1);
  auto log = registry.server.log();
  EXPECT_TRUE(std::count(log.begin(), log.end(), "GET /token?x=y&service=reg&scope=repository%3Aa%3Apull") == 1) << log[2];
  registry.accepted = "t2";
  EXPECT_TRUE(client->resolve(at(registry.server, "/a:3")).ok());
  EXPECT_EQ(registry.tokens, 2);
}

TEST(Registry, SendsCredentialsAndIdentityTokensToTheRealm) {
  Waits waits;
  TempDir dir = *TempDir::create("/tmp");
  for (bool identity : {false, true}) {
    TokenRegistry registry;
    RegistryOptions options = quick(waits);
    options.docker_config = *DockerConfig::load(dir / (identity ? "i.json" : "p.json"));
    ASSERT_TRUE(options.docker_config.store(registry.server.host(), identity ? Credentials{"", "", "refresh"} : Credentials{"u", "p", ""}).ok());
    EXPECT_TRUE((*RegistryClient::create(options))->resolve(at(registry.server, "/a:1")).ok());
    RawRequest asked;
    for (const RawRequest& request : registry.server.requests()) {
      if (request.target.starts_with("/token")) asked = request;
    }
    if (identity) {
      EXPECT_EQ(asked.method, "POST");
      EXPECT_EQ(asked.body, "service=reg&grant_type=refresh_token&client_id=archway&refresh_token=refresh&scope=repository%3Aa%3Apull");
    } else {
      EXPECT_EQ(asked.method, "GET");
      EXPECT_EQ(asked.header("Authorization"), "Basic " + base64_encode("u:p"));
    }
  }
}

TEST(Registry, ARefusedTokenIsUnauthorizedWithAHint) {
  Waits waits;
  TokenRegistry* self = nullptr;
  RawServer server([&](const RawRequest& request, int) {
    (void)self;
    if (request.target.starts_with("/token")) return RawServer::reply(200, "", "{\"token\":\"bad\"}");
    return RawServer::reply(401, "WWW-Authenticate: Bearer realm=\"http://" + request.header("Host") + "/token\"\r\n");
  });
  auto got = (*RegistryClient::create(quick(waits)))->resolve(at(server, "/a:1"));
  ASSERT_FALSE(got.ok());
  EXPECT_EQ(got.error().code, Code::Unauthorized);
  EXPECT_EQ(got.error().hint, "archway login " + server.host());
}

TEST(Registry, RedirectsLoseCredentials) {
  Waits waits;
  TempDir dir = *TempDir::create("/tmp");
  Descriptor blob = descriptor_of(media_type::kOciLayerTar, "payload");
  RawServer storage([](const RawRequest&, int) { return RawServer::reply(200, "", "payload"); });
  RawServer server([&](const RawRequest& request, int) {
    if (request.header("Authorization").empty()) return RawServer::reply(401, "WWW-Authenticate: Basic realm=\"x\"\r\n");
    if (is_probe(request)) return RawServer::reply(200);
    return RawServer::reply(307, "Location: http://" + storage.host() + "/signed?sig=1\r\n");
  });
  RegistryOptions options = quick(waits);
  options.docker_config = *DockerConfig::load(dir / "config.json");
  ASSERT_TRUE(options.docker_config.store(server.host(), {"u", "p", ""}).ok());
  auto got = pull(**RegistryClient::create(options), at(server, "/a"), blob);
  ASSERT_TRUE(got.ok()) << got.error().message;
  ASSERT_EQ(storage.requests().size(), 1u);
  EXPECT_EQ(storage.requests()[0].header("Authorization"), "");
  EXPECT_EQ(storage.requests()[0].target, "/signed?sig=1");
}

TEST(Registry, FollowsFiveRedirectsAndNotSix) {
  Waits waits;
  Descriptor blob = descriptor_of(media_type::kOciLayerTar, "payload");
  for (int length : {kMaxRedirects, kMaxRedirects + 1}) {
    RawServer server([&](const RawRequest& request, int) {
      if (is_probe(request)) return RawServer::reply(200);
      int n = request.target.starts_with("/hop") ? static_cast<int>(*parse_uint(request.target.substr(4))) : 0;
      return n == length ? RawServer::reply(200, "", "payload") : RawServer::reply(302, "Location: /hop" + std::to_string(n + 1) + "\r\n");
    });
    EXPECT_EQ(pull(**RegistryClient::create(quick(waits)), at(server, "/a"), blob).ok(), length == kMaxRedirects);
  }
}

TEST(Registry, ShowsEachWarningOnceAndRateLimits) {
  Waits waits;
  RawServer server([](const RawRequest& request, int) {
    if (is_probe(request)) return RawServer::reply(200);
    return manifest_reply("Warning: 299 - \"moving \\\"soon\\\"\"\r\nRateLimit-Limit: 100;w=21600\r\nRateLimit-Remaining: 76;w=21600\r\n");
  });
  RegistryOptions options = quick(waits);
  std::vector<std::string> warnings;
  options.warn = [&](const std::string& text) { warnings.push_back(text); };
  auto client = *RegistryClient::create(options);
  EXPECT_TRUE(client->resolve(at(server, "/a:1")).ok());
  EXPECT_TRUE(client->resolve(at(server, "/a:2")).ok());
  EXPECT_EQ(warnings, std::vector<std::string>{server.host() + ": moving \"soon\""});
  auto limit = client->rate_limit(server.host());
  ASSERT_TRUE(limit);
  EXPECT_EQ(limit->limit, 100);
  EXPECT_EQ(limit->remaining, 76);
  EXPECT_EQ(limit->window_seconds, 21600);
}

TEST(Registry, PagesThroughTagsAtOneHostOnly) {
  Waits waits;
  RawServer server([](const RawRequest& request, int) {
    if (is_probe(request)) return RawServer::reply(200);
    if (request.target.starts_with("/v2/far")) return RawServer::reply(200, "Link: <http://127.0.0.1:1/x>; rel=\"next\"\r\n", "{\"tags\":[\"a\"]}");
    if (request.target.find("last=b") != std::string::npos) return RawServer::reply(200, "", "{\"tags\":[\"c\"]}");
    return RawServer::reply(200, "Link: </v2/a/tags/list?last=b&n=2>; rel=\"next\"\r\n", "{\"tags\":[\"a\",\"b\"]}");
  });
  auto client = *RegistryClient::create(quick(waits));
  EXPECT_EQ(*client->tags(at(server, "/a")), (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_EQ(client->tags(at(server, "/far")).error().code, Code::Invalid);
}

TEST(Registry, AMirrorIsAskedInPlaceForReading) {
  Waits waits;
  RawServer mirror([](const RawRequest&, int) { return manifest_reply(); });
  RegistryOptions options = quick(waits);
  options.mirrors["registry.invalid"] = "http://" + mirror.host() + "/cache";
  EXPECT_TRUE((*RegistryClient::create(options))->resolve(*Reference::parse("registry.invalid/a:1")).ok());
  EXPECT_EQ(mirror.log(), std::vector<std::string>{"GET /cache/v2/a/manifests/1"});
}

// A registry that takes uploads by the book, but breaks the first connection of each after some bytes. It remembers
// what came, or forgets it and has no status (`amnesia`).
struct BreakingRegistry {
  explicit BreakingRegistry(bool forgets) : amnesia(forgets), server([this](const RawRequest& request, int) { return answer(request); }) {}
  const bool amnesia;
  std::mutex mutex;
  std::string have, stored;
  int cuts = 2;
  RawServer server;

  std::string range() const { return "Location: /u\r\nRange: 0-" + std::to_string(have.empty() ? 0 : have.size() - 1) + "\r\n"; }
  std::string answer(const RawRequest& request) {
    std::lock_guard lock(mutex);
    if (is_probe(request)) return RawServer::reply(200);
    if (request.method == "HEAD") return RawServer::reply(stored.empty() ? 404 : 200);
    if (request.method == "POST") {
      have.clear();
      return RawServer::reply(202, "Location: /u\r\n");
    }
    if (request.method == "GET") return amnesia ? RawServer::reply(404) : RawServer::reply(204, range());
    std::string from = request.header("Content-Range");
    if (!from.empty() && cut(from, '-').first != std::to_string(have.size())) return RawServer::reply(416, range());
    if (cuts > 0 && request.body.size() > 10) {
      cuts--;
      have += request.body.substr(0, request.body.size() / 2);
      return "";
    }
    have += request.body;
    if (request.method == "PATCH") return RawServer::reply(202, range());
    stored = have;
    return RawServer::reply(201);
  }
};

TEST(Registry, AnUploadGoesOnFromWhereTheRegistryIs) {
  for (bool amnesia : {false, true}) {
    Waits waits;
    BreakingRegistry registry(amnesia);
    MemoryStore store;
    std::string text(3'000'000, 'q');
    Descriptor blob = store.put_bytes(media_type::kOciLayerTar, text);
    auto put = (*RegistryClient::create(quick(waits)))->repository(at(registry.server, "/a"))->put(blob, store, nullptr, {});
    ASSERT_TRUE(put.ok()) << put.error().message;
    EXPECT_TRUE(registry.stored == text);
    size_t sent = 0;
    for (const RawRequest& request : registry.server.requests()) sent += request.body.size();
    EXPECT_LE(sent, amnesia ? 9'000'000u : 3'000'000u + 1'500'000u + 750'000u);
  }
}

TEST(Registry, ABlobThatIsNotWhatItsDescriptorSaysIsNeverSentWhole) {
  Waits waits;
  BreakingRegistry registry(false);
  registry.cuts = 0;
  struct Liar final : Provider {
    Result<std::unique_ptr<Source>> open(const Descriptor&) override { return std::unique_ptr<Source>(std::make_unique<StringSource>(text)); }
    std::string text;
  } liar;
  Descriptor blob = descriptor_of(media_type::kOciLayerTar, "0123456789");
  for (std::string text : {"0123456780", "012345678", "0123456789x"}) {
    liar.text = text;
    auto put = (*RegistryClient::create(quick(waits)))->repository(at(registry.server, "/a"))->put(blob, liar, nullptr, {});
    ASSERT_FALSE(put.ok()) << text;
    EXPECT_EQ(put.error().code, Code::Mismatch) << put.error().message;
  }
  EXPECT_EQ(registry.stored, "");
}

TEST(Challenge, ReadsWhatRegistriesSend) {
  auto one = parse_challenges("Bearer realm=\"https://auth.docker.io/token\",service=\"registry.docker.io\",scope=\"repository:a/b:pull,push\"");
  ASSERT_EQ(one.size(), 1u);
  EXPECT_EQ(one[0].scheme, "bearer");
  EXPECT_EQ(one[0].param("scope"), "repository:a/b:pull,push");
  auto two = parse_challenges("Negotiate abc==, Basic realm=x , BEARER Realm = \"a\\\"b\"");
  ASSERT_EQ(two.size(), 3u);
  EXPECT_EQ(two[1].param("realm"), "x");
  EXPECT_EQ(two[2].param("realm"), "a\"b");
  EXPECT_TRUE(parse_challenges("").empty());
  EXPECT_TRUE(parse_challenges("=\"").empty());
  EXPECT_EQ(parse_challenges("Basic " + std::string(kMaxChallengeBytes - 6, ' ')).size(), 1u);
  EXPECT_TRUE(parse_challenges("Basic " + std::string(kMaxChallengeBytes - 5, ' ')).empty());
}

TEST(OriginGuard, KeepsSecretsAndInnerAddressesApart) {
  struct Case {
    const char *from, *to;
    bool allowed;
  };
  for (const Case& c : std::vector<Case>{
           {"https://r.example.org/", "https://cdn.example.net/x", true},
           {"https://r.example.org/", "http://cdn.example.net/x", false},
           {"https://r.example.org/", "https://127.0.0.1/x", false},
           {"https://r.example.org/", "https://localhost:1/x", false},
           {"https://r.example.org/", "https://169.254.169.254/latest", false},
           {"https://r.example.org/", "https://[::ffff:169.254.169.254]/", false},
           {"https://r.example.org/", "https://[fe80::1]/", false},
           {"https://r.example.org/", "https://10.0.0.1/", false},
           {"https://r.example.org/", "https://2130706433/", false},
           {"https://r.example.org/", "https://0.0.0.0/", false},
           {"https://r.example.org/", "https://203.0.113.5/", true},
           {"http://10.0.0.5:5000/", "http://10.0.0.6/", true},
           {"http://10.0.0.5:5000/", "http://127.0.0.1/", false},
           {"http://localhost:5000/", "http://127.0.0.1:9/", true},
           {"http://localhost:5000/", "https://example.org/", true},
       }) {
    EXPECT_EQ(guard_target(*parse_url(c.from), *parse_url(c.to)).ok(), c.allowed) << c.from << " -> " << c.to;
  }
  EXPECT_EQ(follow_location(*parse_url("https://r.example.org/v2/"), "http://r.example.org/v2/u")->str(), "https://r.example.org/v2/u");
}

TEST(ResponseHeaders, AreReadOrLeftOut) {
  Time now = Time::from_seconds(1'445'412'470);  // Wed, 21 Oct 2015 07:27:50 GMT
  EXPECT_EQ(parse_retry_after("120", now), 120s);
  EXPECT_EQ(parse_retry_after("Wed, 21 Oct 2015 07:28:00 GMT", now), 10s);
  EXPECT_EQ(parse_retry_after("Wed, 21 Oct 2015 07:27:00 GMT", now), 0s);
  EXPECT_EQ(parse_retry_after("soon", now), std::nullopt);
  EXPECT_EQ(parse_warning("299 - \"x\""), "x");
  EXPECT_EQ(parse_warning("110 - \"x\""), std::nullopt);
  EXPECT_EQ(parse_warning("299 - \"x"), std::nullopt);
  EXPECT_EQ(parse_warning("299 - \"" + std::string(kMaxWarningBytes - 8, 'x') + "\"")->size(), kMaxWarningBytes - 8);
  EXPECT_EQ(parse_warning("299 - \"" + std::string(kMaxWarningBytes - 7, 'x') + "\""), std::nullopt);
  EXPECT_EQ(parse_upload_range("0-99"), 100u);
  EXPECT_EQ(parse_upload_range("bytes=0-99"), 100u);
  EXPECT_EQ(parse_upload_range("0-0"), 0u);
  EXPECT_EQ(parse_upload_range("5-9"), std::nullopt);
  EXPECT_EQ(parse_upload_range("0-18446744073709551615"), std::nullopt);
  EXPECT_EQ(parse_content_range("bytes 5-9/10")->first, 5u);
  EXPECT_FALSE(parse_content_range("bytes 5-9/9"));
  EXPECT_FALSE(parse_content_range("bytes 9-5/10"));
  EXPECT_FALSE(parse_content_range("bytes */10"));
}

}  // namespace
}  // namespace archway
