#pragma once

#include <vector>

#include "audit/fix.h"

namespace archway::audit {

Applied application(const Request& request);
Refused refusal(const Request& request, const Error& error);

// Requests in a YAML or JSON file: the value of each document that they are in is changed, and the text after it. Documents that nothing
// is asked of are not even parsed.
void fix_yaml(FileFix& fix, const std::vector<Request>& requests);

}  // namespace archway::audit
