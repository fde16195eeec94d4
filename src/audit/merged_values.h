#pragma once

#include "kustomize/trees.h"

namespace archway::audit {

inline constexpr size_t kMaxMergeDepth = 64;

struct MergeRule {
  bool join_lists = false;      // one behind the other; else the later one counts
  bool null_gives_way = false;  // to what the other says; else it is a value
};

// Two texts as one: mappings member by member, of other values the later. A null pointer is nothing at all.
const Value* merged_values(const Value* below, const Value* above, kustomize::Trees& trees, const MergeRule& rule, size_t depth = 0);

}  // namespace archway::audit
