#pragma once

#include <string>
#include <string_view>
#include <vector>

// The exec form: ["word", "word"]. This room stands on base alone, so it reads the little JSON that it needs by itself.
namespace archway::dockerfile {

enum class JsonWords {
  Words,       // an array of strings
  NotJson,     // no JSON array at all: the text is shell form
  NotStrings,  // a valid array that holds something else than strings: an error
};
// As Go's encoding/json reads it into []any: nothing but blanks may follow the array, invalid UTF-8 and lone surrogates become U+FFFD.
JsonWords parse_json_words(std::string_view text, std::vector<std::string>& words);

inline constexpr size_t kMaxJsonWordsDepth = 100;  // of arrays and objects among the words, which are refused anyway

}  // namespace archway::dockerfile
