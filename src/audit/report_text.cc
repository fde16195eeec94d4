#include <algorithm>

#include "audit/finding_id.h"
#include "audit/limits.h"
#include "audit/report.h"
#include "base/text.h"

namespace archway::audit {

namespace {

constexpr size_t kMaxShownBytes = 400;

// Nothing that moves a terminal's cursor, and no page of it.
std::string shown(std::string_view text) {
  std::string out;
  for (char c : text.substr(0, kMaxShownBytes)) out += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? ' ' : c;
  return text.size() > kMaxShownBytes ? out + "…" : out;
}

std::string counted(size_t count, std::string_view what) { return std::to_string(count) + " " + std::string(what) + (count == 1 ? "" : "s"); }

class Writer {
 public:
  Writer(const Report& report, const TextLook& look) : report_(report), audit_(*report.audit), look_(look) {}

  std::string write() {
    for (size_t p = 0; p < audit_.platforms.size(); ++p) headline(p);
    findings();
    unseen("not looked at", audit_.collection.unseen);
    unseen("left out", audit_.collection.skipped);
    for (const auto& [host, limit] : audit_.rate_limits) {
      if (limit.remaining) out_ += "\n" + shown(host) + " lets " + std::to_string(*limit.remaining) + (limit.limit ? " of " + std::to_string(*limit.limit) : "") + " more requests through in this window" + kept_waiting(host) + "\n";
    }
    for (const std::string& remark : report_.remarks) out_ += "\n" + shown(remark) + "\n";
    return std::move(out_);
  }

 private:
  std::string kept_waiting(const std::string& host) const {
    size_t count = not_looked_up(audit_, host);
    return count == 0 ? "" : "; " + counted(count, "image") + (count == 1 ? " was" : " were") + " not looked up for that: what was learnt is kept, so run it again later";
  }

  std::string painted(std::string_view code, std::string_view text) const { return look_.color ? "\x1b[" + std::string(code) + "m" + std::string(text) + "\x1b[0m" : std::string(text); }

  std::string counts_text(const Counts& counts, std::string_view what) const {
    std::string text = counted(counts.total(), what) + ":";
    bool first = true;
    auto add = [&](Verdict verdict, std::string_view words) {
      if (counts[verdict] == 0) return;
      text += std::string(first ? " " : ", ") + std::to_string(counts[verdict]) + " " + std::string(words);
      first = false;
    };
    add(Verdict::Ready, "ready");
    add(Verdict::ReadyAfterUpdate, "ready after an update");
    add(Verdict::ReadyAfterRepin, "ready after re-pinning");
    add(Verdict::WrongContent, "with wrong content");
    add(Verdict::NotReady, "not ready");
    add(Verdict::Unknown, "unknown");
    add(Verdict::Skipped, "skipped");
    return first ? text.substr(0, text.size() - 1) : text;
  }

  void headline(size_t p) {
    Counts images = image_counts(audit_, p), workloads = workload_counts(audit_, p);
    out_ += painted("1", audit_.platforms[p].str()) + "\n";
    if (workloads.total() > 0) out_ += "  " + counts_text(workloads, "workload") + "\n";
    out_ += "  " + counts_text(images, "image") + "\n";
  }

  std::string mark(Finding::Severity severity) const {
    switch (severity) {
      case Finding::Severity::Error: return painted("31", look_.marks ? "✗" : "error");
      case Finding::Severity::Warning: return painted("33", look_.marks ? "!" : "warning");
      case Finding::Severity::Note: return look_.marks ? "·" : "note";
    }
    return {};
  }

  void findings() {
    size_t notes = 0, suppressed = 0;
    for (const Finding& finding : audit_.findings) {
      if (report_.is_suppressed(finding.id)) {
        ++suppressed;
      } else if (finding.severity == Finding::Severity::Note && !look_.notes) {
        ++notes;
      } else {
        one(finding);
      }
    }
    if (notes > 0) out_ += "\n" + counted(notes, "note") + " not shown: --notes lists them\n";
    if (suppressed > 0) out_ += "\n" + counted(suppressed, "finding") + " in the baseline or ignored\n";
  }

  void one(const Finding& finding) {
    out_ += "\n" + mark(finding.severity) + " " + shown(finding.message) + "  " + painted("2", "[" + finding.rule + " " + finding.id + "]") + "\n";
    std::vector<const Place*> places = {&finding.place};
    for (const Place& place : finding.others) places.push_back(&place);
    for (size_t i = 0; i < places.size() && i < look_.max_places; ++i) {
      std::string text = place_text(*places[i]);
      if (!text.empty()) out_ += "    " + shown(text) + "\n";
    }
    if (places.size() > look_.max_places) out_ += "    and " + std::to_string(places.size() - look_.max_places) + " more; --json lists all\n";
    if (!finding.advice.empty()) out_ += "    → " + shown(finding.advice) + "\n";
  }

  void unseen(std::string_view title, const std::vector<Unseen>& list) {
    if (list.empty()) return;
    out_ += "\n" + std::string(title) + ":\n";
    for (const Unseen& each : list) out_ += "  " + shown(each.what) + ": " + shown(each.why) + "\n";
  }

  const Report& report_;
  const Audit& audit_;
  const TextLook& look_;
  std::string out_;
};

}  // namespace

std::string text_report(const Report& report, const TextLook& look) { return Writer(report, look).write(); }

}  // namespace archway::audit
