#include "cli/fix_requests.h"

#include <algorithm>

#include "audit/written_image.h"
#include "base/text.h"
#include "image/platform.h"
#include "kube/taint.h"

namespace archway::cli {

namespace {

using audit::Finding;
using audit::Remedy;

struct NewImage {
  std::string old_name, new_name;
};

Result<std::vector<NewImage>> new_images(const Arguments& arguments) {
  std::vector<NewImage> images;
  for (const std::string& text : arguments.many("set-image")) {
    auto [from, to] = cut(text, '=');
    if (from.empty() || !to || !audit::read_image(*to).reference || !audit::read_image(from).reference) {
      return usage_error("--set-image " + text + ": expected OLD=NEW, two references such as nginx:1.19=nginx:1.25");
    }
    images.push_back({std::string(from), std::string(*to)});
  }
  return images;
}

// "host:5000/name:tag@digest" -> "host:5000/name" and ":tag@digest"
std::pair<std::string_view, std::string_view> name_and_rest(std::string_view image) {
  size_t at = std::min(image.find('@'), image.size());
  size_t slash = image.substr(0, at).rfind('/');
  size_t colon = image.substr(0, at).find(':', slash == image.npos ? 0 : slash);
  size_t end = std::min(colon, at);
  return {image.substr(0, end), image.substr(end)};
}

// What stands in an old image's place. An old name without a tag is meant with any; a new one without keeps the old one's.
std::string replacement_for(const NewImage& request, const std::string& image) {
  auto [wanted_name, wanted_rest] = name_and_rest(request.old_name);
  auto [name, rest] = name_and_rest(image);
  if (wanted_rest.empty() ? name != wanted_name : image != request.old_name) return {};
  auto [new_name, new_rest] = name_and_rest(request.new_name);
  // A digest belongs to one repository.
  if (new_rest.empty()) return std::string(new_name) + std::string(rest.substr(0, rest.find('@')));
  return request.new_name;
}

Finding finding_at(const audit::Place& place, Remedy::Kind kind, std::string why) {
  Finding finding;
  finding.rule = "requested";
  finding.place = place;
  finding.remedy.kind = kind;
  finding.remedy.why = std::move(why);
  return finding;
}

void set_images(const std::vector<NewImage>& requests, const audit::Collection& collection, std::vector<Finding>& out) {
  for (const audit::ImageUse& use : collection.uses) {
    for (const NewImage& request : requests) {
      std::string replacement = replacement_for(request, use.image);
      if (replacement.empty() || replacement == use.image) continue;
      Finding finding = finding_at(use.place, Remedy::Kind::ReplaceImage, "--set-image " + request.old_name + "=" + request.new_name);
      finding.image = use.image;
      auto [name, rest] = name_and_rest(replacement);
      // A chart's values keep name and tag apart.
      bool same_name = name == name_and_rest(use.image).first;
      if (use.part == audit::ImageUse::Part::Tag && !same_name) continue;
      finding.remedy.replacement = use.part == audit::ImageUse::Part::Tag ? std::string(rest.substr(rest.starts_with(':'))) : use.part == audit::ImageUse::Part::Repository ? std::string(name) : replacement;
      out.push_back(std::move(finding));
    }
  }
}

// How --arch is meant, as Remedy::replacement has it.
Result<std::string> manner_of(const Arguments& arguments) {
  size_t named = arguments.has("require") + arguments.has("prefer") + arguments.has("select");
  if (named > 1) return usage_error("--require, --prefer and --select are three ways of saying --arch: give one");
  if (arguments.has("select")) return std::string("selector");
  if (!arguments.has("prefer")) {
    if (arguments.has("weight")) return usage_error("--weight goes with --prefer");
    return std::string("required");
  }
  auto weight = parse_uint(arguments.one_or("weight", "100"));
  if (!weight || *weight < 1 || *weight > 100) return usage_error("--weight " + arguments.one_or("weight", "") + ": expected 1 to 100");
  return "preferred:" + std::to_string(*weight);
}

}  // namespace

std::vector<Flag> fix_request_flags() {
  using enum Flag::Kind;
  return {{"set-image", 0, Many, "OLD=NEW", "write NEW where OLD stands; OLD without a tag means any"},
          {"add-toleration", 0, Many, "KEY=VALUE:EFFECT", "pods tolerate this taint"},
          {"arch", 0, Many, "ARCH", "with --require (the default), --prefer or --select: where pods are to go"},
          {"require", 0, Bool, "", "by required node affinity, in every term"},
          {"prefer", 0, Bool, "", "by preferred node affinity"},
          {"weight", 0, One, "N", "of the preference, 1 to 100 (default 100)"},
          {"select", 0, Bool, "", "by nodeSelector kubernetes.io/arch"},
          {"drop-arch-selector", 0, Bool, "", "remove all that pods say about architectures"}};
}

bool has_fix_requests(const Arguments& arguments) {
  return arguments.has("set-image") || arguments.has("add-toleration") || arguments.has("arch") || arguments.has("drop-arch-selector");
}

Result<std::vector<Finding>> requested_fixes(const Arguments& arguments, const audit::Collection& collection) {
  std::vector<Finding> findings;
  std::vector<NewImage> images = TRY(new_images(arguments));
  set_images(images, collection, findings);
  std::vector<kube::Taint> taints;
  for (const std::string& text : arguments.many("add-toleration")) taints.push_back(TRY(kube::parse_taint(text).context("--add-toleration " + text)));
  std::vector<Platform> platforms;
  for (const std::string& list : arguments.many("arch")) {
    for (const std::string& name : split(list, ',')) {
      Platform platform = TRY(parse_platform("linux/" + name).context("--arch " + list));
      platforms.push_back(std::move(platform));
    }
  }
  std::string manner = TRY(manner_of(arguments));
  for (const audit::Workload& workload : collection.workloads) {
    if (arguments.has("drop-arch-selector")) findings.push_back(finding_at(workload.place, Remedy::Kind::DropArchSelector, "--drop-arch-selector"));
    for (const kube::Taint& taint : taints) {
      findings.push_back(finding_at(workload.place, Remedy::Kind::AddToleration, "--add-toleration " + taint.str()));
      findings.back().remedy.replacement = taint.str();
    }
    if (platforms.empty()) continue;
    findings.push_back(finding_at(workload.place, Remedy::Kind::AddArchAffinity, "--arch " + join(arguments.many("arch"), ",")));
    findings.back().remedy.platforms = platforms;
    findings.back().remedy.replacement = manner;
  }
  return findings;
}

Result<FixFilter> FixFilter::parse(const Arguments& arguments) {
  FixFilter filter;
  for (const std::string& text : arguments.many("only")) {
    auto [kind, name] = cut(text, '/');
    if (kind.empty() || !name || name->empty()) return usage_error("--only " + text + ": expected KIND/NAME, such as deployment/web");
    filter.objects_.push_back({to_lower(kind), std::string(*name)});
  }
  filter.rules_ = arguments.many("rule");
  return filter;
}

bool FixFilter::wants(const Finding& finding, const audit::Place& place) const {
  bool object = objects_.empty() || std::any_of(objects_.begin(), objects_.end(), [&](const Object& each) {
    std::string kind = to_lower(place.kind);
    return (each.kind == kind || each.kind == kind + "s") && (each.name == place.name || each.name == "*");
  });
  return object && (rules_.empty() || std::find(rules_.begin(), rules_.end(), finding.rule) != rules_.end());
}

}  // namespace archway::cli
