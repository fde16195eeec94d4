#include <algorithm>
#include <map>

#include "audit/finding_id.h"
#include "audit/report.h"
#include "base/hash.h"
#include "base/text.h"
#include "format/html.h"

// One page that needs nothing else: its style, its script and its picture are in it, and its own policy forbids everything else.
namespace archway::audit {

namespace {

constexpr size_t kMaxPlacesShown = 20, kMaxSquares = 20'000, kMaxNodesDrawn = 500;

constexpr std::string_view kStyle = R"(
:root{color-scheme:light dark;--ready:#2e8b57;--ready-after-update:#7da428;--ready-after-repin:#b9972b;--wrong-content:#8b1a8b;--not-ready:#c0392b;--unknown:#808080;--skipped:#b5b5b5}
body{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:80rem;padding:0 1rem}h2{margin-top:2.2rem}
table{border-collapse:collapse;width:100%;margin:.6rem 0}th,td{text-align:left;padding:.3rem .6rem;border-bottom:1px solid #8884;vertical-align:top}
th{white-space:nowrap;position:sticky;top:0;background:Canvas}th button{font:inherit;font-weight:600;border:0;background:none;color:inherit;padding:0;cursor:pointer}
th[aria-sort=ascending] button::after{content:" \25b2"}th[aria-sort=descending] button::after{content:" \25bc"}
.s{white-space:nowrap}.r{min-width:8rem}.w{overflow-wrap:anywhere;min-width:12rem}.n{text-align:right;font-variant-numeric:tabular-nums}
.v{display:inline-block;padding:0 .45em;border-radius:.3em;color:#fff;white-space:nowrap}
.ready{background:var(--ready)}.ready-after-update{background:var(--ready-after-update)}.ready-after-repin{background:var(--ready-after-repin)}.wrong-content{background:var(--wrong-content)}
.not-ready{background:var(--not-ready)}.unknown{background:var(--unknown)}.skipped{background:var(--skipped)}
.f-ready{fill:var(--ready)}.f-ready-after-update{fill:var(--ready-after-update)}.f-ready-after-repin{fill:var(--ready-after-repin)}.f-wrong-content{fill:var(--wrong-content)}
.f-not-ready{fill:var(--not-ready)}.f-unknown{fill:var(--unknown)}.f-skipped{fill:var(--skipped)}
.bar{display:block;width:100%;height:1.5rem;border-radius:.3rem}.legend{display:flex;flex-wrap:wrap;gap:.3rem 1.4rem;margin:.6rem 0}
.map{display:grid;grid-template-columns:minmax(6rem,max-content) max-content 1fr;gap:.45rem .9rem;align-items:start;margin:1rem 0}
.map b{font-weight:600;overflow-wrap:anywhere;max-width:16rem}.q{display:flex;flex-wrap:wrap;gap:3px;padding-top:.2rem}
.q span{width:14px;height:14px;border-radius:2px;cursor:pointer}.q .node{background:#4a78b5;cursor:default}.q .other{background:#9aa7b5;cursor:default}
input{font:inherit;padding:.3rem .5rem;width:100%;box-sizing:border-box}.tools{display:flex;gap:1rem;align-items:center}.tools output{white-space:nowrap;opacity:.75}
.error{color:var(--not-ready)}.warning{color:#a8730a}small{opacity:.75}details{display:inline}@media print{.tools{display:none}th{position:static}})";

constexpr std::string_view kScript = R"(
const rows=t=>[...t.tBodies[0].rows];
for(const t of document.querySelectorAll('table.sortable')){
 const bar=document.createElement('div'),box=document.createElement('input'),shown=document.createElement('output');bar.className='tools';
 box.type='search';box.placeholder='filter: words that a row must have';box.setAttribute('aria-label','filter');bar.append(box,shown);t.before(bar);
 t.narrow=()=>{const w=box.value.toLowerCase().split(/\s+/);let n=0;for(const r of rows(t)){const x=r.textContent.toLowerCase();r.hidden=!w.every(s=>x.includes(s));n+=!r.hidden}shown.value=n+' of '+rows(t).length};
 t.look=text=>{box.value=text;t.narrow();t.parentElement.scrollIntoView()};box.oninput=t.narrow;t.narrow();
 [...t.tHead.rows[0].cells].forEach((h,i)=>{
  const b=document.createElement('button');b.type='button';b.textContent=h.textContent;h.replaceChildren(b);
  b.onclick=()=>{const up=h.getAttribute('aria-sort')!=='ascending';for(const o of t.tHead.rows[0].cells)o.removeAttribute('aria-sort');h.setAttribute('aria-sort',up?'ascending':'descending');
   const key=r=>r.cells[i].dataset.key??r.cells[i].textContent;
   rows(t).map(r=>[key(r),r]).sort((a,b)=>(up?1:-1)*(a[0].localeCompare(b[0],undefined,{numeric:true}))).forEach(p=>t.tBodies[0].append(p[1]))}})}
document.addEventListener('click',e=>{const name=e.target.dataset?.workload,t=document.querySelector('#workloads table');if(name&&t)t.look(name)})
)";

std::string from_hex(const std::string& hex) {
  std::string bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) bytes += static_cast<char>(parse_uint(hex.substr(i, 2), 16).value_or(0));
  return bytes;
}

std::string policy_hash(std::string_view text) { return "'sha256-" + base64_encode(from_hex(sha256_hex(text))) + "'"; }

std::string badge(Verdict verdict) { return "<span class=\"v " + std::string(verdict_name(verdict)) + "\">" + std::string(verdict_name(verdict)) + "</span>"; }

std::string cell(std::string_view text, std::string_view look = "w") { return "<td class=\"" + std::string(look) + "\">" + html_text(text) + "</td>"; }

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
    if (!report_.made_at.empty()) out_ += "<small>" + html_text(report_.made_at) + " · </small>";
    out_ += "<small>" + std::to_string(audit_.collection.files) + " files, " + std::to_string(audit_.collection.objects) + " objects, " + std::to_string(audit_.images.size()) + " images</small></p>\n";
  }

  void summary(size_t p) {
    out_ += "<h2>Ready for " + html_text(audit_.platforms[p].str()) + "?</h2>\n";
    Counts workloads = workload_counts(audit_, p), images = image_counts(audit_, p);
    bar(workloads.total() > 0 ? workloads : images);
    out_ += "<div class=\"legend\">";
    for (int i = 0; i <= static_cast<int>(Verdict::Skipped); ++i) {
      auto verdict = static_cast<Verdict>(i);
      if (workloads[verdict] + images[verdict] == 0) continue;
      out_ += "<span>" + badge(verdict) + " " + counted(workloads[verdict], "workload") + ", " + counted(images[verdict], "image") + "</span>";
    }
    out_ += "</div>\n";
    picture(p);
  }

  static std::string counted(size_t count, const char* what) { return std::to_string(count) + " " + what + (count == 1 ? "" : "s"); }

  // How much of all is how ready.
  void bar(const Counts& counts) {
    if (counts.total() == 0) return;
    out_ += "<svg class=\"bar\" role=\"img\" aria-label=\"how much is ready\" preserveAspectRatio=\"none\" viewBox=\"0 0 " + std::to_string(counts.total()) + " 1\">";
    size_t x = 0;
    for (int i = 0; i <= static_cast<int>(Verdict::Skipped); ++i) {
      auto verdict = static_cast<Verdict>(i);
      if (counts[verdict] == 0) continue;
      out_ += "<rect class=\"f-" + std::string(verdict_name(verdict)) + "\" x=\"" + std::to_string(x) + "\" y=\"0\" height=\"1\" width=\"" + std::to_string(counts[verdict]) + "\"><title>" +
              std::to_string(counts[verdict]) + " " + std::string(verdict_name(verdict)) + "</title></rect>";
      x += counts[verdict];
    }
    out_ += "</svg>\n";
  }

  // The cluster: nodes by architecture, and below them every workload as a square of its verdict's colour, by namespace.
  void picture(size_t p) {
    nodes(p);
    std::map<std::string, std::vector<size_t>> spaces;
    for (size_t i = 0; i < audit_.workloads.size(); ++i) spaces[std::string(audit_.collection.workloads[i].place.name_space)].push_back(i);
    if (spaces.empty()) return;
    out_ += "<div class=\"map\" role=\"img\" aria-label=\"workloads by namespace\">";
    size_t drawn = 0;
    for (const auto& [name, workloads] : spaces) {
      size_t ready = static_cast<size_t>(std::count_if(workloads.begin(), workloads.end(), [&](size_t i) { return audit_.workloads[i].verdicts[p] == Verdict::Ready; }));
      out_ += "<b>" + (name.empty() ? "no namespace" : html_text(name)) + "</b><small>" + std::to_string(ready) + " of " + std::to_string(workloads.size()) + " ready</small><div class=\"q\">";
      for (size_t i : workloads) {
        Verdict verdict = audit_.workloads[i].verdicts[p];
        if (drawn++ >= kMaxSquares) continue;
        std::string object = html_text(audit_.collection.workloads[i].place.object);
        out_ += "<span class=\"" + std::string(verdict_name(verdict)) + "\" data-workload=\"" + object + "\" title=\"" + object + ": " + std::string(verdict_name(verdict)) + "\"></span>";
      }
      out_ += "</div>\n";
    }
    out_ += "</div>\n";
    if (drawn > kMaxSquares) out_ += "<p><small>The first " + std::to_string(kMaxSquares) + " workloads are drawn.</small></p>\n";
  }

  void nodes(size_t p) {
    std::map<std::string, std::vector<const kube::Node*>> kinds;
    for (const kube::Node& node : audit_.collection.nodes) kinds[node.architecture().empty() ? "unknown" : std::string(node.architecture())].push_back(&node);
    if (kinds.empty()) return;
    out_ += "<div class=\"map\" role=\"img\" aria-label=\"the cluster by architecture\">";
    for (const auto& [architecture, list] : kinds) {
      out_ += "<b>" + html_text(architecture) + "</b><small>" + counted(list.size(), "node") + "</small><div class=\"q\">";
      for (size_t i = 0; i < list.size() && i < kMaxNodesDrawn; ++i) {
        std::string title = list[i]->name();
        for (const kube::Taint& taint : list[i]->taints) title += ", taint " + taint.str();
        out_ += "<span class=\"" + std::string(architecture == audit_.platforms[p].architecture ? "node" : "other") + "\" title=\"" + html_text(title) + "\"></span>";
      }
      out_ += "</div>\n";
    }
    out_ += "</div>\n";
  }

  std::string places(const Finding& finding) const {
    std::string text = html_text(place_text(finding.place));
    if (finding.others.empty()) return text;
    text += "<details><summary>" + std::to_string(finding.others.size()) + " more</summary>";
    for (size_t i = 0; i < finding.others.size() && i < kMaxPlacesShown; ++i) text += "<br>" + html_text(place_text(finding.others[i]));
    if (finding.others.size() > kMaxPlacesShown) text += "<br>…";
    return text + "</details>";
  }

  void findings() {
    out_ += "<section><h2>Findings</h2><table class=\"sortable\"><thead><tr><th>severity<th>rule<th>what<th>where<th>what to do</tr></thead><tbody>\n";
    for (const Finding& finding : audit_.findings) {
      if (report_.is_suppressed(finding.id)) continue;
      std::string severity(severity_name(finding.severity));
      out_ += "<tr><td class=\"s " + severity + "\" data-key=\"" + std::to_string(static_cast<int>(finding.severity)) + "\">" + severity + "</td>" + cell(finding.rule, "r") + cell(finding.message) + "<td class=\"w\">" + places(finding) + "</td>" + cell(finding.advice) + "</tr>\n";
    }
    out_ += "</tbody></table></section>\n";
  }

  void verdict_cells(const std::vector<Verdict>& verdicts) {
    for (Verdict verdict : verdicts) out_ += "<td data-key=\"" + std::to_string(static_cast<int>(verdict)) + "\">" + badge(verdict) + "</td>";
  }

  void platform_heads() {
    for (const Platform& platform : audit_.platforms) out_ += "<th>" + html_text(platform.str());
  }

  void images() {
    out_ += "<section><h2>Images</h2><table class=\"sortable\"><thead><tr><th>image";
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
      out_ += "<td class=\"n\">" + std::to_string(image.workloads) + "</td><td class=\"n\">" + std::to_string(image.sole_blocker_of) + "</td>" + cell(why) + "</tr>\n";
    }
    out_ += "</tbody></table></section>\n";
  }

  void workloads() {
    if (audit_.workloads.empty()) return;
    out_ += "<section id=\"workloads\"><h2>Workloads</h2><table class=\"sortable\"><thead><tr><th>workload";
    platform_heads();
    out_ += "<th>pods<th>blocked by</tr></thead><tbody>\n";
    for (size_t i = 0; i < audit_.workloads.size(); ++i) {
      const Workload& workload = audit_.collection.workloads[i];
      out_ += "<tr>" + cell(workload.place.object);
      verdict_cells(audit_.workloads[i].verdicts);
      out_ += "<td class=\"n\">" + std::to_string(workload.pods) + "</td>" + cell(blockers(audit_.workloads[i])) + "</tr>\n";
    }
    out_ += "</tbody></table></section>\n";
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
    for (const Unseen& each : list) out_ += "<li>" + html_text(each.what) + ": " + html_text(each.why) + "</li>";
    out_ += "</ul>\n";
  }

  const Report& report_;
  const Audit& audit_;
  std::string out_;
};

}  // namespace

std::string html_report(const Report& report) { return Page(report).write(); }

}  // namespace archway::audit
