#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "audit/edit.h"
#include "audit/request.h"

namespace archway::audit {

// The edits of a text that is not YAML, for one request: a Dockerfile (audit.md 5.6), a list, a Jenkinsfile. An error says why there are none;
// no edits: it is so already.
Result<std::vector<Edit>> edit_plain_text(std::string_view text, const Request& request);
Result<std::vector<Edit>> edit_dockerfile(std::string_view text, const Request& request);

// Of all requests together: each stage declares TARGETARCH once, before its first use.
void declare_once(std::string_view text, std::vector<Edit>& edits, const std::string& source);

// Is the text after the edits the same Dockerfile but for the lines that they touch?
Result<void> check_dockerfile(std::string_view before, const std::vector<Edit>& edits, std::string_view after, const std::string& source);

}  // namespace archway::audit
