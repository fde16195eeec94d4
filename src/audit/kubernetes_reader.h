#pragma once

#include <string>

#include "audit/collection.h"
#include "format/value_tree.h"

// Kubernetes objects of any kind, built in or not: pods wherever they are nested, and images outside of pods (audit.md 4.1, 4.2).
namespace archway::audit {

struct Where {
  SharedText source;
  size_t document = 0;
  size_t keychain = 0;
};

// Is it one: a mapping with apiVersion and kind?
bool is_kubernetes_object(const Value& root);

// One object, or a List of them. `list_kind` is for items that do not say what they are ("PodList" of `kubectl get --raw`).
void read_kubernetes(const Value& root, const Where& where, Collection& out);

// Values of a chart, and other YAML whose meaning only its reader knows: images by the names of their keys. Never more than Likely.
void read_values(const Value& root, const Where& where, const std::string& default_tag, Collection& out);

// Values met in one document, those that aliases repeat among them. Beyond, the rest is named as unseen.
inline constexpr size_t kMaxValuesWalked = 20'000'000;
inline constexpr size_t kMaxDepthWalked = 256;

}  // namespace archway::audit
