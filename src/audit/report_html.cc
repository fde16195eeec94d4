#include <algorithm>
#include <map>

#include "audit/finding_id.h"
#include "audit/report.h"
#include "base/hash.h"
#include "base/text.h"

// One page that needs nothing else: its style, its script and its picture are in it, and its own policy forbids everything else.
namespace archway::audit {

namespace {

constexpr size_t kMaxPlacesShown = 20, kMaxSquares = 5000, kSquaresInRow = 60;

std::string escape(std::string_view text) {
  std::string out;
  for (char c : text) {
    switch (c) {
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '&': out += "&amp;"; break;
      case '"': out += "&quot;"; break;
      case '\'': out += "&#39;"; break;
      default: out += static_cast<unsigned char>(c) < 0x20 && c != '\n' ? ' ' : c;
    }
  }
  return out;
}

constexpr std::string_view kStyle = R"(
:root{color-scheme:light dark;--ready:#2e8b57;--ready-after-update:#8fbc3f;--ready-after-repin:#c9b037;--wrong-content:#8b1a8b;--not-ready:#c0392b;--unknown:#888;--skipped:#bbb}
body{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:75rem;padding:0 1rem}
table{border-collapse:collapse;width:100%;margin:1rem 0}th,td{text-align:left;padding:.3rem .6rem;border-bottom:1px solid #8884;vertical-align:top;overflow-wrap:anywhere}
th{cursor:pointer;user-select:none}th[data-order=up]::after{content:" ▲"}th[data-order=down]::after{content:" ▼"}
.v{display:inline-block;padding:0 .45em;border-radius:.3em;color:#fff;white-space:nowrap}
.ready{background:var(--ready)}.ready-after-update{background:var(--ready-after-update)}.ready-after-repin{background:var(--ready-after-repin)}.wrong-content{background:var(--wrong-content)}
.not-ready{background:var(--not-ready)}.unknown{background:var(--unknown)}.skipped{background:var(--skipped)}
.f-ready{fill:var(--ready)}.f-ready-after-update{fill:var(--ready-after-update)}.f-ready-after-repin{fill:var(--ready-after-repin)}.f-wrong-content{fill:var(--wrong-content)}
.f-not-ready{fill:var(--not-ready)}.f-unknown{fill:var(--unknown)}.f-skipped{fill:var(--skipped)}.node{fill:#4a78b5}.other{fill:#9aa7b5}
svg text{font:12px system-ui,sans-serif;fill:currentColor}input{font:inherit;padding:.3rem .5rem;width:100%;box-sizing:border-box}
.error{color:var(--not-ready)}.warning{color:#b8860b}small{opacity:.75}details{display:inline})";

constexpr std::string_view kScript = R"(
const rows=t=>[...t.tBodies[0].rows];
for(const t of document.querySelectorAll('table.sortable')){
 const box=document.createElement('input');box.type='search';box.placeholder='filter';box.setAttribute('aria-label','filter');t.before(box);
 box.oninput=()=>{const w=box.value.toLowerCase().split(/\s+/);for(const r of rows(t)){const x=r.textContent.toLowerCase();r.hidden=!w.every(s=>x.includes(s))}};
 [...t.tHead.rows[0].cells].forEach((h,i)=>h.onclick=()=>{
  const up=h.dataset.order!=='up';for(const o of t.tHead.rows[0].cells)delete o.dataset.order;h.dataset.order=up?'up':'down';
  const key=r=>r.cells[i].dataset.key??r.cells[i].textContent;
  rows(t).map(r=>[key(r),r]).sort((a,b)=>(up?1:-1)*(a[0].localeCompare(b[0],undefined,{numeric:true}))).forEach(p=>t.tBodies[0].append(p[1]))})}
)";

std::string from_hex(const std::string& hex) {
  std::string bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) bytes += static_cast<char>(parse_uint(hex.substr(i, 2), 16).value_or(0));
  return bytes;
}

std::string policy_hash(std::string_view text) { return "'sha256-" + base64_encode(from_hex(sha256_hex(text))) + "'"; }

std::string badge(Verdict verdict) { return "<span class=\"v " + std::string(verdict_name(verdict)) + "\">" + std::string(verdict_name(verdict)) + "</span>"; }

std::string cell(std::string_view text) { return "<td>" + escape(text) + "</td>"; }

class Page {
 public:
  explicit Page(const Report& report) : report_(report), audit_(*report.audit) {}

  std::string write() {
    head();
    for (size_t p = 0; p < audit_.platforms.size(); ++p) summary(p);
    findings();
    images();
    workloads();
    unseen("Not looked at", audit_.collection.unseen);
    unseen("Left out", audit_.collection.skipped);
    out_ += "<script>" + std::string(kScript) + "</script></body></html>\n";
    return std::move(out_);
  }

 private:
  void head() {
    out_ = "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">"
           "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src " + policy_hash(kStyle) + "; script-src " + policy_hash(kScript) +
           "\"><title>archway audit</title><style>" + std::string(kStyle) + "</style></head><body><h1>archway audit</h1><p>";
    if (!report_.made_at.empty()) out_ += "<small>" + escape(report_.made_at) + " · </small>";
    out_ += "<small>" + std::to_string(audit_.collection.files) + " files, " + std::to_string(audit_.collection.objects) + " objects, " + std::to_string(audit_.images.size()) + " images</small></p>\n";
  }

  void summary(size_t p) {
    out_ += "<h2>Ready for " + escape(audit_.platforms[p].str()) + "?</h2>";
    Counts workloads = workload_counts(audit_, p), images = image_counts(audit_, p);
    out_ += "<p>";
    for (int i = 0; i <= static_cast<int>(Verdict::Skipped); ++i) {
      auto verdict = static_cast<Verdict>(i);
      if (workloads[verdict] + images[verdict] > 0) out_ += badge(verdict) + " " + std::to_string(workloads[verdict]) + " workloads, " + std::to_string(images[verdict]) + " images &nbsp; ";
    }
    out_ += "</p>";
    picture(p);
  }

  // Nodes by architecture, and below them every workload as a square in its verdict's colour.
  void picture(size_t p) {
    std::map<std::string, size_t> nodes;
    for (const kube::Node& node : audit_.collection.nodes) ++nodes[node.architecture().empty() ? "unknown" : node.architecture()];
    size_t squares = std::min(audit_.workloads.size(), kMaxSquares);
    if (nodes.empty() && squares == 0) return;
    size_t node_height = nodes.size() * 22, rows = (squares + kSquaresInRow - 1) / kSquaresInRow;
    size_t height = node_height + rows * 16 + 30;
    out_ += "<svg role=\"img\" aria-label=\"the cluster by architecture\" viewBox=\"0 0 980 " + std::to_string(height) + "\" width=\"100%\">";
    size_t most = 1, y = 14;
    for (const auto& [architecture, count] : nodes) most = std::max(most, count);
    for (const auto& [architecture, count] : nodes) {
      bool wanted = architecture == audit_.platforms[p].architecture;
      out_ += "<text x=\"0\" y=\"" + std::to_string(y) + "\">" + escape(architecture) + "</text><rect class=\"" + (wanted ? "node" : "other") + "\" x=\"90\" y=\"" + std::to_string(y - 12) + "\" height=\"16\" width=\"" +
              std::to_string(std::max<size_t>(2, count * 700 / most)) + "\"/><text x=\"800\" y=\"" + std::to_string(y) + "\">" + std::to_string(count) + " nodes</text>";
      y += 22;
    }
    for (size_t i = 0; i < squares; ++i) {
      std::string_view verdict = verdict_name(audit_.workloads[i].verdicts[p]);
      out_ += "<rect class=\"f-" + std::string(verdict) + "\" x=\"" + std::to_string(i % kSquaresInRow * 16) + "\" y=\"" + std::to_string(y + i / kSquaresInRow * 16) + "\" width=\"14\" height=\"14\"><title>" +
              escape(audit_.collection.workloads[i].place.object) + ": " + std::string(verdict) + "</title></rect>";
    }
    out_ += "</svg>\n";
  }

  std::string places(const Finding& finding) const {
    std::string text = escape(place_text(finding.place));
    if (finding.others.empty()) return text;
    text += "<details><summary>" + std::to_string(finding.others.size()) + " more</summary>";
    for (size_t i = 0; i < finding.others.size() && i < kMaxPlacesShown; ++i) text += "<br>" + escape(place_text(finding.others[i]));
    if (finding.others.size() > kMaxPlacesShown) text += "<br>…";
    return text + "</details>";
  }

  void findings() {
    out_ += "<h2>Findings</h2><table class=\"sortable\"><thead><tr><th>severity<th>rule<th>what<th>where<th>what to do</tr></thead><tbody>\n";
    for (const Finding& finding : audit_.findings) {
      if (report_.is_suppressed(finding.id)) continue;
      std::string severity(severity_name(finding.severity));
      out_ += "<tr><td class=\"" + severity + "\" data-key=\"" + std::to_string(static_cast<int>(finding.severity)) + "\">" + severity + "</td>" + cell(finding.rule) + cell(finding.message) + "<td>" + places(finding) + "</td>" + cell(finding.advice) + "</tr>\n";
    }
    out_ += "</tbody></table>\n";
  }

  void verdict_cells(const std::vector<Verdict>& verdicts) {
    for (Verdict verdict : verdicts) out_ += "<td data-key=\"" + std::to_string(static_cast<int>(verdict)) + "\">" + badge(verdict) + "</td>";
  }

  void platform_heads() {
    for (const Platform& platform : audit_.platforms) out_ += "<th>" + escape(platform.str());
  }

  void images() {
    out_ += "<h2>Images</h2><table class=\"sortable\"><thead><tr><th>image";
    platform_heads();
    out_ += "<th>workloads<th>alone blocks<th>why</tr></thead><tbody>\n";
    for (const JudgedImage& image : audit_.images) {
      std::vector<Verdict> verdicts;
      std::string why;
      for (const Judgement& judgement : image.judgements) {
        verdicts.push_back(judgement.verdict);
        if (why.empty()) why = judgement.reason;
      }
      out_ += "<tr>" + cell(image.image);
      verdict_cells(verdicts);
      out_ += "<td>" + std::to_string(image.workloads) + "</td><td>" + std::to_string(image.sole_blocker_of) + "</td>" + cell(why) + "</tr>\n";
    }
    out_ += "</tbody></table>\n";
  }

  void workloads() {
    if (audit_.workloads.empty()) return;
    out_ += "<h2>Workloads</h2><table class=\"sortable\"><thead><tr><th>workload";
    platform_heads();
    out_ += "<th>pods<th>blocked by</tr></thead><tbody>\n";
    for (size_t i = 0; i < audit_.workloads.size(); ++i) {
      const Workload& workload = audit_.collection.workloads[i];
      out_ += "<tr>" + cell(workload.place.object);
      verdict_cells(audit_.workloads[i].verdicts);
      out_ += "<td>" + std::to_string(workload.pods) + "</td>" + cell(blockers(audit_.workloads[i])) + "</tr>\n";
    }
    out_ += "</tbody></table>\n";
  }

  std::string blockers(const JudgedWorkload& workload) const {
    std::vector<std::string> names;
    for (size_t index : workload.images) {
      const JudgedImage& image = audit_.images[index];
      bool blocks = std::any_of(image.judgements.begin(), image.judgements.end(), [](const Judgement& judgement) { return judgement.verdict != Verdict::Ready && judgement.verdict != Verdict::Skipped; });
      if (blocks) names.push_back(image.image);
    }
    return join(names, ", ");
  }

  void unseen(std::string_view title, const std::vector<Unseen>& list) {
    if (list.empty()) return;
    out_ += "<h2>" + std::string(title) + "</h2><ul>";
    for (const Unseen& each : list) out_ += "<li>" + escape(each.what) + ": " + escape(each.why) + "</li>";
    out_ += "</ul>\n";
  }

  const Report& report_;
  const Audit& audit_;
  std::string out_;
};

}  // namespace

std::string html_report(const Report& report) { return Page(report).write(); }

}  // namespace archway::audit
