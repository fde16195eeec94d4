#pragma once

#include <cstddef>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace archway::cli {

// A file that is to hold `after` where it holds `before`. The texts must outlive it.
struct NewText {
  std::string path;
  std::string_view before, after;
};

// Each file is replaced whole or not at all, whatever happens to us or the machine: what is new stands synced beside it before it takes
// its place. Links, modes and owners stay. Mismatch where somebody else changed a file meanwhile; that one, and what was not begun by
// then, stays as it is. Returns when all is on the disk.
Result<void> replace_texts(const std::vector<NewText>& files, size_t threads, std::stop_token stop);

}  // namespace archway::cli
