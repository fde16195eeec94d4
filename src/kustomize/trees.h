#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "format/value_tree.h"

namespace archway::kustomize {

struct Member {
  const Value* key;
  const Value* value;
};

// Values met while one patch is applied to one object, those that aliases repeat among them; in a whole build; and how deep aliases of
// aliases may nest.
inline constexpr size_t kMaxValuesMet = 100'000;
inline constexpr size_t kMaxValuesMetTogether = 20'000'000;
inline constexpr size_t kMaxDepthMet = 256;

// Changes of values that are shared: what is changed is made anew, with what encloses it, and the rest is pointed to. So a base that
// two overlays patch is read once, and what an anchor names changes in one place only. Values live as long as the arena.
class Trees {
 public:
  explicit Trees(ValueArena& arena) : arena_(arena) {}

  // As a reader sees them: aliases followed, of equal keys the last, what merge keys (<<) bring behind the mapping's own.
  static std::vector<Member> members(const Value& mapping);
  static std::vector<const Value*> items(const Value& sequence);

  // With the place of `like`, where there is one.
  const Value* mapping(const Value* like, const std::vector<Member>& members);
  const Value* sequence(const Value* like, const std::vector<const Value*>& items);
  const Value* string(std::string_view text, const Value* at);
  const Value* number(std::string_view text, const Value* at);
  // The mapping with another value, or without that member (null). A new member's key stands where its value does.
  const Value* with(const Value& mapping, std::string_view key, const Value* value);
  // The same value, known to stand in this file and line, but no longer as what the file says: no edit of these bytes alone changes it.
  const Value* blurred(const Value& value);

  // Counts a value that is looked at. False: more than may be.
  bool spend() { return ++met_ <= kMaxValuesMet && ++met_together_ <= kMaxValuesMetTogether; }
  void begin_change() { met_ = 0; }
  void begin_build() { met_ = met_together_ = 0; }
  bool spent() const { return met_together_ > kMaxValuesMetTogether; }
  ValueArena& arena() { return arena_; }

 private:
  Value* copy(const Value* like);
  ValueArena& arena_;
  size_t met_ = 0, met_together_ = 0;
};

}  // namespace archway::kustomize
