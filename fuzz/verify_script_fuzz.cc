#include <cstdint>

#include "base/check.h"
#include "base/stream.h"
#include "verify/script.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace archway;
  std::string_view text = as_text(std::as_bytes(std::span(data, size)));
  std::optional<Script> script = parse_script(text);
  if (!script) return 0;
  CHECK(!script->interpreter.empty() && script->interpreter.find_first_of(" \t\n") == std::string::npos);
  CHECK(script->interpreter.size() + script->argument.size() < kScriptPrefixBytes);
  std::vector<std::string> words = {script->interpreter, script->argument};
  // Each launcher takes words away or splits them; it makes none longer.
  for (int i = 0; i < 8 && !words.empty(); ++i) {
    Launch next = launched_by(words);
    for (const std::string& word : next.words) CHECK(word.size() <= kScriptPrefixBytes);
    words = std::move(next.words);
  }
  return 0;
}
