#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "audit/fix.h"
#include "base/check.h"
#include "format/yaml_tree.h"

using namespace archway;
using namespace archway::audit;
using Kind = Remedy::Kind;

namespace {

constexpr std::string_view kFile = "f.yaml";
constexpr size_t kMaxFindings = 40;

void find(const YamlNode& node, std::vector<Finding>& out) {
  auto add = [&](uint32_t begin, uint32_t end, Kind kind, std::string replacement, std::string image = {}) {
    if (out.size() >= kMaxFindings) return;
    Finding& finding = out.emplace_back();
    finding.place.source = kFile;
    finding.place.path = "/x";
    finding.place.begin = begin;
    finding.place.end = end;
    finding.image = std::move(image);
    finding.remedy = {kind, std::move(replacement), {{"linux", "arm64"}, {"linux", "amd64"}}, "fuzz"};
  };
  for (size_t i = 0; node.kind == YamlNode::Kind::Mapping && i + 1 < node.children.size(); i += 2) {
    const YamlNode& key = node.children[i];
    const YamlNode& value = node.children[i + 1];
    if (key.text == "containers") {
      add(node.begin, node.end, Kind::AddToleration, "arch=arm64:NoSchedule");
      add(node.begin, node.end, Kind::AddArchAffinity, node.size() % 2 ? "" : "preferred");
    }
    if (key.text == "kubernetes.io/arch") add(key.begin, value.end, node.line % 2 ? Kind::DropArchSelector : Kind::WidenArchSelector, "");
    if (key.text == "beta.kubernetes.io/arch") add(key.begin, value.end, Kind::RenameArchLabel, "kubernetes.io/arch");
    if (key.text == "key") add(node.begin, node.end, Kind::WidenArchSelector, "");
    if (key.text == "image" && value.kind == YamlNode::Kind::Scalar) add(value.begin, value.end, Kind::ReplaceImage, "example.org/new:1.10", value.text);
    if (key.text == "nodeSelector" && node.find("spec")) add(key.begin, value.end, Kind::MoveIntoPodSpec, "spec");
    if (key.text == "platform") add(key.begin, value.end, Kind::DropPlatform, "");
  }
  for (const YamlNode& child : node.children) find(child, out);
}

FileFix fix(std::string_view text, bool& any) {
  std::vector<Finding> findings;
  auto documents = parse_yaml_tree(text);
  if (documents.ok()) {
    for (const YamlTreeDocument& document : *documents) find(document.root, findings);
  }
  any = !findings.empty();
  std::vector<const Finding*> pointers;
  for (const Finding& finding : findings) pointers.push_back(&finding);
  return fix_text(text, std::string(kFile), pointers);
}

}  // namespace

// Whatever the YAML, edits never overlap or leave their document, and what comes out reads.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  bool any = false;
  FileFix once = fix({reinterpret_cast<const char*>(data), size}, any);
  if (!any) return 0;
  for (const Refused& refused : once.refused) CHECK(refused.why.find("overlap") == std::string::npos && refused.why.find("leaves its document") == std::string::npos && refused.why.find("same documents") == std::string::npos);
  CHECK(once.changed() != once.applied.empty());
  CHECK(parse_yaml_tree(once.after).ok());
  return 0;
}
