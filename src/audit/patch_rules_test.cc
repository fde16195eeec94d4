#include "audit/patch_rules.h"

#include <gtest/gtest.h>

#include "audit/patch_output.h"
#include "format/yaml.h"

namespace archway::audit {
namespace {

// What is said against the change from one to the other; "" where a patch will do.
std::string fault(const std::string& kind, const std::string& version, const std::string& have, const std::string& want) {
  ChangedObject object{version, kind, "shop", "x", *parse_yaml(have), *parse_yaml(want)};
  return why_unpatchable(object, json_patch(object.have, object.want));
}

TEST(PatchRules, OfAPodImagesChangeAndTolerationsAreAdded) {
  std::string have = "spec: {containers: [{name: c, image: a}], nodeSelector: {kubernetes.io/arch: amd64}, tolerations: [{key: a}]}";
  auto with = [&](const std::string& from, const std::string& to) {
    std::string want = have;
    want.replace(want.find(from), from.size(), to);
    return fault("Pod", "v1", have, want);
  };
  EXPECT_EQ(with("image: a", "image: b"), "");
  EXPECT_EQ(with("[{key: a}]", "[{key: a}, {key: b}]"), "");
  EXPECT_NE(with("[{key: a}]", "[{key: b}]"), "");
  EXPECT_NE(with("nodeSelector: {kubernetes.io/arch: amd64}, ", ""), "");
  EXPECT_NE(with("name: c,", "name: c, command: [x],"), "");
  EXPECT_EQ(fault("Pod", "v1", "spec: {a: 1}", "spec: {a: 1, tolerations: [{key: x}]}"), "");
}

TEST(PatchRules, APodWithGatesCanBeNarrowed) {
  std::string gates = "schedulingGates: [{name: g}]";
  EXPECT_EQ(fault("Pod", "v1", "spec: {" + gates + "}", "spec: {" + gates + ", nodeSelector: {a: b}}"), "");
  EXPECT_NE(fault("Pod", "v1", "spec: {x: 1}", "spec: {x: 1, nodeSelector: {a: b}}"), "");
  EXPECT_NE(fault("Pod", "v1", "spec: {" + gates + ", nodeSelector: {a: b}}", "spec: {" + gates + "}"), "");
  std::string affinity = "affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: a}";
  EXPECT_EQ(fault("Pod", "v1", "spec: {" + gates + "}", "spec: {" + gates + ", " + affinity + "]}]}}}}"), "");
  EXPECT_EQ(fault("Pod", "v1", "spec: {" + gates + ", " + affinity + "]}]}}}}", "spec: {" + gates + ", " + affinity + ", {key: b}]}]}}}}"), "");
  EXPECT_NE(fault("Pod", "v1", "spec: {" + gates + ", " + affinity + "]}]}}}}", "spec: {" + gates + ", " + affinity + "]}, {matchExpressions: [{key: b}]}]}}}}"), "");
  EXPECT_NE(fault("Pod", "v1", "spec: {" + gates + "}", "spec: {" + gates + ", affinity: {podAffinity: {}}}"), "");
}

TEST(PatchRules, AJobsTemplateIsFixedUnlessItWaits) {
  std::string open = "spec: {template: {spec: {containers: [{image: a}]", waiting = "status: {}\nspec: {suspend: true, template: {spec: {containers: [{image: a}]";
  EXPECT_NE(fault("Job", "batch/v1", open + "}}}", open + ", nodeSelector: {a: b}}}}"), "");
  EXPECT_EQ(fault("Job", "batch/v1", waiting + "}}}", waiting + ", nodeSelector: {a: b}}}}"), "");
  EXPECT_NE(fault("Job", "batch/v1", waiting + "}}}", "status: {}\nspec: {suspend: true, template: {spec: {containers: [{image: b}]}}}"), "");
  std::string begun = "status: {startTime: x}\n" + waiting.substr(waiting.find('\n') + 1);
  EXPECT_NE(fault("Job", "batch/v1", begun + "}}}", begun + ", nodeSelector: {a: b}}}}"), "");
  EXPECT_EQ(fault("Job", "batch/v1", "spec: {suspend: true}", "spec: {suspend: false}"), "");
  EXPECT_EQ(fault("CronJob", "batch/v1", "spec: {template: 1}", "spec: {template: 2}"), "");
  EXPECT_EQ(fault("Job", "example.org/v1", "spec: {template: {a: 1}}", "spec: {template: {a: 2}}"), "") << "somebody else's kind of that name";
}

TEST(PatchRules, ImmutableConfigMapsAndStaticPods) {
  EXPECT_NE(fault("ConfigMap", "v1", "immutable: true\ndata: {a: b}", "immutable: true\ndata: {a: c}"), "");
  EXPECT_EQ(fault("ConfigMap", "v1", "data: {a: b}", "data: {a: c}"), "");
  EXPECT_NE(fault("Pod", "v1", "metadata: {annotations: {kubernetes.io/config.mirror: x}}\na: 1", "metadata: {annotations: {kubernetes.io/config.mirror: x}}\na: 2"), "");
}

TEST(PatchRules, WhatIsReplacedIsAsItWasCreated) {
  Json job = *parse_yaml(
      "kind: Job\nmetadata: {name: j, uid: u, resourceVersion: '1', labels: {controller-uid: u, app: a}}\nstatus: {active: 1}\n"
      "spec: {selector: {matchLabels: {controller-uid: u}}, template: {metadata: {labels: {batch.kubernetes.io/controller-uid: u, app: a}}}}");
  EXPECT_EQ(to_json(as_created_anew(job)), R"({"kind":"Job","metadata":{"name":"j","labels":{"app":"a"}},"spec":{"template":{"metadata":{"labels":{"app":"a"}}}}})");
  EXPECT_EQ(to_json(as_created_anew(*parse_yaml("kind: Pod\nspec: {nodeName: n, a: 1}"))), R"({"kind":"Pod","spec":{"a":1}})");
}

TEST(PatchRules, PatchesThatWouldBeRefusedAreNotOffered) {
  Json have = *parse_yaml("kind: Pod\nmetadata: {name: x, ownerReferences: [{controller: true, kind: Thing, name: \"t\\nrm -rf x\"}]}\nspec: {nodeSelector: {a: b}}"), want = have;
  want.find("spec")->erase("nodeSelector");
  std::string out = kubectl_patches({{"v1", "Pod", "shop", "x", have, want}});
  EXPECT_NE(out.find("# kubectl replace --force -f - <<'END'\n# {"), std::string::npos) << out;
  for (size_t at = 0; at < out.size(); at = out.find('\n', at) + 1) EXPECT_EQ(out[at], '#') << "nothing but comments: " << out;
  std::string elsewhere = kubectl_patches({{"v1", "Pod", "shop", "x", have, want}, {"v1", "Widget", "shop", "x", have, want}}, {"--context=it's\n"});
  EXPECT_NE(elsewhere.find("\n# kubectl '--context=it'\\''s ' replace --force"), std::string::npos) << elsewhere;
  EXPECT_NE(elsewhere.find("\nkubectl '--context=it'\\''s ' -n 'shop' patch"), std::string::npos) << elsewhere;
  std::string patch = kubectl_patches({{"v1", "Widget", "shop", "x", have, want}});
  EXPECT_NE(patch.find("# Widget x is made by Thing t rm -rf x"), std::string::npos) << patch;
  EXPECT_NE(patch.find("\nkubectl -n 'shop' patch 'widget' 'x'"), std::string::npos) << patch;
}

}  // namespace
}  // namespace archway::audit
