#include "audit/merged_values.h"

#include <algorithm>

namespace archway::audit {

using kustomize::Member;
using kustomize::Trees;

const Value* merged_values(const Value* below, const Value* above, Trees& trees, const MergeRule& rule, size_t depth) {
  if (!below || (rule.null_gives_way && below->is_null())) return above;
  if (!above || (rule.null_gives_way && above->is_null())) return below;
  if (rule.join_lists && below->is_sequence() && above->is_sequence()) {
    std::vector<const Value*> items = Trees::items(*below);
    for (const Value* item : Trees::items(*above)) items.push_back(item);
    return trees.sequence(above, items);
  }
  if (!below->is_mapping() || !above->is_mapping() || depth > kMaxMergeDepth || !trees.spend()) return above;
  std::vector<Member> members = Trees::members(*below);
  for (const Member& member : Trees::members(*above)) {
    auto at = std::find_if(members.begin(), members.end(), [&](const Member& each) { return each.key->scalar() == member.key->scalar(); });
    if (at == members.end()) {
      members.push_back(member);
    } else {
      *at = {member.key, merged_values(at->value, member.value, trees, rule, depth + 1)};
    }
  }
  return trees.mapping(above, members);
}

}  // namespace archway::audit
