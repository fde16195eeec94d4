#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace archway::cli {

// The file's text becomes `after`, whole or not at all, if it still is `before`: mode and owner stay, a symbolic link stays one.
Result<void> replace_text(const std::string& path, std::string_view before, std::string_view after);

}  // namespace archway::cli
