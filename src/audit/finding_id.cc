#include "audit/finding_id.h"

#include <filesystem>

#include "base/hash.h"
#include "image/reference.h"

namespace archway::audit {

namespace {

// Nothing to be made plain: no empty part, none that begins with a dot. So are most paths, and std::filesystem takes its time.
bool is_plain(const std::string& path) {
  for (size_t at = 0; at < path.size(); ++at) {
    bool begins = at == 0 || path[at - 1] == '/';
    if (begins && (path[at] == '.' || (path[at] == '/' && at > 0))) return false;
  }
  return true;
}

}  // namespace

std::string finding_id(const Finding& finding) {
  std::string platforms;
  for (const Platform& platform : finding.platforms) platforms += platform.str() + ",";
  std::string about;
  if (!finding.image.empty()) {
    auto reference = Reference::parse(finding.image);
    about = "image\n" + (reference.ok() ? reference->str() : finding.image);
  } else {
    about = finding.rule + '\n' + plain_path(finding.place.source) + '\n' + finding.place.object + '\n' + finding.place.path;
  }
  return sha256_hex(about + '\n' + platforms).substr(0, 12);
}

std::string plain_path(const std::string& path) { return is_plain(path) ? path : std::filesystem::path(path).lexically_normal().string(); }

std::string place_text(const Place& place) {
  std::string text = place.source;
  if (place.line != 0) text += ":" + std::to_string(place.line) + ":" + std::to_string(place.column);
  if (place.object.empty()) return text;
  return text.empty() ? place.object.str() : place.object + " in " + text;
}

std::string_view verdict_name(Verdict verdict) {
  switch (verdict) {
    case Verdict::Ready: return "ready";
    case Verdict::ReadyAfterUpdate: return "ready-after-update";
    case Verdict::ReadyAfterRepin: return "ready-after-repin";
    case Verdict::WrongContent: return "wrong-content";
    case Verdict::NotReady: return "not-ready";
    case Verdict::Unknown: return "unknown";
    case Verdict::Skipped: return "skipped";
  }
  return "";
}

std::string_view severity_name(Finding::Severity severity) {
  switch (severity) {
    case Finding::Severity::Error: return "error";
    case Finding::Severity::Warning: return "warning";
    case Finding::Severity::Note: return "note";
  }
  return "";
}

std::string_view confidence_name(Confidence confidence) {
  switch (confidence) {
    case Confidence::Certain: return "certain";
    case Confidence::Likely: return "likely";
    case Confidence::Possible: return "possible";
  }
  return "";
}

}  // namespace archway::audit
