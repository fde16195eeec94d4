#pragma once

#include <string_view>

namespace archway {

// openat2 below `root`, following no symlink and crossing no mount: for trees whose layout we know, while what made them (a layer, a RUN)
// may want to lead us elsewhere. "" is the root itself. -1 and errno.
int open_beneath(int root, std::string_view path, int flags);

}  // namespace archway
