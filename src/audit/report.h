#pragma once

#include <set>
#include <string>
#include <vector>

#include "audit/audit.h"
#include "image/truth.h"

// An Audit as people, machines and pages read it. Text from images, clusters and files is hostile: each form quotes it in its own way.
namespace archway::audit {

// Findings that do not count: in the baseline, or on the ignore list. They are left out of texts and kept, marked, in JSON and SARIF.
struct Suppressed {
  std::string id, why;   // "in the baseline", "ignored until 2026-12-31: waiting for upstream"
};

struct Report {
  const Audit* audit = nullptr;
  std::vector<Suppressed> suppressed;          // in order of their ids
  std::vector<std::string> remarks;            // expired ignores and the like
  std::string made_at;                         // RFC 3339; "" leaves it out
  bool is_suppressed(const std::string& id) const;
};

struct TextLook {
  bool color = false, marks = false;           // marks: the terminal can show ✓ and ✗
  bool notes = false;                          // list notes too
  size_t max_places = 5;                       // per finding
};
std::string text_report(const Report& report, const TextLook& look);
std::string json_report(const Report& report);       // docs/audit.md has the schema
std::string sarif_report(const Report& report);      // SARIF 2.1.0
std::string markdown_report(const Report& report);
std::string csv_report(const Report& report);        // RFC 4180, one line per image and platform
std::string html_report(const Report& report);       // one page, nothing loaded from anywhere

// What was learnt of images, as `--images FILE` reads it.
ImageTruths learnt_truths(const Audit& audit);

// How many of each verdict, of one platform.
struct Counts {
  size_t of[7] = {};
  size_t operator[](Verdict verdict) const { return of[static_cast<size_t>(verdict)]; }
  size_t total() const;
};
Counts image_counts(const Audit& audit, size_t platform);
Counts workload_counts(const Audit& audit, size_t platform);

// What a rule is about, in one sentence, for SARIF and docs.
std::string rule_text(const std::string& rule);

}  // namespace archway::audit
