#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "format/value_tree.h"

namespace {

void same(const archway::Value& a, const archway::Value& b) {
  CHECK(a.kind == b.kind && a.style == b.style && !a.alias && !b.alias);
  CHECK(a.begin == b.begin && a.end == b.end && a.line == b.line && a.column == b.column);
  CHECK(a.size == b.size && a.text == b.text);
  const archway::Value* other = b.first;
  for (const archway::Value* child = a.first; child; child = child->next, other = other->next) {
    CHECK(other != nullptr);
    same(*child, *other);
  }
  CHECK(other == nullptr);
}

// Bytes alone seldom make two lines that fit together; pieces of YAML do.
std::string of_pieces(std::string_view bytes) {
  static constexpr std::array<std::string_view, 48> kPieces = {
      "a", "b: ", "c:", "\n", "\n", "\n  ", "\n    ", "\n      ", "\n- ", "\n  - ", "\n-", " ", "  ", "- ", "-", "key: value", "\nk: ", "\n  k: v", "'", "\"", "'x'", "\"y\"", "''", "\\n", "\\\"", "\\",
      "[", "]", "{", "}", ", ", ",", ":", ": ", "|", "|-", "|\n", "|-\n  ", "#", " # c", "---", "...", "1", "~", "true", "\n\n", "x y", "-z"};
  std::string text;
  for (char c : bytes) text += kPieces[static_cast<unsigned char>(c) % kPieces.size()];
  return text;
}

void check(std::string_view text) {
  archway::ValueArena arena;
  const archway::Value* plain = archway::read_plain_values(text, arena, {0, 0, text.size(), 0});
  if (!plain) return;
  auto by_events = archway::parse_value_trees_by_events(text, arena, {0, 0, text.size(), 0});
  CHECK(by_events.ok() && by_events->size() == 1);
  same(*plain, *(*by_events)[0].root);
}

}  // namespace

// What the quick reader reads, it reads as libyaml does.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  check(text);
  if (size < 200) check(of_pieces(text));
  return 0;
}
