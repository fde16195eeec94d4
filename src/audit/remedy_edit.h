#pragma once

#include <string>
#include <vector>

#include "audit/request.h"
#include "format/json.h"
#include "format/yaml_tree.h"

namespace archway::audit {

// Where in a document's value a place is: the steps to the innermost value around it and, where the place begins with one of that
// mapping's keys, this key.
struct Target {
  std::vector<std::string> steps;
  std::string member;
  const YamlNode* node = nullptr;  // at the steps
};
Target target_of(const YamlNode& root, const Place& place);

// Does to the document's value what the remedy says. False: it is so already. An error: it must not be; nothing has changed.
Result<bool> apply_remedy(Json& document, const Request& request, const Target& target);

// Does it take something away by its index? Then what comes later in the text goes first.
bool is_by_index(const Request& request);

}  // namespace archway::audit
