#include "cli/locale.h"

#include "base/text.h"

namespace archway::cli {

bool speaks_utf8(const Context& context) {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    auto value = context.environment(name);
    if (!value || value->empty()) continue;
    std::string locale = to_lower(*value);
    return locale.find("utf-8") != locale.npos || locale.find("utf8") != locale.npos;
  }
  return false;
}

}  // namespace archway::cli
