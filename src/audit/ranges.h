#pragma once

#include <algorithm>
#include <cstddef>

#include "base/thread_pool.h"

namespace archway::audit {

// Calls body(number, begin, end) for each `at_once` of `count` things, on every processor. The body does not fail.
template <class Body>
void for_ranges(size_t count, size_t at_once, Body&& body) {
  size_t ranges = (count + at_once - 1) / at_once;
  auto done = parallel_for(ranges, processor_count(), [&](size_t i) -> Result<void> {
    body(i, i * at_once, std::min(count, (i + 1) * at_once));
    return {};
  });
  (void)done.ok();
}

}  // namespace archway::audit
