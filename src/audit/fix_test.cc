#include "audit/fix.h"

#include <gtest/gtest.h>

#include "audit/patch_output.h"
#include "base/text.h"
#include "format/yaml.h"
#include "format/yaml_tree.h"

namespace archway::audit {
namespace {

using Kind = Remedy::Kind;

std::vector<Platform> platforms(std::initializer_list<const char*> names) {
  std::vector<Platform> all;
  for (const char* name : names) all.push_back({"linux", name});
  return all;
}

// A finding at the nth place where the words stand.
Finding at(std::string_view text, std::string_view words, Kind kind, std::string replacement = "", std::vector<Platform> wanted = platforms({"arm64"}), size_t nth = 0) {
  Finding finding;
  finding.rule = "rule";
  finding.place.source = "f.yaml";
  size_t begin = text.find(words);
  while (nth-- > 0) begin = text.find(words, begin + 1);
  EXPECT_NE(begin, text.npos) << words;
  finding.place.begin = static_cast<uint32_t>(begin);
  finding.place.end = static_cast<uint32_t>(begin + words.size());
  finding.place.path = "/somewhere";
  finding.remedy = {kind, std::move(replacement), std::move(wanted), "because"};
  if (kind == Kind::ReplaceImage) finding.image = std::string(trim(words));
  return finding;
}

// The text after one remedy; and after the same again, which must change nothing.
std::string fixed(std::string_view text, const std::vector<Finding>& findings, std::string source = "f.yaml") {
  std::vector<const Finding*> pointers;
  std::vector<Finding> named = findings;
  for (Finding& finding : named) {
    finding.place.source = source;
    if (source != "f.yaml") finding.place.path.clear();
    pointers.push_back(&finding);
  }
  FileFix fix = fix_text(text, source, pointers);
  std::string refused;
  for (const Refused& each : fix.refused) refused += "refused: " + each.why + "\n";
  return refused.empty() ? fix.after : refused;
}

constexpr std::string_view kPod =
    "apiVersion: v1\nkind: Pod\nmetadata:\n  name: web\nspec:\n  containers:\n  - name: web\n    image: nginx:1.19  # old\n  nodeSelector:\n    kubernetes.io/arch: amd64\n  restartPolicy: Always\n";

TEST(Fix, ReplacesAnImage) {
  EXPECT_EQ(fixed(kPod, {at(kPod, "nginx:1.19", Kind::ReplaceImage, "nginx:1.25")}), replace_all(std::string(kPod), "1.19", "1.25"));
  EXPECT_EQ(fixed("image:\n  repository: nginx\n  tag: 1.19\n", {[] {
              Finding finding = at("image:\n  repository: nginx\n  tag: 1.19\n", "1.19", Kind::ReplaceImage, "1.20");
              finding.image = "nginx:1.19";
              return finding;
            }()}),
            "image:\n  repository: nginx\n  tag: \"1.20\"\n");
}

TEST(Fix, DropsASelectorWithItsEmptyParent) {
  EXPECT_EQ(fixed(kPod, {at(kPod, "kubernetes.io/arch: amd64", Kind::DropArchSelector)}), replace_all(std::string(kPod), "  nodeSelector:\n    kubernetes.io/arch: amd64\n", ""));
}

TEST(Fix, WidensASelectorToAnAffinity) {
  EXPECT_EQ(fixed(kPod, {at(kPod, "kubernetes.io/arch: amd64", Kind::WidenArchSelector)}),
            replace_all(std::string(kPod), "  nodeSelector:\n    kubernetes.io/arch: amd64\n  restartPolicy: Always\n",
                        "  restartPolicy: Always\n  affinity:\n    nodeAffinity:\n      requiredDuringSchedulingIgnoredDuringExecution:\n        nodeSelectorTerms:\n        - matchExpressions:\n"
                        "          - key: kubernetes.io/arch\n            operator: In\n            values:\n            - amd64\n            - arm64\n"));
}

constexpr std::string_view kAffinity =
    "kind: Deployment\nspec:\n  template:\n    spec:\n      containers: []\n      affinity:\n        nodeAffinity:\n          requiredDuringSchedulingIgnoredDuringExecution:\n            nodeSelectorTerms:\n"
    "            - matchExpressions:\n              - {key: zone, operator: In, values: [a]}\n            - matchExpressions:\n              - {key: kubernetes.io/arch, operator: In, values: [amd64, s390x]}\n"
    "            - {}\n            - matchFields:\n              - {key: metadata.name, operator: In, values: [n]}\n";

TEST(Fix, AddsTheArchitectureToEveryTermThatCanMatch) {
  std::string expected(kAffinity);
  expected = replace_all(expected, "values: [a]}\n", "values: [a]}\n              - key: kubernetes.io/arch\n                operator: In\n                values:\n                - amd64\n                - arm64\n");
  expected = replace_all(expected, "[amd64, s390x]", "[amd64]");
  expected += "              matchExpressions:\n              - key: kubernetes.io/arch\n                operator: In\n                values:\n                - amd64\n                - arm64\n";
  Finding finding = at(kAffinity, "containers: []", Kind::AddArchAffinity, "", platforms({"arm64", "amd64"}));
  EXPECT_EQ(fixed(kAffinity, {finding}), expected);
}

TEST(Fix, WidensAndDropsExpressions) {
  std::string_view words = "{key: kubernetes.io/arch, operator: In, values: [amd64, s390x]}";
  EXPECT_EQ(fixed(kAffinity, {at(kAffinity, words, Kind::WidenArchSelector)}), replace_all(std::string(kAffinity), "[amd64, s390x]", "[amd64, s390x, arm64]"));
  EXPECT_EQ(fixed(kAffinity, {at(kAffinity, words, Kind::DropArchSelector)}), "refused: without this condition its term would match every node, and the other terms would mean nothing\n");
  std::string_view lone = "spec:\n  containers: []\n  affinity:\n    nodeAffinity:\n      requiredDuringSchedulingIgnoredDuringExecution:\n        nodeSelectorTerms:\n        - matchExpressions:\n          - key: kubernetes.io/arch\n            operator: NotIn\n            values: [arm64]\n  hostNetwork: true\n";
  std::string_view expression = "key: kubernetes.io/arch\n            operator: NotIn\n            values: [arm64]";
  EXPECT_EQ(fixed(lone, {at(lone, expression, Kind::DropArchSelector)}), "spec:\n  containers: []\n  hostNetwork: true\n");
  EXPECT_EQ(fixed(lone, {at(lone, expression, Kind::WidenArchSelector)}), "spec:\n  containers: []\n  hostNetwork: true\n");
}

TEST(Fix, RefusesWhatContradicts) {
  EXPECT_EQ(fixed(kPod, {at(kPod, "containers:", Kind::AddArchAffinity)}), "refused: its nodeSelector wants amd64, not arm64\n");
  std::string bound = replace_all(std::string(kPod), "  nodeSelector:\n    kubernetes.io/arch: amd64\n", "  nodeName: n1\n");
  EXPECT_EQ(fixed(bound, {at(bound, "containers:", Kind::AddArchAffinity)}), "refused: it is bound to the node n1\n");
}

TEST(Fix, AddsATolerationOnce) {
  Finding finding = at(kPod, "containers:", Kind::AddToleration, "arch=arm64:NoSchedule");
  std::string once = fixed(kPod, {finding});
  EXPECT_EQ(once, std::string(kPod) + "  tolerations:\n  - key: arch\n    operator: Equal\n    value: arm64\n    effect: NoSchedule\n");
  EXPECT_EQ(fixed(once, {finding}), once);
  std::string all = std::string(kPod) + "  tolerations: [{operator: Exists}]\n";
  EXPECT_EQ(fixed(all, {finding}), all);
}

TEST(Fix, PrefersWithAWeight) {
  Finding finding = at(kPod, "containers:", Kind::AddArchAffinity, "preferred:50");
  std::string once = fixed(kPod, {finding});
  EXPECT_TRUE(once.ends_with("      preferredDuringSchedulingIgnoredDuringExecution:\n      - weight: 50\n        preference:\n          matchExpressions:\n          - key: kubernetes.io/arch\n            operator: In\n            values:\n            - arm64\n")) << once;
  EXPECT_EQ(fixed(once, {finding}), once);
  EXPECT_EQ(fixed(kPod, {at(kPod, "containers:", Kind::AddArchAffinity, "preferred:101")}), "refused: the weight of a preference is 1 to 100\n");
}

TEST(Fix, MovesASelectorToWhereItCounts) {
  std::string_view text = "apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - image: arm64v8/busybox\n    command:\n      - sleep\nrestartPolicy: Always\nnodeSelector:  # Graviton\n  # only\n  kubernetes.io/arch: 'arm64'\n";
  EXPECT_EQ(fixed(text, {at(text, "nodeSelector:  # Graviton\n  # only\n  kubernetes.io/arch: 'arm64'", Kind::MoveIntoPodSpec, "spec")}),
            "apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - image: arm64v8/busybox\n    command:\n      - sleep\n  nodeSelector:  # Graviton\n    # only\n    kubernetes.io/arch: 'arm64'\nrestartPolicy: Always\n");
}

TEST(Fix, RenamesTheOldLabel) {
  std::string old = replace_all(std::string(kPod), "kubernetes.io/arch", "beta.kubernetes.io/arch");
  EXPECT_EQ(fixed(old, {at(old, "beta.kubernetes.io/arch", Kind::RenameArchLabel, "kubernetes.io/arch")}), kPod);
}

TEST(Fix, DoesSeveralThingsInOnePod) {
  std::vector<Finding> all = {at(kPod, "nginx:1.19", Kind::ReplaceImage, "nginx:1.25"), at(kPod, "kubernetes.io/arch: amd64", Kind::DropArchSelector), at(kPod, "containers:", Kind::AddToleration, "arm=true:NoSchedule")};
  EXPECT_EQ(fixed(kPod, all),
            "apiVersion: v1\nkind: Pod\nmetadata:\n  name: web\nspec:\n  containers:\n  - name: web\n    image: nginx:1.25  # old\n  restartPolicy: Always\n"
            "  tolerations:\n  - key: arm\n    operator: Equal\n    value: \"true\"\n    effect: NoSchedule\n");
}

TEST(Fix, DropsComposePlatforms) {
  std::string_view text = "services:\n  web:\n    platform: linux/amd64 # mac\n    image: x\n";
  EXPECT_EQ(fixed(text, {at(text, "platform: linux/amd64", Kind::DropPlatform)}), "services:\n  web:\n    image: x\n");
}

TEST(Fix, EditsEachDocumentByItself) {
  std::string text = "# one\n" + std::string(kPod) + "---\n# two\n" + std::string(kPod) + "...\n";
  std::string expected = "# one\n" + std::string(kPod) + "---\n# two\n" + replace_all(std::string(kPod), "1.19", "1.25") + "...\n";
  EXPECT_EQ(fixed(text, {at(text, "nginx:1.19", Kind::ReplaceImage, "nginx:1.25", {}, 1)}), expected);
}

TEST(Fix, TouchesNoImageThatIsNotTheOneSeen) {
  Finding finding = at(kPod, "nginx:1.19", Kind::ReplaceImage, "redis:2");
  finding.image = "redis:1";
  EXPECT_EQ(fixed(kPod, {finding}), "refused: the text is not what it was when it was looked at\n");
}

TEST(Fix, ExplainsSharedValues) {
  std::string_view text = "a: &spec\n  containers: [{image: x}]\nb: *spec\n";
  EXPECT_TRUE(fixed(text, {at(text, "containers:", Kind::AddToleration, "a=b:NoSchedule")}).starts_with("refused: line 3: *spec stands for what is written at its anchor"));
}

TEST(Fix, MendsDockerfiles) {
  std::string_view text = "FROM --platform=$BUILDPLATFORM golang AS build\nARG TARGETARCH=amd64\n# get it\nRUN curl -LO https://x/y_linux_amd64.tgz && curl -LO \"https://x/z-x86_64\"\nFROM --platform=$BUILDPLATFORM alpine:3\nCOPY --from=build /y /y\n";
  Finding drop = at(text, "TARGETARCH=amd64", Kind::DropDockerfileDefault, "TARGETARCH");
  EXPECT_EQ(fixed(text, {drop}, "Dockerfile"), replace_all(std::string(text), "TARGETARCH=amd64", "TARGETARCH"));
  EXPECT_EQ(fixed(text, {at(text, "--platform=$BUILDPLATFORM", Kind::DropBuildPlatform, "", {}, 1)}, "Dockerfile"), replace_all(std::string(text), "--platform=$BUILDPLATFORM alpine", "alpine"));
  Finding go = at(text, "amd64", Kind::ArchitectureInUrl, "${TARGETARCH}", {}, 1), other = at(text, "x86_64", Kind::ArchitectureInUrl);
  EXPECT_EQ(fixed(text, {go, other}, "Dockerfile"),
            "FROM --platform=$BUILDPLATFORM golang AS build\nARG TARGETARCH=amd64\n# get it\nRUN curl -LO https://x/y_linux_${TARGETARCH}.tgz && curl -LO \"https://x/z-$(case ${TARGETARCH} in (amd64) echo x86_64;; (arm64) echo aarch64;; (*) echo ${TARGETARCH};; esac)\"\n"
            "FROM --platform=$BUILDPLATFORM alpine:3\nCOPY --from=build /y /y\n");
}

TEST(Fix, DeclaresTargetarchOncePerStage) {
  std::string_view text = "FROM alpine:3\r\n# first\r\nRUN wget https://x/a-amd64\r\nRUN wget https://x/b-amd64\r\n";
  Finding a = at(text, "amd64", Kind::ArchitectureInUrl, "${TARGETARCH}"), b = at(text, "amd64", Kind::ArchitectureInUrl, "${TARGETARCH}", {}, 1);
  EXPECT_EQ(fixed(text, {a, b}, "Dockerfile"), "FROM alpine:3\r\nARG TARGETARCH\r\n# first\r\nRUN wget https://x/a-${TARGETARCH}\r\nRUN wget https://x/b-${TARGETARCH}\r\n");
  std::string_view quoted = "FROM alpine:3\nRUN sh -c 'wget https://x/a-amd64'\n";
  EXPECT_EQ(fixed(quoted, {at(quoted, "amd64", Kind::ArchitectureInUrl)}, "Dockerfile"), "refused: it stands in single quotes, where a shell replaces nothing\n");
}

TEST(Fix, EditsLists) { EXPECT_EQ(fixed("# images\na:1\nb:1\n", {at("# images\na:1\nb:1\n", "b:1", Kind::ReplaceImage, "b:2")}, "images.txt"), "# images\na:1\nb:2\n"); }

TEST(PatchOutput, TestsWhatItReplaces) {
  Json have = *parse_yaml("a: {b: 1, c: [x, z], d/e: 2}"), want = *parse_yaml("a: {b: 2, c: [z], f: 3}");
  EXPECT_EQ(to_json(json_patch(have, want)),
            R"([{"op":"test","path":"/a/b","value":1},{"op":"replace","path":"/a/b","value":2},{"op":"test","path":"/a/c/0","value":"x"},{"op":"remove","path":"/a/c/0"},{"op":"remove","path":"/a/d~1e"},{"op":"add","path":"/a/f","value":3}])");
}

TEST(PatchOutput, WritesForKustomizeKubectlAndHelm) {
  Json have = Json::object({{"spec", Json::object({{"x", "it's"}})}}), want = Json::object({{"spec", Json::object({{"x", "it's"}, {"w", 1}})}});
  std::vector<ChangedObject> objects = {{"apps/v1", "Deployment", "shop", "web", have, want}};
  EXPECT_EQ(kustomize_patches(objects),
            "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\npatches:\n- target:\n    group: apps\n    version: v1\n    kind: Deployment\n    name: web\n    namespace: shop\n  patch: |-\n    - op: add\n      path: /spec/w\n      value: 1\n");
  EXPECT_EQ(kubectl_patches(objects), "kubectl -n 'shop' patch 'deployment.v1.apps' 'web' --type=json -p '[{\"op\":\"add\",\"path\":\"/spec/w\",\"value\":1}]'\n");
  EXPECT_EQ(helm_values(objects), "");
  EXPECT_EQ(helm_values({{"", "", "", "", have, want}}), "spec:\n  w: 1\n");
}

}  // namespace
}  // namespace archway::audit
