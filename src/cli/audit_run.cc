#include "cli/audit_run.h"

#include <unistd.h>

#include <algorithm>

#include "audit/cluster_reader.h"
#include "audit/collect.h"
#include "audit/readers.h"
#include "base/fd.h"
#include "base/text.h"
#include "cli/catalog_commands.h"
#include "cli/image_lookup.h"
#include "cli/registry_access.h"
#include "image/reference.h"
#include "kube/client.h"
#include "kube/kubeconfig.h"

namespace archway::cli {

namespace {

struct Targets {
  std::vector<std::string> paths, references;
  bool standard_input = false, cluster = false;
};

Result<Targets> targets_of(const Arguments& arguments) {
  Targets targets;
  auto path = [&](const std::string& name) -> Result<void> {
    if (name == "-") {
      targets.standard_input = true;
      return {};
    }
    if (!path_exists(name)) return Error{Code::NotFound, name + ": no such file or folder"};
    targets.paths.push_back(name);
    return {};
  };
  for (const std::string& name : arguments.many("filename")) TRY(path(name));
  for (const std::string& name : arguments.positional()) {
    if (name == "-" || path_exists(name)) {
      TRY(path(name));
      continue;
    }
    // A path that was mistyped is no image: nobody's image begins with a dot or a slash, or ends like a file.
    bool like_file = name.starts_with('.') || name.starts_with('/') || name.ends_with(".yaml") || name.ends_with(".yml") || name.ends_with(".json") || name.ends_with('/');
    auto reference = Reference::parse(name);
    if (like_file || !reference.ok()) return Error{Code::NotFound, name + ": no such file or folder" + (like_file ? "" : ", nor the name of an image: " + reference.error().message)};
    targets.references.push_back(name);
  }
  targets.cluster = names_cluster(arguments) || (targets.paths.empty() && targets.references.empty() && !targets.standard_input);
  return targets;
}

kube::KubeconfigRequest kubeconfig_request(const Arguments& arguments, const Context& context) {
  kube::KubeconfigRequest request;
  if (auto file = arguments.one("kubeconfig")) {
    request.paths = {*file};
    request.in_cluster_fallback = false;
  } else if (auto list = context.environment("KUBECONFIG"); list && !list->empty()) {
    for (std::string& path : split(*list, ':')) {
      if (!path.empty()) request.paths.push_back(std::move(path));
    }
  } else if (auto home = context.environment("HOME")) {
    request.paths = {*home + "/.kube/config"};
  }
  request.context = arguments.one_or("context", "");
  request.environment = context.environment;
  return request;
}

Result<audit::AuditOptions> options_of(const Arguments& arguments, const Context& context) {
  audit::AuditOptions options;
  std::vector<std::string> names = arguments.many("for");
  options.platforms = TRY(parse_platforms(names.empty() ? std::vector<std::string>{"linux/arm64"} : names));
  for (const std::string& text : arguments.many("taint")) options.taints.push_back(TRY(kube::parse_taint(text).context("--taint " + text)));
  options.verify = arguments.has("verify");
  options.updates = !arguments.has("no-updates");
  options.stop = context.stop;
  return options;
}

audit::HelmOptions helm_options(const Arguments& arguments) {
  audit::HelmOptions options;
  options.values_files = arguments.many("values");
  for (const char* flag : {"set", "set-string", "set-json", "set-file"}) {
    for (const std::string& value : arguments.many(flag)) options.settings.emplace_back("--" + std::string(flag), value);
  }
  options.kube_version = arguments.one_or("kube-version", "");
  options.api_versions = arguments.many("api-versions");
  return options;
}

}  // namespace

std::vector<Flag> audit_flags() {
  using enum Flag::Kind;
  std::vector<Flag> flags = {
      {"filename", 'f', Many, "PATH", "a file or folder, or - for standard input"},
      {"for", 0, Many, "PLATFORMS", "what it is to be ready for (default linux/arm64)"},
      {"kubeconfig", 0, One, "FILE", "look at the cluster of this file"},
      {"context", 0, One, "NAME", "a context of the kubeconfig"},
      {"namespace", 'n', Many, "NAME", "this namespace of the cluster only; may be given several times"},
      {"all-namespaces", 'A', Bool, "", "all of them (the default)"},
      {"taint", 0, Many, "KEY=VALUE:EFFECT", "a taint that the new nodes will have; those of nodes that are there are known"},
      {"verify", 0, Bool, "", "look into the images: do they hold what they declare?"},
      {"no-updates", 0, Bool, "", "do not look for other tags"},
      {"no-helm", 0, Bool, "", "do not run helm for charts, even where it is installed"},
      {"values", 0, Many, "FILE", "values for charts, as helm takes them with -f"},
      {"set", 0, Many, "KEY=VALUE", "a value for charts, as in helm; so are --set-string, --set-json and --set-file"},
      {"set-string", 0, Many, "KEY=VALUE", "a value that is a text"},
      {"set-json", 0, Many, "KEY=JSON", "a value as JSON"},
      {"set-file", 0, Many, "KEY=FILE", "a value that is a file's text"},
      {"kube-version", 0, One, "VERSION", "the Kubernetes that charts are rendered for"},
      {"api-versions", 0, Many, "GROUP/VERSION", "what that Kubernetes has besides, for charts that ask"},
      catalog_flag(),
      {"progress", 0, One, "KIND", "auto, tty, plain, rawjson or quiet"},
  };
  for (Flag& flag : lookup_flags()) flags.push_back(std::move(flag));
  return flags;
}

Result<std::vector<std::string>> audited_paths(const Arguments& arguments) { return TRY(targets_of(arguments)).paths; }

bool names_cluster(const Arguments& arguments) {
  return arguments.has("kubeconfig") || arguments.has("context") || arguments.has("namespace") || arguments.has("all-namespaces");
}

Result<std::shared_ptr<kube::Client>> audited_cluster(const Arguments& arguments, const Context& context) {
  kube::ClusterAccess access = TRY(kube::load_kubeconfig(kubeconfig_request(arguments, context)));
  return kube::Client::connect(std::move(access));
}

Result<audit::Collection> collect_audited_cluster(const Arguments& arguments, const Context& context, Progress& progress, std::string* text) {
  auto client = TRY(audited_cluster(arguments, context));
  audit::ClusterOptions options{.name_spaces = audited_namespaces(arguments), .progress = &progress, .stop = context.stop, .text = text};
  return audit::collect_cluster(*client, options);
}

// kubectl's habit is the context's namespace; an audit's is everything, unless it is told otherwise.
std::vector<std::string> audited_namespaces(const Arguments& arguments) {
  std::vector<std::string> names;
  if (arguments.has("all-namespaces")) return names;
  for (const std::string& flag : arguments.many("namespace")) {
    for (std::string& name : split(flag, ',')) {
      if (!name.empty() && std::find(names.begin(), names.end(), name) == names.end()) names.push_back(std::move(name));
    }
  }
  return names;
}

Result<audit::Audit> run_audit(const Arguments& arguments, const Context& context, std::string* cluster_text) {
  Targets targets = TRY(targets_of(arguments));
  audit::AuditOptions options = TRY(options_of(arguments, context));
  catalog::Catalog catalog = TRY(load_catalog(arguments));
  options.catalog = &catalog;
  auto lookup = TRY(make_image_lookup(arguments, context));
  auto progress = TRY(make_progress(arguments.one_or("progress", "auto"), context));
  options.progress = progress.get();

  audit::CollectOptions collect{.threads = 0, .run_helm = !arguments.has("no-helm"), .helm = helm_options(arguments), .stop = context.stop};
  audit::Collection all;
  for (const std::string& path : targets.paths) all.merge(audit::collect_path(path, collect));
  if (targets.standard_input) {
    FdSource input(Fd(::dup(0)), "standard input");
    all.merge(audit::collect_source(input, "-", collect));
  }
  for (const std::string& reference : targets.references) audit::read_reference(reference, all);
  if (targets.cluster) all.merge(TRY(collect_audited_cluster(arguments, context, *progress, cluster_text)));
  all.settle();
  audit::Audit audit = audit::judge(std::move(all), *lookup, options);
  progress.reset();  // before the result, so that the two do not mix on a terminal
  return audit;
}

Result<audit::Audit> judge_collection(const Arguments& arguments, const Context& context, audit::Collection collection) {
  audit::AuditOptions options = TRY(options_of(arguments, context));
  catalog::Catalog catalog = TRY(load_catalog(arguments));
  options.catalog = &catalog;
  auto lookup = TRY(make_image_lookup(arguments, context));
  collection.settle();
  return audit::judge(std::move(collection), *lookup, options);
}

}  // namespace archway::cli
