#pragma once

#include <memory>
#include <string>
#include <vector>

#include "audit/audit.h"
#include "cli/command.h"
#include "kube/client.h"

namespace archway::cli {

// Flags of verbs that audit something: what to look at, for which platforms, and how. `audit` and `fix` share them, and their meaning:
// -f FILE, --kubeconfig, --context, -n, -A, --for, --taint, --verify, --no-updates, --catalog, those of lookups, --progress.
std::vector<Flag> audit_flags();

// Collects what the arguments name (files, folders, "-", references; a cluster where it is asked for or nothing is named) and judges it.
// An Error only where nothing could be begun: a missing path, no kubeconfig. Where `cluster_text` is given, objects of a cluster have their
// places in it: what may be changed in it, as YAML.
Result<audit::Audit> run_audit(const Arguments& arguments, const Context& context, std::string* cluster_text = nullptr);

// Is a cluster asked for, by its flags?
bool names_cluster(const Arguments& arguments);
// The cluster that kubectl would talk to.
Result<std::shared_ptr<kube::Client>> audited_cluster(const Arguments& arguments, const Context& context);
// All that is in it, not settled; with places in `text`, where that is given.
Result<audit::Collection> collect_audited_cluster(const Arguments& arguments, const Context& context, Progress& progress, std::string* text = nullptr);
// What -n names: once, several times, or separated by commas. None: all namespaces.
std::vector<std::string> audited_namespaces(const Arguments& arguments);

// The same judgement of something else that was collected (what fix made of a file); not settled yet.
Result<audit::Audit> judge_collection(const Arguments& arguments, const Context& context, audit::Collection collection);

// The files and folders that the arguments name, in order.
Result<std::vector<std::string>> audited_paths(const Arguments& arguments);

}  // namespace archway::cli
