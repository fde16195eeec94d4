#pragma once

#include <map>
#include <string>
#include <string_view>

#include "base/result.h"
#include "format/json.h"

// What stands in kubeconfig files, before anybody asks which part of it counts. Private to kubeconfig.
namespace archway::kube {

// A cluster, user or context, and the file that it is from.
struct KubeconfigEntry {
  std::string file;
  Json value;  // an object
  // A path in it, as the file means it: relative to the file's folder.
  std::string resolve(const std::string& path) const;
};

struct Kubeconfig {
  std::string current_context;
  std::map<std::string, KubeconfigEntry, std::less<>> clusters, users, contexts;
  // What is there stays: the first file that names something wins, whole entries at a time (client-go, clientcmd/loader.go).
  void merge(Kubeconfig later);
};

// YAML or JSON, kind Config of v1. Empty text is an empty configuration. Invalid with the file's name, also for a name given twice.
Result<Kubeconfig> parse_kubeconfig(std::string_view text, const std::string& file);

}  // namespace archway::kube
