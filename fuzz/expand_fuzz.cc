// The first byte picks the escape and the mode; the rest is a word, and also the value of every other variable.
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/check.h"
#include "dockerfile/expand.h"

using namespace archway;
using namespace archway::dockerfile;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view word(reinterpret_cast<const char*>(data) + 1, size - 1);
  auto lookup = [&](std::string_view name) -> std::optional<std::string> {
    if (name.size() % 2 == 0) return std::nullopt;
    return std::string(word.substr(0, 200));
  };
  const char escape = data[0] & 1 ? '`' : '\\';
  auto expanded = expand_word(word, lookup, escape, data[0] & 2 ? Quotes::Keep : Quotes::Remove);
  if (expanded.ok()) CHECK(expanded->text.size() <= kMaxExpandedBytes + size * 3);
  auto words = expand_words(word, lookup, escape);
  if (words.ok()) {
    for (const std::string& one : *words) CHECK(!one.empty());
  }
  return 0;
}
