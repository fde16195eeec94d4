#pragma once

#include <string>
#include <string_view>

namespace archway::admission {

// A text of Helm's template language that gives `with` where `condition` holds and `without` where it does not. Lines that both have stand
// once; an empty text is an object that is not there. Both may hold conditions already.
std::string merge_by_condition(const std::string& without, const std::string& with, const std::string& condition);

}  // namespace archway::admission
