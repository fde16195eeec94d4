// The client against Debian's docker-registry, and skopeo on what was pushed.
#include <gtest/gtest.h>

#include "image/copy.h"
#include "registry/client.h"
#include "registry/docker_registry_fixture.h"
#include "registry/lookup.h"

namespace archway {
namespace {

using testing::CuttingProxy;
using testing::DockerRegistry;

class AgainstDockerRegistry : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!DockerRegistry::available()) GTEST_SKIP() << "skipped: docker-registry is not installed";
  }
};

std::shared_ptr<RegistryClient> make_client(DockerConfig config = {}) {
  RegistryOptions options;
  options.docker_config = std::move(config);
  return *RegistryClient::create(std::move(options));
}

Reference named(const std::string& text) { return *Reference::parse(text); }

std::string pattern(size_t size, uint32_t seed = 1) {
  std::string text(size, '\0');
  uint32_t x = seed;
  for (char& c : text) c = static_cast<char>((x = x * 1664525 + 1013904223) >> 24);
  return text;
}

// An index over one small image per architecture, with a shared layer.
Root make_index(MemoryStore& store) {
  Descriptor layer = store.put_bytes(media_type::kOciLayerTar, pattern(100'000));
  Json manifests = Json::array();
  for (std::string arch : {"amd64", "arm64"}) {
    Descriptor config = store.put_bytes(media_type::kOciConfig, "{\"architecture\":\"" + arch + "\",\"os\":\"linux\",\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"" + layer.digest.str() + "\"]},\"config\":{}}");
    Json manifest = Json::object({{"schemaVersion", 2}, {"mediaType", media_type::kOciManifest}, {"config", descriptor_json(config)}, {"layers", Json(Json::Array{descriptor_json(layer)})}});
    Descriptor descriptor = store.put_bytes(media_type::kOciManifest, to_json(manifest));
    descriptor.platform = *parse_platform("linux/" + arch);
    manifests.push(descriptor_json(descriptor));
  }
  std::string raw = to_json(Json::object({{"schemaVersion", 2}, {"mediaType", media_type::kOciIndex}, {"manifests", manifests}}));
  return Root{store.put_bytes(media_type::kOciIndex, raw), raw};
}

TEST_F(AgainstDockerRegistry, PushesPullsAndSkopeoReadsIt) {
  auto registry = DockerRegistry::start();
  ASSERT_TRUE(registry);
  MemoryStore store;
  Root root = make_index(store);
  auto client = make_client();
  Reference name = named(registry->host() + "/team/app:1.0");
  CopyOptions tagged;
  tagged.tags = {"1.0"};
  auto pushed = copy_image(store, *client->repository(name), root, tagged);
  ASSERT_TRUE(pushed.ok()) << pushed.error().message;
  EXPECT_EQ(pushed->stored, 6u);  // layer, two configs, two manifests, index

  // Another process finds all of it there, and sends nothing.
  auto again = copy_image(store, *make_client()->repository(name), root, tagged);
  ASSERT_TRUE(again.ok()) << again.error().message;
  EXPECT_EQ(again->stored, 0u);
  EXPECT_EQ(again->existed, 6u);

  auto resolved = make_client()->resolve(name);
  ASSERT_TRUE(resolved.ok()) << resolved.error().message;
  EXPECT_EQ(resolved->descriptor.digest, root.descriptor.digest);
  EXPECT_EQ(resolved->raw, root.raw);
  EXPECT_EQ(client->head(name)->digest, root.descriptor.digest);
  EXPECT_EQ(*client->tags(name), std::vector<std::string>{"1.0"});

  MemoryStore copy;
  auto pulled = copy_image(*make_client()->repository(name), copy, *resolved, {});
  ASSERT_TRUE(pulled.ok()) << pulled.error().message;
  EXPECT_EQ(pulled->stored, 6u);

  // Mounted, not moved, into another repository of the same registry.
  auto mounted = copy_image(*client->repository(name), *client->repository(named(registry->host() + "/other/app:2")), root, {});
  ASSERT_TRUE(mounted.ok()) << mounted.error().message;
  EXPECT_EQ(mounted->mounted, 3u);

  if (find_program("skopeo")) {
    TempDir dir = *TempDir::create("/tmp", "archway-skopeo-");
    auto skopeo = run_process({"skopeo", "copy", "--all", "--src-tls-verify=false", "docker://" + registry->host() + "/team/app:1.0", "oci:" + (dir / "layout") + ":x"});
    ASSERT_TRUE(skopeo.ok());
    EXPECT_EQ(skopeo->exit_code, 0) << skopeo->err;
  }
  ASSERT_TRUE(client->remove_manifest(name.with_digest(root.descriptor.digest)).ok());
  EXPECT_EQ(make_client()->resolve(name).error().code, Code::NotFound);
}

TEST_F(AgainstDockerRegistry, WhatIsNotThereIsNotFound) {
  auto registry = DockerRegistry::start();
  ASSERT_TRUE(registry);
  auto client = make_client();
  Reference name = named(registry->host() + "/no/such:1");
  EXPECT_EQ(client->resolve(name).error().code, Code::NotFound);
  EXPECT_EQ(client->head(name).error().code, Code::NotFound);
  auto open = client->repository(name)->open(descriptor_of(media_type::kOciLayerTar, "x"));
  ASSERT_FALSE(open.ok());
  EXPECT_EQ(open.error().code, Code::NotFound);
}

TEST_F(AgainstDockerRegistry, LogsInWithPasswords) {
  if (!find_program("htpasswd")) GTEST_SKIP() << "skipped: htpasswd is not installed";
  auto registry = DockerRegistry::start("user", "secret");
  ASSERT_TRUE(registry);
  auto anonymous = make_client();
  Reference name = named(registry->host() + "/a/b:1");
  auto refused = anonymous->resolve(name);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, Code::Unauthorized);
  EXPECT_EQ(refused.error().hint, "archway login " + registry->host());

  EXPECT_TRUE(anonymous->check_credentials(registry->host(), {"user", "secret", ""}).ok());
  EXPECT_EQ(anonymous->check_credentials(registry->host(), {"user", "wrong", ""}).error().code, Code::Unauthorized);

  TempDir dir = *TempDir::create("/tmp");
  DockerConfig config = *DockerConfig::load(dir / "config.json");
  ASSERT_TRUE(config.store(registry->host(), {"user", "secret", ""}).ok());
  MemoryStore store;
  Root root = make_index(store);
  CopyOptions tagged;
  tagged.tags = {"1"};
  auto pushed = copy_image(store, *make_client(config)->repository(name), root, tagged);
  ASSERT_TRUE(pushed.ok()) << pushed.error().message;
  EXPECT_TRUE(make_client(config)->resolve(name).ok());
}

TEST_F(AgainstDockerRegistry, ChunksOfLargeBlobsMakeOneBlob) {
  auto registry = DockerRegistry::start();
  ASSERT_TRUE(registry);
  RegistryOptions options;
  options.chunk_bytes = 1 << 20;
  auto client = *RegistryClient::create(options);
  for (size_t size : {size_t{0}, size_t{1}, size_t{1 << 20}, size_t{(1 << 20) + 1}, size_t{3 << 20}, size_t{5'000'000}}) {
    MemoryStore store;
    Descriptor blob = store.put_bytes(media_type::kOciLayerTar, pattern(size, static_cast<uint32_t>(size)));
    auto repository = client->repository(named(registry->host() + "/chunks"));
    auto put = repository->put(blob, store, nullptr, {});
    ASSERT_TRUE(put.ok()) << size << ": " << put.error().message;
    EXPECT_TRUE(*(*RegistryClient::create({}))->repository(named(registry->host() + "/chunks"))->has(blob));
    auto back = read_blob(*repository, blob, 10 << 20);
    ASSERT_TRUE(back.ok()) << back.error().message;
  }
}

// The line that cuts every connection after 1 MiB: 50 MiB must arrive, and at most 55 MiB be sent.
constexpr uint64_t kCut = 1 << 20, kBlob = 50 << 20, kAllowed = 55 << 20;

TEST_F(AgainstDockerRegistry, PushesThroughALineThatCutsConnections) {
  auto registry = DockerRegistry::start();
  ASSERT_TRUE(registry);
  CuttingProxy proxy(registry->port(), kCut);
  MemoryStore store;
  Descriptor blob = store.put_bytes(media_type::kOciLayerTar, pattern(kBlob));
  auto put = make_client()->repository(named(proxy.host() + "/cut/push"))->put(blob, store, nullptr, {});
  ASSERT_TRUE(put.ok()) << put.error().message;
  EXPECT_LE(proxy.bytes_up(), kAllowed);
  EXPECT_GE(proxy.bytes_up(), kBlob);
  EXPECT_TRUE(*make_client()->repository(named(registry->host() + "/cut/push"))->has(blob));
}

TEST_F(AgainstDockerRegistry, PullsThroughALineThatCutsConnections) {
  auto registry = DockerRegistry::start();
  ASSERT_TRUE(registry);
  MemoryStore store;
  Descriptor blob = store.put_bytes(media_type::kOciLayerTar, pattern(kBlob));
  ASSERT_TRUE(make_client()->repository(named(registry->host() + "/cut/pull"))->put(blob, store, nullptr, {}).ok());
  CuttingProxy proxy(registry->port(), kCut);
  MemoryStore copy;
  auto pulled = copy.put(blob, *make_client()->repository(named(proxy.host() + "/cut/pull")), nullptr, {});
  ASSERT_TRUE(pulled.ok()) << pulled.error().message;
  EXPECT_LE(proxy.bytes_down(), kAllowed);
}

// Look-ups with a pull secret's credentials, a lone image by its digest, and the tag that moves.
TEST_F(AgainstDockerRegistry, ImagesAreLookedUp) {
  auto registry = DockerRegistry::start("alice", "secret");
  if (!registry) GTEST_SKIP() << "skipped: htpasswd is not installed";
  MemoryStore store;
  Root root = make_index(store);
  auto pusher = make_client(DockerConfig::of(registry->host(), {.username = "alice", .password = "secret"}));
  Reference name = named(registry->host() + "/team/app:1.0");
  CopyOptions tagged;
  tagged.tags = {"1.0"};
  ASSERT_TRUE(copy_image(store, *pusher->repository(name), root, tagged).ok());

  auto lookup = *ImageLookup::open({});
  EXPECT_EQ(lookup->look_up(name.str()).error().code, Code::Unauthorized);
  Keychain keychain{{"{\"auths\":{\"" + registry->host() + "/team\":{\"username\":\"alice\",\"password\":\"secret\"}}}"}};
  auto facts = lookup->look_up(name.str(), keychain);
  ASSERT_TRUE(facts.ok()) << facts.error().message;
  EXPECT_TRUE((*facts)->is_index);
  EXPECT_EQ((*facts)->truth.digest, root.descriptor.digest);
  ASSERT_EQ((*facts)->images.size(), 2u);
  auto arm = lookup->look_up(name.name() + "@" + (*facts)->images[1].manifest.str(), keychain);
  ASSERT_TRUE(arm.ok()) << arm.error().message;
  EXPECT_EQ((*arm)->truth.platforms, std::vector{*parse_platform("linux/arm64")});
  EXPECT_EQ(lookup->look_up(name.name() + ":2.0", keychain).error().code, Code::NotFound);
  EXPECT_EQ(*lookup->tags(name.str(), keychain), std::vector<std::string>{"1.0"});
}

}  // namespace
}  // namespace archway
