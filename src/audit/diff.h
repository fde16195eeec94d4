#pragma once

#include <string>
#include <string_view>

namespace archway::audit {

// A unified diff that `patch -p1` and `git apply` take; "" where the texts are equal. Lines that did not change are found from both ends
// and by Myers' search in between, up to a bound on its work; beyond it the middle is shown as replaced.
std::string unified_diff(std::string_view before, std::string_view after, std::string_view path, size_t context = 3);

}  // namespace archway::audit
