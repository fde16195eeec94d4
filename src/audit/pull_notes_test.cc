#include "audit/pull_notes.h"

#include <gtest/gtest.h>

#include "audit/collect.h"
#include "base/text.h"

namespace archway::audit {
namespace {

std::string secret(const std::string& name, const std::string& name_space, const std::string& user) {
  std::string config = R"({"auths":{"example.org":{"username":")" + user + R"(","password":"p"}}})";
  return "---\napiVersion: v1\nkind: Secret\nmetadata: {name: " + name + (name_space.empty() ? "" : ", namespace: " + name_space) + "}\ndata: {.dockerconfigjson: " + base64_encode(config) + "}\n";
}

std::string pod(const std::string& name_space, const std::string& more) {
  return "---\napiVersion: v1\nkind: Pod\nmetadata: {name: p" + (name_space.empty() ? "" : ", namespace: " + name_space) + "}\nspec: {" + more + "containers: [{name: c, image: example.org/a:1}]}\n";
}

// The users that the only image is pulled as, in order.
std::string users(const std::string& text) {
  Collection all = collect_text(text, "x.yaml", {});
  all.settle();
  std::string found;
  for (const ImageUse& use : all.uses) {
    for (const std::string& config : all.keychains[use.keychain].docker_configs) {
      size_t at = config.find("username\":\"") + 11;
      found += config.substr(at, config.find('"', at) - at) + " ";
    }
  }
  return found;
}

TEST(PullNotes, SecretsBesideThePodsThatNameThem) {
  std::string named = "imagePullSecrets: [{name: two}, {name: none}, {name: one}], ";
  std::string both = secret("one", "shop", "ann") + secret("two", "shop", "bob");
  EXPECT_EQ(users(both + pod("shop", named)), "bob ann ");
  EXPECT_EQ(users(pod("shop", named) + both), "bob ann ") << "in any order";
  EXPECT_EQ(users(both + pod("team", named)), "") << "a secret is of one namespace";
  EXPECT_EQ(users(both + pod("shop", "")), "");
  EXPECT_EQ(users(secret("one", "", "ann") + pod("default", named)), "ann ") << "no namespace is the default one";
}

TEST(PullNotes, SecretsOfServiceAccounts) {
  std::string text = secret("one", "shop", "ann") + secret("two", "shop", "bob") +
                     "---\napiVersion: v1\nkind: ServiceAccount\nmetadata: {name: default, namespace: shop}\nimagePullSecrets: [{name: one}]\n"
                     "---\napiVersion: v1\nkind: ServiceAccount\nmetadata: {name: puller, namespace: shop}\nimagePullSecrets: [{name: two}]\n";
  EXPECT_EQ(users(text + pod("shop", "")), "ann ");
  EXPECT_EQ(users(text + pod("shop", "serviceAccountName: puller, ")), "bob ");
  EXPECT_EQ(users(text + pod("shop", "serviceAccountName: puller, imagePullSecrets: [{name: one}], ")), "ann ") << "a pod's own come first";
}

TEST(PullNotes, WhatOnlyThePodSaysCountsForItsOwner) {
  std::string text = secret("one", "shop", "ann") +
                     "---\napiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: d, namespace: shop}\nspec: {template: {spec: {containers: [{name: c, image: example.org/a:1}]}}}\n"
                     "---\napiVersion: v1\nkind: Pod\nmetadata: {name: d-x, namespace: shop, ownerReferences: [{controller: true, kind: DaemonSet, name: d}]}\n"
                     "spec: {imagePullSecrets: [{name: one}], containers: [{name: c, image: example.org/a:1}]}\n";
  EXPECT_EQ(users(text), "ann ") << "admission has written the account's secrets into the pod";
}

TEST(PullNotes, ASecretThatHoldsNoneIsNamedWithoutWhatItHolds) {
  Collection all = collect_text("apiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: shop}\nstringData: {.dockerconfigjson: 'hunter2'}\n", "x.yaml", {});
  ASSERT_EQ(all.skipped.size(), 1u);
  EXPECT_EQ(all.skipped[0].what, "Secret shop/s");
  EXPECT_EQ(all.skipped[0].why.find("hunter2"), std::string::npos);
  EXPECT_TRUE(collect_text("apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {password: x}\n", "x.yaml", {}).skipped.empty());
}

}  // namespace
}  // namespace archway::audit
