#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "audit/edit.h"
#include "audit/finding.h"
#include "audit/request.h"
#include "format/json.h"

// What audit found, cured in the files: remedies become edits of the text as it stands. Every result is read again and compared, value
// by value, with what was meant; an edit that would do anything else is refused with its reason, and the others are made.
namespace archway::audit {

struct Applied {
  Place place;               // of what was changed, in the text before
  std::string rule, id, why;
};
struct Refused {
  Place place;
  std::string rule, id, why;
};

// A Kubernetes object, or another document, before and after: what patches are made of.
struct ChangedObject {
  std::string api_version, kind, name_space, name;
  Json have, want;
};

struct FileFix {
  std::string source;
  std::string before, after;          // the same bytes where nothing changed
  std::vector<Applied> applied;
  std::vector<Refused> refused;
  bool yaml = false;                  // it was edited as YAML or JSON
  bool changed() const { return before != after; }
};

// The objects of a file that changed, and its other documents that did; none of what is no YAML.
std::vector<ChangedObject> changed_objects(const FileFix& fix);

// Remedies of AddArchAffinity say in Remedy::replacement how: "" or "required", "preferred" or "preferred:WEIGHT", "selector" (one
// platform). DropArchSelector at a pod's spec drops all that the spec says of architectures.
inline constexpr int kDefaultPreferenceWeight = 100;

// One file, with all that is wanted of it. Used by several threads at once.
FileFix fix_text(std::string_view text, const std::string& source, const std::vector<Request>& requests);
// With the findings that have a place in it (their other places too); places in other files are passed over.
FileFix fix_text(std::string_view text, const std::string& source, const std::vector<const Finding*>& findings);

}  // namespace archway::audit
