#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "dockerfile/expand.h"

// The lexer under expand.h and under the search for heredocs. Its options are those of BuildKit's shell/lex.go.
namespace archway::dockerfile {

struct LexOptions {
  char escape = '\\';
  bool raw_quotes = false;    // quotes have their meaning, and stay in the text
  bool raw_escapes = false;   // escapes have their meaning, and stay in the text
  bool plain_quotes = false;  // quotes are characters like any other
  bool keep_unset = false;    // a variable without value stays as written
};

struct Lexed {
  std::string text;
  std::vector<std::string> words;  // split at unquoted blanks, also those that a variable's value brought in
  std::set<std::string> unset;
};

Result<Lexed> lex(std::string_view source, const Lookup& lookup, const LexOptions& options);

}  // namespace archway::dockerfile
