#include "dockerfile/expand.h"

#include "dockerfile/lexer.h"

namespace archway::dockerfile {

Result<Expanded> expand_word(std::string_view word, const Lookup& lookup, char escape, Quotes quotes) {
  LexOptions options;
  options.escape = escape;
  options.plain_quotes = quotes == Quotes::Keep;
  Lexed lexed = TRY(lex(word, lookup, options));
  return Expanded{std::move(lexed.text), std::move(lexed.unset)};
}

Result<std::vector<std::string>> expand_words(std::string_view word, const Lookup& lookup, char escape) {
  LexOptions options;
  options.escape = escape;
  Lexed lexed = TRY(lex(word, lookup, options));
  return std::move(lexed.words);
}

}  // namespace archway::dockerfile
