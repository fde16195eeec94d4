#pragma once

#include <string>

#include "audit/finding.h"

namespace archway::audit {

// Twelve hexadecimal digits. About an image: of its full name and the platforms, wherever it is used and whatever the verdict is now.
// About something else: of rule, file, object and path. The same in the next run and with other lines above, so that a baseline
// goes on to know it.
std::string finding_id(const Finding& finding);

// "Deployment shop/web in web.yaml:12:9", for people.
std::string place_text(const Place& place);
// "./a//b/../c" -> "a/c"
std::string plain_path(const std::string& path);

std::string_view severity_name(Finding::Severity severity);  // "error", "warning", "note"
std::string_view confidence_name(Confidence confidence);     // "certain", "likely", "possible"

}  // namespace archway::audit
