#pragma once

#include <vector>

#include "audit/dockerfile_edit.h"
#include "audit/fix.h"

namespace archway::audit {

Applied application(const Request& request);
Refused refusal(const Request& request, const Error& error);

// Requests in a YAML or JSON file: each document's value is changed, and the text after it.
void fix_yaml(FileFix& fix, const std::vector<Request>& requests);

}  // namespace archway::audit
