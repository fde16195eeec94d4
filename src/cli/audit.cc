#include <algorithm>

#include "audit/cluster_reader.h"
#include "audit/finding_id.h"
#include "audit/report.h"
#include "audit/suppress.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/text.h"
#include "cli/audit_commands.h"
#include "cli/audit_run.h"
#include "cli/locale.h"

namespace archway::cli {

namespace {

constexpr std::string_view kFormats[] = {"text", "json", "sarif", "markdown", "csv", "html"};

audit::TextLook look_of(const Arguments& arguments, const Context& context) {
  audit::TextLook look;
  look.notes = arguments.has("notes");
  if (!context.terminal_out) return look;
  look.color = context.color;
  look.marks = speaks_utf8(context);
  return look;
}

Result<std::string> format_of(const Arguments& arguments) {
  if (arguments.has("json")) return std::string("json");
  std::string format = arguments.one_or("output", "text");
  if (std::find(std::begin(kFormats), std::end(kFormats), format) == std::end(kFormats)) return usage_error("--output " + format + ": expected text, json, sarif, markdown, csv or html");
  return format;
}

// What --fail-on names: severities, verdicts and rules.
class FailOn {
 public:
  static Result<FailOn> parse(const std::vector<std::string>& flags) {
    FailOn fail;
    std::vector<std::string> words;
    for (const std::string& flag : flags) {
      for (std::string& word : split(flag, ',')) words.push_back(std::string(trim(word)));
    }
    if (words.empty()) words = {"warning"};
    for (const std::string& word : words) {
      if (word == "never") fail.never_ = true;
      else if (word == "error" || word == "warning" || word == "note") fail.severity_ = std::max(fail.severity_, word == "error" ? 0 : word == "warning" ? 1 : 2);
      else if (is_verdict(word) || audit::rule_text(word) != word) fail.names_.push_back(word);
      else return usage_error("--fail-on " + word + ": expected error, warning, note, never, a verdict (not-ready, unknown, ...) or a rule");
    }
    return fail;
  }

  bool never() const { return never_; }
  // An image that nobody could look at is no finding unless it is asked for: it has a status of its own.
  bool counts(const audit::Finding& finding) const {
    std::string verdict = finding.image.empty() ? "" : std::string(audit::verdict_name(finding.verdict));
    bool named = std::any_of(names_.begin(), names_.end(), [&](const std::string& name) { return name == finding.rule || name == verdict; });
    return named || (finding.rule != "image-unknown" && static_cast<int>(finding.severity) <= severity_);
  }

 private:
  static bool is_verdict(const std::string& word) {
    for (int i = 0; i <= static_cast<int>(audit::Verdict::Skipped); ++i) {
      if (audit::verdict_name(static_cast<audit::Verdict>(i)) == word) return true;
    }
    return false;
  }
  bool never_ = false;
  int severity_ = -1;
  std::vector<std::string> names_;
};

int status_of(const audit::Report& report, const FailOn& fail) {
  if (fail.never()) return kOk;
  bool incomplete = !report.audit->collection.unseen.empty();
  for (const audit::Finding& finding : report.audit->findings) {
    if (report.is_suppressed(finding.id)) continue;
    if (fail.counts(finding)) return kFoundProblems;
    incomplete = incomplete || (finding.rule == "image-unknown" && finding.severity != audit::Finding::Severity::Note);
  }
  return incomplete ? kCouldNot : kOk;
}

Result<void> suppress(audit::Report& report, const Arguments& arguments) {
  std::vector<std::string> baseline;
  std::vector<audit::Ignore> ignores;
  for (const std::string& file : arguments.many("baseline")) {
    std::string text = TRY(read_file(file, audit::kMaxSuppressFileBytes));
    for (std::string& id : TRY(audit::parse_baseline(text).context(file))) baseline.push_back(std::move(id));
  }
  for (const std::string& file : arguments.many("ignore-file")) {
    std::string text = TRY(read_file(file, audit::kMaxSuppressFileBytes));
    for (audit::Ignore& ignore : TRY(audit::parse_ignores(text).context(file))) ignores.push_back(std::move(ignore));
  }
  audit::suppress(report, baseline, ignores, system_clock().now());
  return {};
}

std::string rendered(const audit::Report& report, const std::string& format, const audit::TextLook& look) {
  if (format == "json") return audit::json_report(report);
  if (format == "sarif") return audit::sarif_report(report);
  if (format == "markdown") return audit::markdown_report(report);
  if (format == "csv") return audit::csv_report(report);
  if (format == "html") return audit::html_report(report);
  return audit::text_report(report, look);
}

// With a cluster at hand, its own custom resources are in it; with one namespace alone, it is a Role there.
Result<int> print_role(const Arguments& arguments, const Context& context) {
  std::vector<std::string> name_spaces = audited_namespaces(arguments);
  if (name_spaces.empty()) name_spaces.emplace_back();
  std::optional<kube::Discovery> served;
  if (arguments.has("kubeconfig") || arguments.has("context") || arguments.has("all-namespaces")) {
    auto client = TRY(audited_cluster(arguments, context));
    served = TRY(client->discover(context.stop).context("finding out which custom resources there are"));
    for (const kube::Discovery::Hidden& hidden : served->hidden) context.err("not in the role: " + hidden.group + "/" + hidden.version + ": " + hidden.why + "\n");
  }
  std::string text;
  for (const std::string& name_space : name_spaces) text += (text.empty() ? "" : "---\n") + audit::audit_role(name_space, served ? &served->resources : nullptr);
  context.out(text);
  return kOk;
}

Result<int> run(const Arguments& arguments, const Context& context) {
  if (arguments.has("print-role")) return print_role(arguments, context);
  std::string format = TRY(format_of(arguments));
  FailOn fail = TRY(FailOn::parse(arguments.many("fail-on")));
  audit::Audit audit = TRY(run_audit(arguments, context));
  audit::Report report;
  report.audit = &audit;
  report.made_at = format_rfc3339(Time::from_seconds(system_clock().now().seconds()));
  TRY(suppress(report, arguments));
  if (auto file = arguments.one("write-images")) TRY(write_file_atomic(*file, write_truths(audit::learnt_truths(audit))));
  if (auto file = arguments.one("write-baseline")) TRY(write_file_atomic(*file, audit::write_baseline(audit.findings)));
  context.out(rendered(report, format, look_of(arguments, context)));
  return status_of(report, fail);
}

}  // namespace

Command audit_command() {
  using enum Flag::Kind;
  Command command;
  command.name = "audit";
  command.summary = "Find out what is ready for arm64, and what blocks it";
  command.usage = "archway audit [flags] [PATH | IMAGE | -]...";
  command.description =
      "Finds every image in a cluster, in manifests, charts, kustomizations, compose files, Dockerfiles, pipelines and lists; asks the\n"
      "registries what each holds; and says which workloads are ready, which after an update or another digest, and what keeps them off\n"
      "the new nodes. Without arguments it looks at the cluster that kubectl would. Nothing is changed anywhere.\n"
      "Exit status: 0 all is ready, 1 something is not, 2 something could not be looked at.\n\n"
      "  archway audit -A\n"
      "  archway audit k8s/ Dockerfile\n"
      "  kubectl get pods -A -o yaml | archway audit -\n"
      "  archway audit nginx:1.25 quay.io/prometheus/prometheus:v2.55.0\n"
      "  archway audit --taint arch=arm64:NoSchedule --output html k8s/ > audit.html";
  command.flags = audit_flags();
  std::vector<Flag> own = {
      {"output", 'o', One, "FORMAT", "text, json, sarif, markdown, csv or html"},
      {"json", 0, Bool, "", "the same as --output json"},
      {"notes", 0, Bool, "", "list notes in the text, too"},
      {"fail-on", 0, Many, "WHAT", "what makes the exit status 1: error, warning (default), note, never, verdicts or rules"},
      {"baseline", 0, Many, "FILE", "findings in it do not count"},
      {"write-baseline", 0, One, "FILE", "write the findings as a baseline"},
      {"ignore-file", 0, Many, "FILE", "findings to ignore, with reasons and dates"},
      {"write-images", 0, One, "FILE", "write what was learnt, as simulate and admission read it with --images"},
      {"print-role", 0, Bool, "", "print the rights that this takes, as a ClusterRole (with -n, a Role), and do nothing else"},
  };
  for (Flag& flag : own) command.flags.push_back(std::move(flag));
  command.min_positional = 0;
  command.max_positional = 10'000;
  command.run = run;
  return command;
}

}  // namespace archway::cli
