#pragma once

#include <string>
#include <vector>

namespace archway::scheduler {

// Columns as wide as their widest cell and two blanks; no blanks at the ends of lines, and `indent` in front of them.
std::string text_table(const std::vector<std::vector<std::string>>& rows, const std::string& indent = {});

}  // namespace archway::scheduler
