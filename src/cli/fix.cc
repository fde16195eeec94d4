#include "audit/fix.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <iterator>
#include <map>
#include <set>

#include "audit/collect.h"
#include "audit/diff.h"
#include "audit/patch_output.h"
#include "audit/yaml_edit.h"
#include "base/fd.h"
#include "base/text.h"
#include "base/thread_pool.h"
#include "cli/audit_commands.h"
#include "cli/audit_run.h"
#include "cli/fix_files.h"
#include "cli/fix_requests.h"
#include "cli/registry_access.h"
#include "format/json.h"

namespace archway::cli {

namespace {

using audit::FileFix;
using audit::Finding;

constexpr std::string_view kOutputs[] = {"summary", "diff", "kustomize", "kubectl", "helm-values", "json"};

struct Plan {
  std::string output = "summary";
  bool write = false;
};

// What has no file can only be shown: a cluster is changed by whoever runs the commands.
Result<void> check_cluster(const Arguments& arguments, const Plan& plan, const std::vector<std::string>& names) {
  if (!names.empty()) return usage_error("archway fix: files and a cluster at once; fix one after the other");
  if (arguments.has("write")) return usage_error("archway fix: -w is for files; a cluster is changed by the commands that -o kubectl prints");
  if (plan.output == "helm-values") return usage_error("archway fix: a cluster's objects have no values; -o kubectl or -o kustomize is for those");
  return {};
}

Result<Plan> plan_of(const Arguments& arguments) {
  Plan plan;
  if (names_cluster(arguments)) plan.output = "kubectl";
  if (arguments.has("output")) plan.output = arguments.one_or("output", "");
  if (arguments.has("diff")) plan.output = "diff";
  if (arguments.has("json")) plan.output = "json";
  if (std::find(std::begin(kOutputs), std::end(kOutputs), plan.output) == std::end(kOutputs)) {
    return usage_error("--output " + plan.output + ": expected diff, kustomize, kubectl, helm-values, json or summary");
  }
  // Whoever asks to see something gets to see it; files change where that is asked for as well.
  plan.write = (arguments.has("write") || plan.output == "summary") && !names_cluster(arguments);
  return plan;
}

// Standard input is read twice: by what looks for images, and by what edits. Afterwards descriptor 0 is a file in memory, at its start.
Result<std::string> keep_standard_input() {
  FdSource input(Fd(::dup(0)), "standard input");
  std::string text = TRY(read_all(input, audit::kMaxTextFileBytes, "what came by standard input"));
  Fd memory(::memfd_create("standard input", MFD_CLOEXEC));
  if (!memory) return errno_error("keeping standard input");
  TRY(write_all(memory.get(), as_bytes(text)));
  if (::lseek(memory.get(), 0, SEEK_SET) != 0 || ::dup2(memory.get(), 0) != 0) return errno_error("keeping standard input");
  return text;
}

// Findings to mend, and what could not be looked at.
struct Found {
  std::vector<Finding> findings;
  std::vector<kube::Node> nodes;
  bool audited = false;
  std::vector<audit::Unseen> unseen;
  size_t without_remedy = 0;
  // Of a cluster: what may be changed in it, as a text, and what its objects are pulled with.
  std::string cluster_text;
  std::vector<Keychain> keychains = {Keychain{}};
  std::map<std::string, size_t, std::less<>> keychain_of;
};

bool is_cluster(std::string_view source) { return source.starts_with("cluster:"); }

void keep_keychains(Found& found, audit::Collection& collection) {
  for (const audit::ImageUse& use : collection.uses) {
    if (use.keychain != 0) found.keychain_of.emplace(use.place.object.str(), use.keychain);
  }
  found.keychains = std::move(collection.keychains);
}

Result<Found> look(const Arguments& arguments, const Context& context) {
  Found found;
  if (!has_fix_requests(arguments)) {
    audit::Audit audit = TRY(run_audit(arguments, context, &found.cluster_text));
    found.audited = true;
    keep_keychains(found, audit.collection);
    found.unseen = std::move(audit.collection.unseen);
    found.nodes = std::move(audit.collection.nodes);
    for (Finding& finding : audit.findings) {
      if (finding.remedy.kind == audit::Remedy::Kind::None) found.without_remedy += finding.severity != Finding::Severity::Note;
      else found.findings.push_back(std::move(finding));
    }
    return found;
  }
  audit::CollectOptions collect{.threads = 0, .run_helm = false, .stop = context.stop};
  audit::Collection all;
  std::vector<std::string> paths = TRY(audited_paths(arguments));
  for (const std::string& path : paths) all.merge(audit::collect_path(path, collect));
  if (names_cluster(arguments)) {
    auto progress = TRY(make_progress(arguments.one_or("progress", "auto"), context));
    all.merge(TRY(collect_audited_cluster(arguments, context, *progress, &found.cluster_text)));
  }
  bool standard_input = std::any_of(arguments.positional().begin(), arguments.positional().end(), [](const std::string& name) { return name == "-"; });
  if (standard_input) {
    FdSource input(Fd(::dup(0)), "standard input");
    all.merge(audit::collect_source(input, "-", collect));
  }
  found.findings = TRY(requested_fixes(arguments, all));
  found.unseen = std::move(all.unseen);
  return found;
}

// Texts that are no files.
struct Texts {
  const std::string& standard_input;
  const std::string& cluster;
};

Result<std::string> text_of(const std::string& source, const Texts& texts) {
  if (source == "-") return texts.standard_input;
  if (path_exists(source)) return read_file(source, audit::kMaxTextFileBytes);
  return Error{Code::Unsupported, "it is in no file"};
}

bool has_place(const audit::Request& request) { return request.place->begin < request.place->end; }

// Objects that others made have no place in a cluster's text.
void refuse_placeless(const std::vector<audit::Request>& requests, FileFix& fix) {
  for (const audit::Request& request : requests) {
    if (!has_place(request)) fix.refused.push_back({*request.place, request.finding->rule, request.finding->id, "another object made it: that one is to be changed"});
  }
}

// What is wanted of each file, by its name.
using Wanted = std::map<std::string, std::vector<audit::Request>, std::less<>>;

Wanted wanted_of(const std::vector<Finding>& findings, const FixFilter& filter) {
  Wanted wanted;
  auto add = [&](const Finding& finding, const audit::Place& place) {
    if (!filter.wants(finding, place)) return;
    std::string_view source = place.source;
    auto at = wanted.find(source);
    if (at == wanted.end()) at = wanted.emplace(source, std::vector<audit::Request>()).first;
    at->second.push_back({&finding, &place});
  };
  for (const Finding& finding : findings) {
    add(finding, finding.place);
    for (const audit::Place& other : finding.others) add(finding, other);
  }
  return wanted;
}

FileFix fix_cluster(const std::string& source, const std::string& text, const std::vector<audit::Request>& requests) {
  std::vector<audit::Request> placed;
  std::copy_if(requests.begin(), requests.end(), std::back_inserter(placed), has_place);
  FileFix fix = audit::fix_text(text, source, placed);
  refuse_placeless(requests, fix);
  return fix;
}

FileFix fix_file(const std::string& source, const std::vector<audit::Request>& requests, const Texts& texts) {
  if (is_cluster(source)) return fix_cluster(source, texts.cluster, requests);
  auto text = text_of(source, texts);
  if (text.ok()) return audit::fix_text(*text, source, requests);
  FileFix none;
  none.source = source;
  for (const audit::Request& request : requests) none.refused.push_back({*request.place, request.finding->rule, request.finding->id, text.error().message});
  return none;
}

// Every file that a finding is in, with the edits made in memory; in order of their names.
std::vector<FileFix> fix_files(const Found& found, const FixFilter& filter, const std::string& standard_input, const Context& context) {
  Texts texts{standard_input, found.cluster_text};
  Wanted wanted = wanted_of(found.findings, filter);
  std::vector<const Wanted::value_type*> files;
  for (const auto& each : wanted) files.push_back(&each);
  std::vector<FileFix> fixes(files.size());
  auto done = parallel_for(files.size(), processor_count(), [&](size_t i) -> Result<void> {
    if (!context.stop.stop_requested()) fixes[i] = fix_file(files[i]->first, files[i]->second, texts);
    return {};
  });
  (void)done.ok();  // the body does not fail
  return fixes;
}

constexpr int kMaxRounds = 4;  // a selector moved, then widened, then the taint behind it tolerated

bool is_condition(audit::Remedy::Kind kind) {
  using enum audit::Remedy::Kind;
  return kind == DropArchSelector || kind == WidenArchSelector || kind == RenameArchLabel || kind == MoveIntoPodSpec;
}

// Pods whose conditions changed are judged once more: behind an old selector there may be a taint that they do not tolerate. Doing all
// of it at once is what makes a second run find nothing.
Result<std::vector<Finding>> next_round(const Arguments& arguments, const Context& context, const Found& found, const std::vector<FileFix>& fixes, const std::vector<Finding>& before) {
  std::set<std::pair<std::string, std::string>> touched;
  for (const Finding& finding : before) {
    if (!is_condition(finding.remedy.kind)) continue;
    touched.emplace(finding.place.source, finding.place.object);
    for (const audit::Place& other : finding.others) touched.emplace(other.source, other.object);
  }
  std::vector<Finding> findings;
  if (touched.empty()) return findings;
  std::vector<audit::Collection> collected(fixes.size());
  auto done = parallel_for(fixes.size(), processor_count(), [&](size_t i) -> Result<void> {
    const FileFix& fix = fixes[i];
    bool any = std::any_of(fix.applied.begin(), fix.applied.end(), [&](const audit::Applied& each) { return touched.contains({each.place.source, each.place.object}); });
    if (any && fix.changed()) collected[i] = audit::collect_text(fix.after, fix.source, {.threads = 1, .run_helm = false, .stop = context.stop});
    return {};
  });
  (void)done.ok();  // the body does not fail
  audit::Collection all;
  for (audit::Collection& each : collected) all.merge(std::move(each));
  if (all.workloads.empty()) return findings;
  all.keychains = found.keychains;
  for (audit::ImageUse& use : all.uses) {
    auto keychain = found.keychain_of.find(use.place.object.str());
    if (keychain != found.keychain_of.end()) use.keychain = keychain->second;
  }
  all.nodes = found.nodes;
  audit::Audit audit = TRY(judge_collection(arguments, context, std::move(all)));
  for (Finding& finding : audit.findings) {
    bool places = is_condition(finding.remedy.kind) || finding.remedy.kind == audit::Remedy::Kind::AddToleration;
    if (places && touched.contains({finding.place.source, finding.place.object})) findings.push_back(std::move(finding));
  }
  return findings;
}

// What a later round did, added to the rounds before.
void join_fix(FileFix& fix, FileFix later) {
  fix.after = std::move(later.after);
  fix.yaml = fix.yaml || later.yaml;
  std::move(later.applied.begin(), later.applied.end(), std::back_inserter(fix.applied));
  std::move(later.refused.begin(), later.refused.end(), std::back_inserter(fix.refused));
}

Result<std::vector<FileFix>> fix_until_done(const Arguments& arguments, const Context& context, const Found& found, const FixFilter& filter, const std::string& standard_input) {
  std::vector<FileFix> fixes = fix_files(found, filter, standard_input, context);
  std::vector<Finding> last = found.findings;
  for (int round = 1; found.audited && round < kMaxRounds; ++round) {
    std::vector<Finding> more = TRY(next_round(arguments, context, found, fixes, last));
    Wanted wanted = wanted_of(more, filter);
    std::atomic<bool> any = false;
    auto done = parallel_for(fixes.size(), processor_count(), [&](size_t i) -> Result<void> {
      auto here = wanted.find(fixes[i].source);
      if (here == wanted.end()) return {};
      FileFix later = audit::fix_text(fixes[i].after, fixes[i].source, here->second);
      if (later.changed()) any = true;
      join_fix(fixes[i], std::move(later));
      return {};
    });
    (void)done.ok();  // the body does not fail
    if (!any) break;
    last = std::move(more);
  }
  return fixes;
}

std::string at_line(const audit::Place& place) { return place.source + (place.line > 0 && !is_cluster(place.source) ? ":" + std::to_string(place.line) : ""); }

// One line per reason and place.
std::vector<std::string> applied_lines(const FileFix& fix) {
  std::vector<std::string> lines;
  std::set<std::string> known;
  for (const audit::Applied& each : fix.applied) {
    std::string line = at_line(each.place) + ": ";
    if (!each.place.object.empty()) line.append(each.place.object).append(": ");
    line += each.why + " [" + each.rule + "]";
    if (known.insert(line).second) lines.push_back(std::move(line));
  }
  return lines;
}

std::string diff_text(const std::vector<FileFix>& fixes) {
  std::string out;
  for (const FileFix& fix : fixes) {
    if (!fix.changed()) continue;
    for (const std::string& line : applied_lines(fix)) out += "# " + line + "\n";
    out += audit::unified_diff(fix.before, fix.after, fix.source == "-" ? "stdin" : fix.source);
  }
  return out;
}

Json place_json(const audit::Place& place, const std::string& rule, const std::string& id, const std::string& why) {
  Json json = Json::object({{"line", Json(place.line)}, {"column", Json(place.column)}});
  if (!place.object.empty()) json.set("object", place.object.str());
  if (!place.path.empty()) json.set("path", place.path.str());
  json.set("rule", rule);
  if (!id.empty()) json.set("finding", id);
  json.set("why", why);
  return json;
}

Json report_of(const std::vector<FileFix>& fixes, const Found& found, bool written) {
  Json files = Json::array();
  size_t edits = 0, refused = 0;
  for (const FileFix& fix : fixes) {
    Json file = Json::object({{"file", Json(fix.source)}, {"changed", Json(fix.changed())}, {"written", Json(written && fix.changed() && fix.source != "-")}});
    Json applied_list = Json::array(), refused_list = Json::array();
    for (const audit::Applied& each : fix.applied) applied_list.push(place_json(each.place, each.rule, each.id, each.why));
    for (const audit::Refused& each : fix.refused) refused_list.push(place_json(each.place, each.rule, each.id, each.why));
    edits += applied_list.size();
    refused += refused_list.size();
    file.set("edits", std::move(applied_list));
    file.set("refused", std::move(refused_list));
    file.set("diff", audit::unified_diff(fix.before, fix.after, fix.source == "-" ? "stdin" : fix.source));
    files.push(std::move(file));
  }
  Json unseen = Json::array();
  for (const audit::Unseen& each : found.unseen) unseen.push(Json::object({{"what", Json(each.what)}, {"why", Json(each.why)}}));
  return Json::object({{"edits", Json(edits)}, {"refused", Json(refused)}, {"without_remedy", Json(found.without_remedy)}, {"files", std::move(files)}, {"unseen", std::move(unseen)}});
}

// kubectl is to go where we have been.
std::vector<std::string> kubectl_flags(const Arguments& arguments) {
  std::vector<std::string> flags;
  for (const char* name : {"kubeconfig", "context"}) {
    if (auto value = arguments.one(name)) flags.push_back("--" + std::string(name) + "=" + *value);
  }
  return flags;
}

std::string patches(const std::vector<FileFix>& fixes, const std::string& output, const Arguments& arguments) {
  std::vector<audit::ChangedObject> objects;
  for (const FileFix& fix : fixes) {
    for (audit::ChangedObject& object : audit::changed_objects(fix)) objects.push_back(std::move(object));
  }
  if (output == "kustomize") return audit::kustomize_patches(objects);
  if (output == "kubectl") return audit::kubectl_patches(objects, kubectl_flags(arguments));
  return audit::helm_values(objects);
}

// What went another way than asked, to standard error.
void complain(const std::vector<FileFix>& fixes, const Found& found, const Context& context) {
  for (const FileFix& fix : fixes) {
    for (const audit::Refused& each : fix.refused) {
      context.err("not changed: " + at_line(each.place) + ": " + (each.place.object.empty() ? "" : each.place.object + ": ") + each.why + " [" + each.rule + "]\n");
    }
  }
  for (const audit::Unseen& each : found.unseen) context.err("not looked at: " + each.what + ": " + each.why + "\n");
  if (found.without_remedy > 0) context.err(std::to_string(found.without_remedy) + (found.without_remedy == 1 ? " finding has" : " findings have") + " no edit as a cure; archway audit tells what to do\n");
}

void show(const std::vector<FileFix>& fixes, const Found& found, const Plan& plan, const Arguments& arguments, const Context& context) {
  if (plan.output == "json") return context.out(to_json(report_of(fixes, found, plan.write), {.indent = 2}) + "\n");
  if (plan.output == "diff") return context.out(diff_text(fixes));
  if (plan.output == "summary") {
    for (const FileFix& fix : fixes) {
      // A pipe's text comes out edited; what was done is said beside it.
      if (fix.source == "-") context.out(fix.after);
      for (const std::string& line : applied_lines(fix)) fix.source == "-" ? context.err(line + "\n") : context.out(line + "\n");
    }
    return;
  }
  std::string text = patches(fixes, plan.output, arguments);
  context.out(text);
  if (plan.output != "helm-values") return;
  bool manifests = std::any_of(fixes.begin(), fixes.end(), [](const FileFix& fix) {
    std::vector<audit::ChangedObject> objects = audit::changed_objects(fix);
    return std::any_of(objects.begin(), objects.end(), [](const audit::ChangedObject& object) { return !object.kind.empty(); });
  });
  if (manifests) context.err("manifests have no values: -o kustomize or -o kubectl is for those\n");
}

int status_of(const std::vector<FileFix>& fixes, const Found& found, bool written) {
  bool changed = false, refused = false;
  for (const FileFix& fix : fixes) {
    changed = changed || fix.changed();
    refused = refused || !fix.refused.empty();
  }
  if (refused || (changed && !written)) return kFoundProblems;
  return found.unseen.empty() ? kOk : kCouldNot;
}

Result<int> run_fix(const Arguments& arguments, const Context& context) {
  Plan plan = TRY(plan_of(arguments));
  FixFilter filter = TRY(FixFilter::parse(arguments));
  auto names = arguments.positional();
  for (const std::string& name : arguments.many("filename")) names.push_back(name);
  bool cluster = names_cluster(arguments);
  if (cluster) TRY(check_cluster(arguments, plan, names));
  if (names.empty() && !cluster) return usage_error("archway fix: name the files and folders to edit, or a cluster (-A, -n, --context)");
  std::string standard_input;
  if (std::find(names.begin(), names.end(), "-") != names.end()) standard_input = TRY(keep_standard_input());
  Found found = TRY(look(arguments, context));
  std::vector<FileFix> fixes = TRY(fix_until_done(arguments, context, found, filter, standard_input));
  if (context.stop.stop_requested()) return Error{Code::Cancelled, "stopped; no file was changed"};
  // A pipe goes on, edited or not.
  bool piped = std::find(names.begin(), names.end(), "-") != names.end();
  bool known = std::any_of(fixes.begin(), fixes.end(), [](const FileFix& fix) { return fix.source == "-"; });
  if (piped && !known && plan.output == "summary") context.out(standard_input);
  if (plan.write) {
    std::vector<NewText> files;
    for (const FileFix& fix : fixes) {
      if (fix.changed() && fix.source != "-" && !is_cluster(fix.source)) files.push_back({fix.source, fix.before, fix.after});
    }
    TRY(replace_texts(files, processor_count(), context.stop));
  }
  show(fixes, found, plan, arguments, context);
  complain(fixes, found, context);
  return status_of(fixes, found, plan.write);
}

}  // namespace

Command fix_command() {
  using enum Flag::Kind;
  Command command;
  command.name = "fix";
  command.summary = "Edit files so that what audit found is cured";
  command.usage = "archway fix [flags] [PATH...]";
  command.description =
      "Audits manifests, charts' values, compose files and Dockerfiles as `archway audit` does, and edits them in place: image tags and digests,\n"
      "old selectors, affinity, tolerations, a Dockerfile's platform arguments. Only the bytes that must change do; comments, order, quotes and\n"
      "line ends stay. Every result is read again and compared before anything is written. With -o nothing is written unless -w is given too.\n"
      "Exit status: 0 nothing is left to do, 1 something would change (with -o) or could not be changed, 2 something could not be looked at.\n\n"
      "  archway fix --diff manifests/\n"
      "  archway fix manifests/ Dockerfile\n"
      "  archway fix -o kubectl --taint arch=arm64:NoSchedule manifests/\n"
      "  archway fix --add-toleration arch=arm64:NoSchedule --only deployment/web web.yaml\n"
      "  archway fix --arch amd64,arm64 --require web.yaml\n"
      "  kubectl get deploy web -o yaml | archway fix -o kubectl -\n"
      "  archway fix -n shop                       a cluster: prints kubectl patch commands";
  command.flags = {{"write", 'w', Bool, "", "edit the files in place (the default without -o)"},
                   {"diff", 0, Bool, "", "print a unified diff; the same as -o diff"},
                   {"output", 'o', One, "FORM", "print diff, kustomize, kubectl, helm-values or json"},
                   {"json", 0, Bool, "", "the same as -o json"},
                   {"only", 0, Many, "KIND/NAME", "edit these objects only; NAME may be *"},
                   {"rule", 0, Many, "RULE", "cure findings of these rules only"}};
  for (Flag& flag : fix_request_flags()) command.flags.push_back(std::move(flag));
  for (Flag& flag : audit_flags()) command.flags.push_back(std::move(flag));
  command.min_positional = 0;
  command.max_positional = 100'000;
  command.run = run_fix;
  return command;
}

}  // namespace archway::cli
