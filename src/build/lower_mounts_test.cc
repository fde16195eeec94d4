#include "build/lower_mounts.h"

#include <gtest/gtest.h>

namespace archway::build {
namespace {

using dockerfile::CacheSharing;
using dockerfile::MountType;

// `from` becomes node 10, 11, ... in the order in which names are first met.
class LowerMounts : public testing::Test {
 protected:
  Result<LoweredMounts> lower(const std::vector<std::string>& texts) {
    return lower_mounts({.texts = texts,
                         .working_directory = "/here",
                         .cache_namespace = name_space,
                         .expand = [](const std::string& value) -> Result<std::string> { return value == "$HERE" ? "/expanded" : value; },
                         .source = [this](const std::string& from, const std::string&) -> Result<NodeId> {
                           for (size_t i = 0; i < sources.size(); ++i) {
                             if (sources[i] == from) return 10 + i;
                           }
                           sources.push_back(from);
                           return 10 + sources.size() - 1;
                         }});
  }
  ExecMount one(const std::string& text) {
    auto lowered = lower({text});
    EXPECT_TRUE(lowered.ok()) << text << ": " << lowered.error().message;
    return lowered.ok() ? lowered->mounts[0] : ExecMount{};
  }
  std::string refusal(const std::string& text) {
    auto lowered = lower({text});
    return lowered.ok() ? "" : lowered.error().message;
  }
  std::vector<std::string> sources;
  std::string name_space;
};

TEST_F(LowerMounts, TargetsAreAbsoluteAndClean) {
  for (auto [written, target] : {std::pair{"/a//b/../c/", "/a/c"}, {"a", "/here/a"}, {".", "/here"}, {"../x", "/x"}, {"/../x", "/x"}, {"$HERE", "/expanded"}}) {
    EXPECT_EQ(one("target=" + std::string(written)).target, target);
  }
  EXPECT_EQ(one("type=tmpfs").target, "/here");
  for (const char* root : {"/", "..", "../..", "/a/.."}) EXPECT_NE(refusal("target=" + std::string(root)).find("invalid mount target"), std::string::npos) << root;
}

TEST_F(LowerMounts, ABindIsReadOnlyAndOfTheContext) {
  ExecMount mount = one("target=/x");
  EXPECT_EQ(mount.type, MountType::Bind);
  EXPECT_TRUE(mount.read_only);
  EXPECT_EQ(mount.source, "");
  EXPECT_EQ(mount.input, 0u);
  EXPECT_EQ(sources, std::vector<std::string>{""});
  EXPECT_FALSE(one("target=/x,rw").read_only);
  for (auto [written, source] : {std::pair{"/a/../b", "b"}, {"../../b", "b"}, {".", ""}, {"a[b]*", "a[b]*"}}) EXPECT_EQ(one("target=/x,source=" + std::string(written)).source, source);
}

TEST_F(LowerMounts, OneInputForEachSourceAndMountsByTarget) {
  auto lowered = lower({"target=/z,from=b", "target=/a/b,from=a", "target=/a,from=b", "type=tmpfs,target=/m"});
  ASSERT_TRUE(lowered.ok());
  EXPECT_EQ(lowered->inputs, (std::vector<NodeId>{10, 11}));
  std::string order;
  for (const ExecMount& mount : lowered->mounts) order += mount.target + (mount.input ? ":" + std::to_string(*mount.input) : "") + " ";
  EXPECT_EQ(order, "/a:0 /a/b:1 /m /z:0 ");
}

TEST_F(LowerMounts, CachesAreKnownByTheirTargetAsWritten) {
  ExecMount mount = one("type=cache,target=sub//x");
  EXPECT_EQ(mount.id, "/sub/x");
  EXPECT_EQ(mount.target, "/here/sub/x");
  EXPECT_EQ(mount.mode, 0755u);
  EXPECT_FALSE(mount.read_only);
  EXPECT_FALSE(mount.input);
  EXPECT_EQ(mount.sharing, CacheSharing::Shared);
  EXPECT_EQ(one("type=cache,target=/x").id, "//x");
  name_space = "ns";
  mount = one("type=cache,target=/x,id=i,sharing=locked,mode=0700,uid=1,gid=2,from=s");
  EXPECT_EQ(mount.id, "ns/i");
  EXPECT_EQ(mount.sharing, CacheSharing::Locked);
  EXPECT_EQ(mount.mode, 0700u);
  EXPECT_EQ(mount.uid, 1u);
  EXPECT_EQ(mount.input, 0u);
}

TEST_F(LowerMounts, SecretsGoWhereTheyAreAskedFor) {
  ExecMount mount = one("type=secret,id=a/b");
  EXPECT_EQ(mount.target, "/run/secrets/b");
  EXPECT_EQ(mount.id, "a/b");
  EXPECT_EQ(mount.mode, 0400u);
  EXPECT_FALSE(mount.required);
  EXPECT_EQ(one("type=secret,target=/etc/token").id, "token");
  EXPECT_EQ(one("type=secret,source=s,target=x").id, "s");
  mount = one("type=secret,id=i,env=TOKEN,required");
  EXPECT_EQ(mount.target, "");
  EXPECT_EQ(mount.env, "TOKEN");
  EXPECT_TRUE(mount.required);
  EXPECT_EQ(one("type=secret,id=i,env=").env, "i");
  EXPECT_EQ(one("type=secret,id=i,env=T,target=/t").target, "/t");
  EXPECT_NE(refusal("type=secret,id=i,target=/"), "");
}

TEST_F(LowerMounts, AgentsAreNumbered) {
  auto lowered = lower({"type=ssh,target=/own", "type=ssh,id=other", "type=ssh,required"});
  ASSERT_TRUE(lowered.ok());
  EXPECT_EQ(lowered->ssh_socket, "/own");
  EXPECT_EQ(lowered->mounts[0].id, "default");
  EXPECT_EQ(lowered->mounts[1].target, "/run/buildkit/ssh_agent.1");
  EXPECT_EQ(lowered->mounts[2].target, "/run/buildkit/ssh_agent.2");
  EXPECT_EQ(lowered->mounts[1].mode, 0600u);
  EXPECT_NE(refusal("type=ssh,source=x"), "");
}

// What a key is made of: everything that the Dockerfile says, and nothing that it does not.
TEST_F(LowerMounts, EachFieldIsPartOfTheOperation) {
  auto key = [&](const std::string& text) {
    Node node;
    ExecOp op;
    if (!text.empty()) op.mounts = {one(text)};
    node.op = std::move(op);
    return operation_key(node);
  };
  std::vector<std::string> texts = {"", "target=/x", "target=/y", "target=/x,rw", "target=/x,source=a", "type=cache,target=/x", "type=cache,target=/x,id=i", "type=cache,target=/x,sharing=locked",
                                    "type=cache,target=/x,uid=1", "type=tmpfs,target=/x", "type=tmpfs,target=/x,size=1k", "type=secret,id=a", "type=secret,id=b,target=/run/secrets/a",
                                    "type=secret,id=a,env=A", "type=secret,id=a,required", "type=ssh"};
  for (size_t i = 0; i < texts.size(); ++i) {
    for (size_t j = 0; j < i; ++j) EXPECT_NE(key(texts[i]), key(texts[j])) << texts[i] << " and " << texts[j];
  }
}

}  // namespace
}  // namespace archway::build
