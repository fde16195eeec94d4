#include "kustomize/trees.h"

#include <unordered_map>

namespace archway::kustomize {

namespace {

constexpr int kMaxMergeKeys = 16;  // merge keys in what merge keys bring

void add_members(const Value& mapping, std::vector<Member>& out, std::unordered_map<std::string_view, size_t>& known, bool own, int depth) {
  std::vector<const Value*> merged;
  mapping.each_member([&](const Value& key, const Value& value) {
    if (key.scalar() == "<<" && key.followed().style == Value::Style::Plain) {
      if (value.is_mapping()) merged.push_back(&value);
      value.each_item([&](const Value& item) { merged.push_back(&item); });
      return;
    }
    if (!key.is_scalar()) return;
    auto [at, fresh] = known.try_emplace(key.scalar(), out.size());
    if (fresh) {
      out.push_back({&key, &value});
    } else if (own) {
      out[at->second] = {&key, &value};
    }
  });
  if (depth >= kMaxMergeKeys) return;
  for (const Value* each : merged) add_members(each->followed(), out, known, false, depth + 1);
}

}  // namespace

std::vector<Member> Trees::members(const Value& mapping) {
  std::vector<Member> found;
  if (!mapping.is_mapping()) return found;
  found.reserve(mapping.followed().size);
  std::unordered_map<std::string_view, size_t> known;
  add_members(mapping.followed(), found, known, true, 0);
  return found;
}

std::vector<const Value*> Trees::items(const Value& sequence) {
  std::vector<const Value*> found;
  sequence.each_item([&](const Value& item) { found.push_back(&item); });
  return found;
}

Value* Trees::copy(const Value* like) {
  Value* made = arena_.make();
  if (like) *made = like->followed();
  made->next = nullptr;
  return made;
}

const Value* Trees::mapping(const Value* like, const std::vector<Member>& members) {
  Value* made = copy(like);
  made->kind = Value::Kind::Mapping;
  if (!like) made->style = Value::Style::Block;
  made->text = {};
  made->first = nullptr;
  made->size = static_cast<uint32_t>(members.size());
  const Value** at = &made->first;
  for (const Member& member : members) {
    Value* key = copy(member.key);
    Value* value = copy(member.value);
    *at = key;
    key->next = value;
    at = &value->next;
  }
  return made;
}

const Value* Trees::sequence(const Value* like, const std::vector<const Value*>& items) {
  Value* made = copy(like);
  made->kind = Value::Kind::Sequence;
  if (!like) made->style = Value::Style::Block;
  made->text = {};
  made->first = nullptr;
  made->size = static_cast<uint32_t>(items.size());
  const Value** at = &made->first;
  for (const Value* item : items) {
    Value* one = copy(item);
    *at = one;
    at = &one->next;
  }
  return made;
}

const Value* Trees::string(std::string_view text, const Value* at) {
  Value* made = copy(at);
  made->kind = Value::Kind::Scalar;
  made->style = Value::Style::DoubleQuoted;
  made->first = nullptr;
  made->size = 0;
  made->text = arena_.keep(text);
  return made;
}

const Value* Trees::number(std::string_view text, const Value* at) {
  Value* made = const_cast<Value*>(string(text, at));
  made->style = Value::Style::Plain;
  return made;
}

const Value* Trees::with(const Value& mapping, std::string_view key, const Value* value) {
  std::vector<Member> all = members(mapping);
  for (size_t i = 0; i < all.size(); ++i) {
    if (all[i].key->scalar() != key) continue;
    if (value) {
      all[i].value = value;
    } else {
      all.erase(all.begin() + static_cast<ptrdiff_t>(i));
    }
    return this->mapping(&mapping, all);
  }
  if (!value) return &mapping;
  Value* name = const_cast<Value*>(string(key, &value->followed()));
  name->end = name->begin;
  all.push_back({name, value});
  return this->mapping(&mapping, all);
}

const Value* Trees::blurred(const Value& value) {
  Value* made = copy(&value);
  made->end = made->begin;
  return made;
}

}  // namespace archway::kustomize
