#pragma once

#include "image/platform.h"

namespace archway {

// Is it one that somebody could build for: does Go know the system's and the architecture's name? Images may name any platform, but
// a mistyped one should not become an image. The error says what was perhaps meant. In platform.cc, where the names are.
Result<void> check_known(const Platform& platform);

}  // namespace archway
