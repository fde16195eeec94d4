// Up to the first NUL an ignore file, after it a path. What a walk would not enter must not hold what is re-included.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/check.h"
#include "dockerfile/ignore.h"

using namespace archway;
using namespace archway::dockerfile;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t nul = std::min(input.find('\0'), input.size());
  auto matcher = IgnoreMatcher::create(parse_ignore_file(input.substr(0, nul)));
  std::string path = clean_path(input.substr(std::min(nul + 1, input.size())));
  CHECK(clean_path(path) == path);
  if (path.starts_with('/')) path.erase(0, 1);
  (void)match_path(input.substr(0, nul), path);
  if (!matcher.ok()) return 0;
  // Down the path as a walk goes: an ignored folder that "holds nothing" must indeed ignore all below.
  IgnoreMatcher::ParentState parent;
  bool closed = false;
  for (size_t from = 0; from != std::string::npos && path.size() < 2000;) {
    const size_t end = path.find('/', from);
    const std::string prefix = path.substr(0, end);
    from = end == std::string::npos ? end : end + 1;
    IgnoreMatcher::ParentState own;
    const bool ignored = *matcher->ignored(prefix, parent, own);
    CHECK(ignored || !closed);
    closed = closed || (ignored && !matcher->may_reinclude_below(prefix));
    parent = own;
  }
  (void)matcher->ignored(path);
  return 0;
}
