#include "verify/verify.h"

#include <algorithm>
#include <map>

#include "base/text.h"
#include "cli/command.h"
#include "cli/image_lookup.h"
#include "cli/image_place.h"
#include "cli/locale.h"
#include "cli/registry_access.h"
#include "registry/lookup_store.h"

namespace archway::cli {

namespace {

constexpr size_t kMaxErrorsShown = 20, kMaxNotesShown = 3;  // per layer; --json has them all
constexpr size_t kMaxLineBytes = 300;                       // of a history line or step

// How a terminal is written to: marks where it can show them, colour where it is wanted.
struct Look {
  bool marks = false, color = false;
  std::string mark(const PlatformVerdict& verdict) const {
    if (verdict.ok()) return painted("32", marks ? "✓" : "ok");
    bool wrong = std::any_of(verdict.findings.begin(), verdict.findings.end(), [](const Finding& f) { return f.severity == Severity::Error; });
    if (!wrong) return painted("33", marks ? "?" : "NOT CHECKED");
    return painted("31", marks ? "✗" : "FAIL");
  }
  std::string painted(std::string_view code, std::string_view text) const {
    return color ? "\x1b[" + std::string(code) + "m" + std::string(text) + "\x1b[0m" : std::string(text);
  }
};

Look look_of(const Context& context) {
  Look look;
  if (!context.terminal_out) return look;
  look.color = context.color;
  look.marks = speaks_utf8(context);
  return look;
}

// Text from an image goes to a terminal: no control characters, and not a page of it.
std::string shown(std::string_view text) {
  std::string out;
  for (char c : text.substr(0, kMaxLineBytes)) out += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? ' ' : c;
  return text.size() > kMaxLineBytes ? out + "…" : out;
}

std::string counted(size_t count, std::string_view what) { return std::to_string(count) + " " + std::string(what) + (count == 1 ? "" : "s"); }

std::string result_of(const PlatformVerdict& verdict) {
  auto errors = static_cast<size_t>(std::count_if(verdict.findings.begin(), verdict.findings.end(), [](const Finding& f) { return f.severity == Severity::Error; }));
  size_t notes = verdict.findings.size() - errors;
  std::vector<std::string> parts;
  if (errors > 0) parts.push_back(counted(errors, "error"));
  if (notes > 0) parts.push_back(counted(notes, "note"));
  if (verdict.not_checked) parts.push_back("not checked");
  return parts.empty() ? "all true" : join(parts, ", ");
}

std::string verdict_table(const VerifyReport& report, const Look& look) {
  size_t width = 8, mark_width = 1;
  for (const PlatformVerdict& verdict : report.platforms) {
    width = std::max(width, verdict.platform.str().size());
    if (!look.marks) mark_width = std::max(mark_width, Look{}.mark(verdict).size());
  }
  auto padded = [](std::string text, size_t shown_width, size_t to) { return text + std::string(to > shown_width ? to - shown_width : 0, ' '); };
  std::string text = std::string(mark_width, ' ') + "  " + padded("PLATFORM", 8, width) + "  " + padded("ELF FILES", 9, 9) + "  RESULT\n";
  for (const PlatformVerdict& verdict : report.platforms) {
    size_t bare = look.marks ? 1 : Look{}.mark(verdict).size();
    std::string platform = shown(verdict.platform.str()), files = verdict.not_checked ? "-" : std::to_string(verdict.elf_files);
    text += padded(look.mark(verdict), bare, mark_width) + "  " + padded(platform, platform.size(), width) + "  " + padded(files, files.size(), 9) + "  " + result_of(verdict) + "\n";
  }
  return text;
}

// The findings of one layer, below the line that made it.
std::string layer_text(size_t number, const std::vector<const Finding*>& findings) {
  std::string text = number == 0 ? "" : "  layer " + std::to_string(number) + ": " + (findings[0]->history.empty() ? findings[0]->layer : shown(findings[0]->history)) + "\n";
  size_t errors = 0, notes = 0, hidden = 0;
  for (const Finding* finding : findings) {
    bool error = finding->severity == Severity::Error;
    if ((error ? errors++ : notes++) >= (error ? kMaxErrorsShown : kMaxNotesShown)) {
      ++hidden;
      continue;
    }
    text += std::string(number == 0 ? "  " : "    ") + (error ? "error: " : "note: ") + (finding->path.empty() ? "" : shown(finding->path) + ": ") + shown(finding->message) + " [" + finding->rule + "]\n";
  }
  if (hidden > 0) text += "    … and " + std::to_string(hidden) + " more; --json lists all\n";
  return text;
}

std::string verdict_text(const PlatformVerdict& verdict) {
  if (verdict.findings.empty() && !verdict.not_checked) return "";
  std::string text = "\n" + shown(verdict.platform.str()) + " (" + verdict.manifest.str() + ")\n";
  if (verdict.not_checked) text += "  not checked: " + shown(verdict.not_checked->message) + "\n";
  std::map<size_t, std::vector<const Finding*>> layers;
  for (const Finding& finding : verdict.findings) layers[finding.layer_number].push_back(&finding);
  for (const auto& [number, findings] : layers) text += layer_text(number, findings);
  bool started = std::any_of(verdict.findings.begin(), verdict.findings.end(), [](const Finding& f) {
    return f.severity == Severity::Error && (f.rule.starts_with("entrypoint-") || f.rule.starts_with("interpreter-") || f.rule.starts_with("loader-"));
  });
  if (started) {
    text += "  the entry point:\n";
    for (const std::string& step : verdict.entry_chain) text += "    " + shown(step) + "\n";
  }
  if (!verdict.cause.empty()) text += "  likely cause: " + std::string(verdict.cause) + "\n";
  return text;
}

std::string report_text(const std::string& name, const VerifyReport& report, const Look& look) {
  std::string text = name + "\n\n" + verdict_table(report, look);
  for (const PlatformVerdict& verdict : report.platforms) text += verdict_text(verdict);
  return text;
}

int status_of(const VerifyReport& report) {
  bool unchecked = false;
  for (const PlatformVerdict& verdict : report.platforms) {
    for (const Finding& finding : verdict.findings) {
      if (finding.severity == Severity::Error) return kFoundProblems;
    }
    unchecked = unchecked || verdict.not_checked;
  }
  return unchecked ? kCouldNot : kOk;
}

// What was found counts for whoever looks the image up from now on (simulate, audit, admission), by content. A cache: where it cannot be
// written, nothing is lost but that.
void remember(const VerifyReport& report, const Context& context) {
  std::unique_ptr<LookupStore> store;
  for (const PlatformVerdict& verdict : report.platforms) {
    auto error = std::find_if(verdict.findings.begin(), verdict.findings.end(), [](const Finding& f) { return f.severity == Severity::Error; });
    if (error == verdict.findings.end()) continue;
    if (!store) {
      auto opened = LookupStore::open(lookup_cache(context));
      if (!opened.ok()) return;
      store = std::move(*opened);
    }
    std::string why = (error->path.empty() ? "" : error->path + ": ") + error->message;
    (void)store->put_verdict({verdict.manifest, {verdict.platform, std::move(why)}}).ok();
  }
}

Result<int> run_verify(const Arguments& arguments, const Context& context) {
  VerifyOptions options{.all_layers = arguments.has("all-layers"), .diff_ids = arguments.has("diff-ids")};
  if (arguments.has("platform")) options.platforms = TRY(parse_platforms(arguments.many("platform")));
  auto client = TRY(make_registry_client(arguments, context));
  auto progress = TRY(make_progress(arguments.one_or("progress", "auto"), context));
  options.progress = progress.get();
  OpenedImage opened = TRY(open_image(arguments.positional()[0], *client, context));
  VerifyReport report = TRY(verify_image(*opened.provider, opened.root, options, context.stop).context("verifying " + opened.name));
  remember(report, context);
  progress.reset();  // before the result, so that the two do not mix on a terminal
  if (arguments.has("json")) {
    Json json = report_json(report);
    json.set("image", opened.name);
    json.set("digest", opened.root.descriptor.digest.str());
    context.out(to_json(json, {.indent = 2}) + "\n");
  } else {
    context.out(report_text(opened.name, report, look_of(context)));
  }
  return status_of(report);
}

}  // namespace

Command verify_command() {
  Command command;
  command.name = "verify";
  command.summary = "Prove that an image holds programs for the platforms it declares";
  command.usage = "archway verify [flags] IMAGE";
  command.description =
      "Reads every layer of every platform and looks at each ELF file in the merged file system, then follows the entry point to the\n"
      "program, interpreter and loader that it needs. IMAGE is a reference, or oci:DIR[:TAG], oci-archive:FILE[:TAG],\n"
      "docker-archive:FILE[:REF]. Exit status: 0 all is true, 1 something is not, 2 something could not be checked.\n\n"
      "  archway verify example.org/app:1\n"
      "  archway verify --platform linux/arm64 --json oci:out";
  command.flags = {{"platform", 0, Flag::Kind::Many, "PLATFORMS", "these platforms only"},
                   {"all-layers", 0, Flag::Kind::Bool, "", "also files that upper layers replace or remove"},
                   {"diff-ids", 0, Flag::Kind::Bool, "", "hash what packed layers unpack to, too"},
                   {"json", 0, Flag::Kind::Bool, "", "print as JSON"},
                   {"progress", 0, Flag::Kind::One, "KIND", "auto, tty, plain, rawjson or quiet"}};
  for (Flag& flag : registry_flags()) command.flags.push_back(std::move(flag));
  command.min_positional = command.max_positional = 1;
  command.run = run_verify;
  return command;
}

}  // namespace archway::cli
