#include "audit/finding_id.h"
#include "audit/report.h"

// The forms that are tables: Markdown and CSV.
namespace archway::audit {

namespace {

// One cell: nothing in it is Markdown, HTML or a new line.
std::string cell(std::string_view text) {
  std::string out;
  for (char c : text) {
    if (static_cast<unsigned char>(c) < 0x20) out += ' ';
    else if (c == '<') out += "&lt;";
    else if (c == '>') out += "&gt;";
    else if (c == '&') out += "&amp;";
    else if (c == '|' || c == '\\' || c == '`' || c == '*' || c == '_' || c == '[' || c == ']' || c == '#' || c == '~' || c == '!') (out += '\\') += c;
    else if (c == '@') out += "&#64;";  // no mention of anybody
    else out += c;
  }
  return out;
}

std::string counts_row(std::string_view what, const Counts& counts) {
  std::string row = "| " + std::string(what) + " |";
  for (Verdict verdict : {Verdict::Ready, Verdict::ReadyAfterUpdate, Verdict::ReadyAfterRepin, Verdict::WrongContent, Verdict::NotReady, Verdict::Unknown, Verdict::Skipped}) row += " " + std::to_string(counts[verdict]) + " |";
  return row + "\n";
}

std::string quoted(std::string_view text) {
  // A cell that begins so is a formula to spreadsheets.
  bool formula = !text.empty() && std::string_view("=+-@\t\r").find(text[0]) != std::string_view::npos;
  std::string out = "\"";
  if (formula) out += '\'';
  for (char c : text) {
    if (c == '"') out += '"';
    out += c;
  }
  return out + "\"";
}

std::string best_place(const JudgedImage& image, const Audit& audit) { return image.uses.empty() ? "" : place_text(audit.collection.uses[image.uses[0]].place); }

}  // namespace

std::string markdown_report(const Report& report) {
  const Audit& audit = *report.audit;
  std::string text;
  for (size_t p = 0; p < audit.platforms.size(); ++p) {
    text += "## Ready for " + cell(audit.platforms[p].str()) + "?\n\n";
    text += "| | ready | after update | after re-pin | wrong content | not ready | unknown | skipped |\n|---|---|---|---|---|---|---|---|\n";
    text += counts_row("workloads", workload_counts(audit, p)) + counts_row("images", image_counts(audit, p)) + "\n";
  }
  size_t notes = 0, suppressed = 0;
  std::string rows;
  for (const Finding& finding : audit.findings) {
    if (report.is_suppressed(finding.id)) {
      ++suppressed;
    } else if (finding.severity == Finding::Severity::Note) {
      ++notes;
    } else {
      std::string where = cell(place_text(finding.place)) + (finding.others.empty() ? "" : " and " + std::to_string(finding.others.size()) + " more");
      rows += "| " + std::string(severity_name(finding.severity)) + " | " + cell(finding.rule) + " | " + cell(finding.message) + " | " + where + " | " + cell(finding.advice) + " |\n";
    }
  }
  if (!rows.empty()) text += "| | rule | what | where | what to do |\n|---|---|---|---|---|\n" + rows + "\n";
  if (notes > 0) text += std::to_string(notes) + " notes are not listed.\n\n";
  if (suppressed > 0) text += std::to_string(suppressed) + " findings are in the baseline or ignored.\n\n";
  if (!audit.collection.unseen.empty()) text += "### Not looked at\n\n";
  for (const Unseen& each : audit.collection.unseen) text += "- " + cell(each.what) + ": " + cell(each.why) + "\n";
  return text;
}

std::string csv_report(const Report& report) {
  const Audit& audit = *report.audit;
  std::string text = "image,platform,verdict,reason,new_name,new_tag,new_digest,confidence,workloads,sole_blocker_of,uses,first_place\r\n";
  for (const JudgedImage& image : audit.images) {
    for (const Judgement& judgement : image.judgements) {
      text += quoted(image.image) + "," + quoted(judgement.platform.str()) + "," + quoted(verdict_name(judgement.verdict)) + "," + quoted(judgement.reason) + ",";
      for (const std::string* field : {&judgement.new_name, &judgement.new_tag, &judgement.new_digest}) text += quoted(*field) + ",";
      text += quoted(confidence_name(image.confidence)) + "," + std::to_string(image.workloads) + "," + std::to_string(image.sole_blocker_of) + "," + std::to_string(image.uses.size()) + "," +
              quoted(best_place(image, audit)) + "\r\n";
    }
  }
  return text;
}

}  // namespace archway::audit
