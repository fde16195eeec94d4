#include "verify/verify.h"

// The report as JSON (docs/verify.md).
namespace archway {

namespace {

// Names in a layer are bytes; JSON is UTF-8. What is not, becomes U+FFFD.
std::string utf8(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size();) {
    unsigned char first = static_cast<unsigned char>(text[i]);
    size_t length = first < 0x80 ? 1 : first >= 0xc2 && first < 0xe0 ? 2 : first >= 0xe0 && first < 0xf0 ? 3 : first >= 0xf0 && first < 0xf5 ? 4 : 0;
    bool good = length > 0 && i + length <= text.size();
    for (size_t k = 1; good && k < length; ++k) {
      unsigned char next = static_cast<unsigned char>(text[i + k]);
      unsigned char least = k > 1 ? 0x80 : first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
      unsigned char most = k > 1 ? 0xbf : first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
      good = next >= least && next <= most;
    }
    out += good ? text.substr(i, length) : std::string_view("\xef\xbf\xbd");
    i += good ? length : 1;
  }
  return out;
}

Json finding_json(const Finding& finding) {
  Json json = Json::object({{"severity", finding.severity == Severity::Error ? "error" : "note"}, {"rule", finding.rule}, {"message", utf8(finding.message)}});
  if (!finding.path.empty()) json.set("path", utf8(finding.path));
  if (finding.layer_number > 0) {
    json.set("layer", finding.layer);
    json.set("layer_number", finding.layer_number);
    json.set("history", utf8(finding.history));
  }
  return json;
}

Json verdict_json(const PlatformVerdict& verdict) {
  Json findings = Json::array(), chain = Json::array();
  for (const Finding& finding : verdict.findings) findings.push(finding_json(finding));
  for (const std::string& step : verdict.entry_chain) chain.push(utf8(step));
  Json json = Json::object({{"platform", verdict.platform.str()}, {"manifest", verdict.manifest.str()}, {"ok", verdict.ok()}, {"checked", !verdict.not_checked.has_value()},
                            {"elf_files", verdict.elf_files}, {"userland", verdict.userland}, {"entry_point", std::move(chain)}});
  if (verdict.not_checked) json.set("not_checked", utf8(verdict.not_checked->message));
  if (!verdict.cause.empty()) json.set("cause", utf8(verdict.cause));
  json.set("findings", std::move(findings));
  return json;
}

}  // namespace

Json report_json(const VerifyReport& report) {
  Json platforms = Json::array();
  bool ok = true;
  for (const PlatformVerdict& verdict : report.platforms) {
    ok = ok && verdict.ok();
    platforms.push(verdict_json(verdict));
  }
  return Json::object({{"ok", ok}, {"platforms", std::move(platforms)}});
}

}  // namespace archway
