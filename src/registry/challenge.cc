#include "registry/challenge.h"

#include "base/text.h"

namespace archway {
namespace {

bool is_token_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || std::string_view("!#$%&'*+-.^_`|~/").find(c) != std::string_view::npos;
}

class Scanner {
 public:
  explicit Scanner(std::string_view text) : rest_(text) {}
  bool at_end() const { return rest_.empty(); }
  bool take(char c) {
    if (!rest_.starts_with(c)) return false;
    rest_.remove_prefix(1);
    return true;
  }
  void drop() { rest_.remove_prefix(1); }
  void skip_blanks() {
    while (rest_.starts_with(' ') || rest_.starts_with('\t')) drop();
  }
  void skip_separators() {
    while (rest_.starts_with(' ') || rest_.starts_with('\t') || rest_.starts_with(',')) drop();
  }
  std::string token() {
    size_t end = 0;
    while (end < rest_.size() && is_token_char(rest_[end])) end++;
    std::string text(rest_.substr(0, end));
    rest_.remove_prefix(end);
    return text;
  }
  // The opening quote is gone already.
  std::string quoted() {
    std::string text;
    while (!rest_.empty() && !take('"')) {
      if (rest_[0] == '\\' && rest_.size() > 1) drop();
      text += rest_[0];
      drop();
    }
    return text;
  }

 private:
  std::string_view rest_;
};

}  // namespace

std::vector<Challenge> parse_challenges(std::string_view header) {
  std::vector<Challenge> challenges;
  if (header.size() > kMaxChallengeBytes) return challenges;
  Scanner scanner(header);
  for (scanner.skip_separators(); !scanner.at_end(); scanner.skip_separators()) {
    std::string word = scanner.token();
    if (word.empty()) {
      scanner.drop();
      continue;
    }
    scanner.skip_blanks();
    // A word before "=" is a parameter, any other begins a challenge.
    if (!scanner.take('=')) {
      challenges.push_back({to_lower(word), {}});
      continue;
    }
    scanner.skip_blanks();
    std::string value = scanner.take('"') ? scanner.quoted() : scanner.token();
    if (!challenges.empty()) challenges.back().params.emplace(to_lower(word), std::move(value));
  }
  return challenges;
}

}  // namespace archway
