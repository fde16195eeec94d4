#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "format/json.h"

// A document to be looked through and thrown away: values with the bytes that each takes, in one arena, made in one pass: by a quick
// reader (plain_yaml_reader.h) where it is written plainly, else over libyaml's events. (yaml.h makes values to keep, yaml_tree.h trees
// to edit by.)
namespace archway {

struct Value {
  enum class Kind : uint8_t { Scalar, Sequence, Mapping };
  enum class Style : uint8_t { Plain, SingleQuoted, DoubleQuoted, Literal, Folded, Block, Flow };
  Kind kind = Kind::Scalar;
  Style style = Style::Plain;
  bool alias = false;             // stands for `first`, which has the anchor and is elsewhere
  uint32_t begin = 0, end = 0;    // bytes of the text: of a scalar its quotes too; of a block collection to the end of its last value
  uint32_t line = 0, column = 0;  // from 1; columns count code points. 0: made from a Json
  uint32_t size = 0;              // items or members
  std::string_view text = {};     // a scalar's value, unescaped
  const Value* first = nullptr;   // item, item...; or key, value, key, value...
  const Value* next = nullptr;

  // What an alias stands for; else itself. Members and items below do this of themselves.
  const Value& followed() const { return alias ? *first : *this; }
  bool is_scalar() const { return followed().kind == Kind::Scalar; }
  bool is_sequence() const { return followed().kind == Kind::Sequence; }
  bool is_mapping() const { return followed().kind == Kind::Mapping; }
  bool is_null() const;           // an empty plain scalar, ~ or null
  bool is_string() const;         // a scalar that Kubernetes reads as a string: quoted, or no number, bool or null
  // The member of that name: its value, or its key. Null where there is none. The last of equal keys; merge keys (<<) come after all others.
  const Value* find(std::string_view key) const;
  const Value* key_of(std::string_view key) const;
  const Value& operator[](std::string_view key) const;  // an empty scalar where there is none
  std::string_view scalar() const { return is_scalar() ? followed().text : std::string_view(); }

  // each(key, value) for members as written, merge keys among them; aliases followed in values by their users.
  template <class F>
  void each_member(F&& each) const {
    const Value& self = followed();
    if (self.kind != Kind::Mapping) return;
    for (const Value* key = self.first; key && key->next; key = key->next->next) each(*key, *key->next);
  }
  template <class F>
  void each_item(F&& each) const {
    const Value& self = followed();
    if (self.kind != Kind::Sequence) return;
    for (const Value* item = self.first; item; item = item->next) each(*item);
  }
};

// Where values live. Clearing it lets all values go and keeps the memory for the next document. Used by one thread at a time.
class ValueArena {
 public:
  ValueArena() = default;
  ValueArena(const ValueArena&) = delete;
  ValueArena& operator=(const ValueArena&) = delete;
  Value* make() { return new (take(sizeof(Value))) Value(); }
  std::string_view keep(std::string_view text);
  void clear();

 private:
  struct Chunk {
    std::unique_ptr<std::byte[]> bytes;
    size_t size = 0;
  };
  void* take(size_t bytes) {
    bytes = (bytes + 15) & ~size_t{15};
    if (bytes > left_) next_chunk(bytes);
    std::byte* at = free_;
    free_ += bytes;
    left_ -= bytes;
    return at;
  }
  void next_chunk(size_t bytes);
  std::vector<Chunk> chunks_;
  std::byte* free_ = nullptr;     // in the last chunk
  size_t left_ = 0;
};

struct ValueDocument {
  const Value* root = nullptr;
  size_t aliases = 0;             // in it: without any, no value is met twice on a walk
};

// The limits of yaml.h hold, but aliases stay pointers: a bomb costs nothing here, and it is walkers who must count. The text and
// the arena must outlive the values. Empty documents come as an empty scalar. Invalid with "line L, column C: ".
Result<std::vector<ValueDocument>> parse_value_trees(std::string_view text, ValueArena& arena);
// Only a part of the text, which begins a line: places count from the begin of the whole.
struct TextPart {
  size_t begin = 0, lines_before = 0, size = 0;
  uint32_t address = 0;           // added to every begin and end: values of several texts are then told apart by where they begin
};
Result<std::vector<ValueDocument>> parse_value_trees(std::string_view text, ValueArena& arena, TextPart part);
// Its two halves, which tests hold against each other. The quick one gives null where the part is no single document that is written
// plainly; the other reads everything.
const Value* read_plain_values(std::string_view text, ValueArena& arena, TextPart part);
Result<std::vector<ValueDocument>> parse_value_trees_by_events(std::string_view text, ValueArena& arena, TextPart part);
// A Json as such a tree, without places. The Json must outlive it.
const Value* value_of_json(const Json& json, ValueArena& arena);
// Back, with numbers and booleans as YAML 1.1 has them, aliases and merge keys resolved. Values beyond `max_values` are left out.
Json json_of_value(const Value& value, size_t max_values = 100'000);

}  // namespace archway
