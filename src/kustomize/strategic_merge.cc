#include "kustomize/strategic_merge.h"

#include <algorithm>
#include <string>

#include "kustomize/merge_keys.h"

namespace archway::kustomize {

namespace {

constexpr std::string_view kDirective = "$patch";

bool is_nothing(const Value* value) { return !value || value->is_null(); }

Error invalid(std::string what) { return {Code::Invalid, std::move(what)}; }

class Merge {
 public:
  explicit Merge(Trees& trees) : trees_(trees) {}

  // What becomes of a value; null: it goes. `field` says how it is merged if it is a list, `type` what is in it.
  Result<const Value*> value(const Value* have, const Value* patch, const MergeField* field, const MergeType* type, size_t depth) {
    if (depth > kMaxDepthMet || !trees_.spend()) return invalid("the patch repeats too many values");
    // A null that somebody wrote stays what it is; one that is only left out goes.
    if (is_nothing(have) && is_nothing(patch)) return !patch && have && !have->scalar().empty() ? have : nullptr;
    if (!patch) return have;
    if (patch->is_null()) return nullptr;
    const Value& shape = is_nothing(have) ? *patch : *have;
    if (shape.followed().kind != patch->followed().kind) return invalid("the patch has another kind of value at line " + std::to_string(patch->line) + " than the object");
    if (shape.is_scalar()) return patch;
    if (shape.is_mapping()) return mapping(is_nothing(have) ? nullptr : have, *patch, type, depth);
    if (!field || !field->merges) return patch;
    return list(is_nothing(have) ? nullptr : have, *patch, *field, depth);
  }

 private:
  static Result<std::string_view> directive_of(const Value& patch) {
    const Value* directive = patch.find(kDirective);
    if (!directive) return std::string_view();
    std::string_view what = directive->scalar();
    if (what == "delete" || what == "replace" || what == "merge") return what;
    return invalid("unknown $patch \"" + std::string(what) + "\" at line " + std::to_string(directive->line));
  }

  Result<const Value*> mapping(const Value* have, const Value& patch, const MergeType* type, size_t depth) {
    std::string_view directive = TRY(directive_of(patch));
    if (directive == "delete") return nullptr;
    // What comes whole from the patch is merged with itself: its nulls and directives mean something all the same.
    if (!have || directive == "replace") return self(patch, type, depth);
    std::vector<Member> members = Trees::members(*have);
    bool placed = false;
    for (const Member& change : Trees::members(patch)) {
      std::string_view name = change.key->scalar();
      if (name == kDirective) continue;
      placed = placed || is_placement_member(name);
      auto at = std::find_if(members.begin(), members.end(), [&](const Member& member) { return member.key->scalar() == name; });
      const Value* old = at == members.end() ? nullptr : at->value;
      const Value* made = TRY(field(old, change.value, name, type, depth));
      bool within = made && !is_nothing(old) && old->is_mapping() && made->begin == old->followed().begin;
      if (at == members.end()) {
        if (made) members.push_back({change.key, made});
      } else if (!made) {
        members.erase(at);
      } else {
        *at = {within ? at->key : change.key, made};
      }
    }
    const Value* made = trees_.mapping(have, members);
    return placed && have != &patch ? trees_.blurred(*made) : made;
  }

  Result<const Value*> self(const Value& patch, const MergeType* type, size_t depth) {
    std::vector<Member> members;
    for (const Member& member : Trees::members(patch)) {
      if (member.key->scalar() == kDirective) continue;
      const Value* made = TRY(field(member.value, member.value, member.key->scalar(), type, depth));
      if (made) members.push_back({member.key, made});
    }
    return trees_.mapping(&patch, members);
  }

  Result<const Value*> field(const Value* have, const Value* patch, std::string_view name, const MergeType* type, size_t depth) {
    const MergeField* known = type ? type->find(name) : nullptr;
    return value(have, patch, known, known ? known->type : nullptr, depth + 1);
  }

  // "- $patch: replace" as an item of its own speaks of the whole list.
  static Result<std::string_view> list_directive(const Value& patch) {
    for (const Value* item : Trees::items(patch)) {
      if (!item->find(kDirective)) continue;
      if (Trees::members(*item).size() != 1) return std::string_view();
      return directive_of(*item);
    }
    return std::string_view();
  }

  static bool is_list_directive(const Value& item) { return item.find(kDirective) && Trees::members(item).size() == 1; }

  Result<const Value*> list(const Value* have, const Value& patch, const MergeField& field, size_t depth) {
    std::string_view directive = have ? TRY(list_directive(patch)) : std::string_view();
    if (directive == "delete") return nullptr;
    std::vector<const Value*> changes, old;
    for (const Value* item : Trees::items(patch)) {
      if (!is_list_directive(*item)) changes.push_back(item);
    }
    bool own = !have || directive == "replace";
    old = own ? changes : Trees::items(*have);
    const Value* like = own ? &patch : have;
    if (field.keys.empty()) return union_of(like, changes, old);
    return by_key(like, changes, old, field, depth);
  }

  Result<const Value*> union_of(const Value* like, const std::vector<const Value*>& changes, const std::vector<const Value*>& old) {
    std::vector<const Value*> all;
    auto add = [&](const Value* item) {
      bool known = std::any_of(all.begin(), all.end(), [&](const Value* each) { return each->scalar() == item->scalar(); });
      if (!known) all.push_back(item);
    };
    for (const Value* item : changes) add(item);
    for (const Value* item : old) add(item);
    return trees_.sequence(like, all);
  }

  // Ports may leave their protocol out: what only one side says does not tell two items apart, as long as something agrees.
  static bool same_item(const Value& a, const Value& b, const MergeField& field) {
    bool agree = false;
    for (std::string_view key : field.keys) {
      std::string_view left = a[key].scalar(), right = b[key].scalar();
      if (left.empty() || right.empty()) continue;
      if (left != right) return false;
      agree = true;
    }
    return agree;
  }

  // Comparisons count, too: two long lists have many.
  const Value* find_item(const std::vector<const Value*>& items, const Value& like, const MergeField& field) {
    auto at = std::find_if(items.begin(), items.end(), [&](const Value* item) { return (++compared_ % 16 == 0 && !trees_.spend()) || item == &like || same_item(*item, like, field); });
    return at == items.end() ? nullptr : *at;
  }

  // Where an item stands that has the key of another; the end where none does.
  size_t place_of(const std::vector<const Value*>& items, const Value& like, const MergeField& field) {
    const Value* found = find_item(items, like, field);
    return static_cast<size_t>(std::find(items.begin(), items.end(), found) - items.begin());
  }

  // The patch's items first, in its order, then those that it does not name. Of equal keys the patch's first counts and the object's
  // last; and where an item of the patch says "$patch: replace", kustomize leaves the old one as it was.
  Result<const Value*> by_key(const Value* like, const std::vector<const Value*>& changes, const std::vector<const Value*>& old, const MergeField& field, size_t depth) {
    std::vector<const Value*> made, seen, merged = old;
    std::vector<bool> gone(old.size(), false);
    for (const Value* change : changes) {
      if (find_item(seen, *change, field)) continue;
      seen.push_back(change);
      size_t before = place_of(old, *change, field);
      bool own = before < old.size() && old[before] == change;
      const Value* item = TRY(value(before < old.size() ? old[before] : nullptr, change, nullptr, field.type, depth + 1));
      bool kept = item && !(item->is_mapping() && Trees::members(*item).empty());
      bool replaces = !own && (*change)[kDirective].scalar() == "replace";
      if (before < old.size() && !replaces) merged[before] = item;
      if (kept) made.push_back(item);
      for (size_t i = 0; i < old.size() && !kept; ++i) gone[i] = gone[i] || old[i] == change || same_item(*old[i], *change, field);
    }
    for (size_t i = 0; i < merged.size(); ++i) {
      if (!trees_.spend()) return invalid("the patch repeats too many values");
      if (gone[i] || !merged[i]) continue;
      size_t known = place_of(made, *merged[i], field);
      if (known < made.size()) {
        made[known] = merged[i];
      } else {
        made.push_back(merged[i]);
      }
    }
    return trees_.sequence(like, made);
  }

  Trees& trees_;
  size_t compared_ = 0;
};

}  // namespace

bool is_placement_member(std::string_view name) { return name == "nodeSelector" || name == "affinity" || name == "tolerations"; }

Result<const Value*> strategic_merge(const Value& object, const Value& patch, Trees& trees) {
  trees.begin_change();
  const MergeType* type = merge_type(object["apiVersion"].scalar(), object["kind"].scalar());
  return Merge(trees).value(&object, &patch, nullptr, type, 0);
}

}  // namespace archway::kustomize
