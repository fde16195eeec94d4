#pragma once

#include <optional>
#include <string_view>

#include "base/clock.h"

namespace archway::kube {

// Until when the first certificate of the text (PEM) is good; nullopt where there is none.
std::optional<Time> certificate_end(std::string_view pem);

}  // namespace archway::kube
