#include "audit/finding_id.h"
#include "audit/pod_reader.h"
#include "audit/readers.h"
#include "audit/written_image.h"

namespace archway::audit {

namespace {

Place service_place(const Where& where, std::string_view service, const Value& at, std::string path) {
  Place base;
  base.source = where.source;
  base.document = where.document;
  base.object = "service " + std::string(service);
  base.kind = "service";
  base.name = std::string(service);
  return place_of(base, at.followed(), std::move(path));
}

void pinned_service(const Place& place, const std::string& platform, Collection& out) {
  Finding finding;
  finding.rule = "compose-platform";
  finding.severity = Finding::Severity::Warning;
  finding.place = place;
  finding.message = place.object + " is pinned to " + platform + ": on any other machine it runs emulated, or not at all";
  finding.advice = "remove the line where its image is for other platforms too";
  finding.remedy.kind = Remedy::Kind::DropPlatform;
  finding.remedy.why = "the image is chosen for the machine by itself";
  finding.id = finding_id(finding);
  out.findings.push_back(std::move(finding));
}

void placement(const Value& service, const Where& where, std::string_view name, const std::string& path, Collection& out) {
  size_t index = 0;
  service["deploy"]["placement"]["constraints"].each_item([&](const Value& item) {
    std::string at = path + "/deploy/placement/constraints/" + std::to_string(index++);
    std::string_view text = item.scalar();
    if (text.find("node.platform.arch") == text.npos || text.find("==") == text.npos) return;
    if (text.find("x86_64") == text.npos && text.find("amd64") == text.npos) return;
    Finding finding;
    finding.rule = "arch-selector";
    finding.severity = Finding::Severity::Warning;
    finding.place = service_place(where, name, item, at);
    finding.message = finding.place.object + " may only run on x86-64 nodes (" + std::string(text) + ")";
    finding.advice = "remove the constraint where its image is for other platforms too";
    finding.remedy.kind = Remedy::Kind::DropArchSelector;
    finding.remedy.why = "the constraint keeps it off the new nodes";
    finding.id = finding_id(finding);
    out.findings.push_back(std::move(finding));
  });
}

void read_service(std::string_view name, const Value& service, const Where& where, const Variables& variables, Collection& out) {
  std::string path = "/services/" + std::string(name);
  std::vector<Platform> pinned;
  if (const Value* platform = service.find("platform"); platform && platform->is_scalar() && !platform->is_null()) {
    std::string text = expand_variables(platform->scalar(), variables);
    if (auto parsed = parse_platform(text); parsed.ok()) {
      pinned.push_back(*parsed);
      pinned_service(service_place(where, name, *platform, path + "/platform"), parsed->str(), out);
    }
  }
  placement(service, where, name, path, out);
  const Value* image = service.find("image");
  if (!image || !image->is_scalar() || image->is_null()) return;
  ImageUse use;
  use.image = expand_variables(image->scalar(), variables);
  use.place = service_place(where, name, *image, path + "/image");
  use.name = std::string(name);
  use.pinned = std::move(pinned);
  if (use.image != image->scalar()) use.place.begin = use.place.end = 0;
  if (service.find("build")) {
    use.skip = "built by this compose file";
    if (auto written = read_image(use.image); written.reference) out.built.insert(written.reference->name());
  }
  out.uses.push_back(std::move(use));
}

}  // namespace

void read_compose(const Value& root, const Where& where, const Variables& variables, Collection& out) {
  size_t services = 0;
  root["services"].each_member([&](const Value& key, const Value& service) {
    if (++services <= kMaxValuesWalked && service.is_mapping()) read_service(key.scalar(), service, where, variables, out);
  });
}

}  // namespace archway::audit
