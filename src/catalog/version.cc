#include "catalog/version.h"

#include <algorithm>
#include <array>

#include "base/text.h"

namespace archway::catalog {

namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_separator(char c) { return c == '-' || c == '_' || c == '+' || c == '.'; }

std::string_view letters_of(std::string_view word) {
  size_t end = 0;
  while (end < word.size() && !is_digit(word[end]) && !is_separator(word[end])) ++end;
  return word.substr(0, end);
}

// Words that stand before a release and not for a kind of image.
bool is_prerelease_word(std::string_view word) {
  static constexpr std::array<std::string_view, 12> kWords = {"alpha", "beta", "rc", "pre", "preview", "dev", "snapshot", "nightly", "canary", "edge", "m", "a"};
  std::string letters = to_lower(letters_of(word));
  if (!std::all_of(word.begin() + letters.size(), word.end(), is_digit)) return false;
  if (std::find(kWords.begin(), kWords.end(), letters) == kWords.end()) return false;
  // "m1" is a milestone and "a1" an alpha; "m" and "a" alone are anything.
  return letters.size() > 1 || word.size() > 1;
}

std::string_view take_prefix(std::string_view text) {
  for (std::string_view word : {"release-", "version-", "v.", "v", "V"}) {
    if (text.size() > word.size() && text.starts_with(word) && is_digit(text[word.size()])) return text.substr(0, word.size());
  }
  return {};
}

// "rc.1-alpine" -> "rc.1", "alpine". The pre-release is its word, all that dots join to it, and a number behind a hyphen.
void split_suffix(std::string_view suffix, std::string& prerelease, std::string& variant) {
  size_t word_end = suffix.find_first_of("-_+.");
  std::string_view word = suffix.substr(0, word_end);
  if (!is_prerelease_word(word)) {
    variant = suffix;
    return;
  }
  size_t end = word.size();
  while (end < suffix.size() && (suffix[end] == '.' || suffix[end] == '-')) {  // "rc.1", "beta-2"
    size_t next = std::min(suffix.find_first_of("-_+.", end + 1), suffix.size());
    std::string_view part = suffix.substr(end + 1, next - end - 1);
    if (part.empty() || (suffix[end] == '-' && !std::all_of(part.begin(), part.end(), is_digit))) break;
    end = next;
  }
  prerelease = suffix.substr(0, end);
  if (end < suffix.size()) variant = suffix.substr(end + 1);
}

// Pieces of a pre-release: numbers and what is between them.
std::vector<std::string_view> pieces(std::string_view text) {
  std::vector<std::string_view> out;
  for (size_t at = 0; at < text.size();) {
    if (is_separator(text[at])) {
      ++at;
      continue;
    }
    size_t end = at;
    bool digits = is_digit(text[at]);
    while (end < text.size() && !is_separator(text[end]) && is_digit(text[end]) == digits) ++end;
    out.push_back(text.substr(at, end - at));
    at = end;
  }
  return out;
}

std::string_view without_zeros(std::string_view number) {
  while (number.size() > 1 && number[0] == '0') number.remove_prefix(1);
  return number;
}

std::weak_ordering compare_piece(std::string_view a, std::string_view b) {
  bool number_a = is_digit(a[0]), number_b = is_digit(b[0]);
  if (number_a != number_b) return number_a ? std::weak_ordering::less : std::weak_ordering::greater;  // numbers before words
  if (!number_a) return a <=> b;
  a = without_zeros(a), b = without_zeros(b);
  if (a.size() != b.size()) return a.size() <=> b.size();
  return a <=> b;
}

std::weak_ordering compare_prerelease(std::string_view a, std::string_view b) {
  if (a.empty() || b.empty()) return a.empty() <=> b.empty();  // without one is later
  std::vector<std::string_view> left = pieces(a), right = pieces(b);
  for (size_t i = 0; i < std::min(left.size(), right.size()); ++i) {
    if (auto order = compare_piece(left[i], right[i]); order != 0) return order;
  }
  return left.size() <=> right.size();
}

}  // namespace

std::optional<Version> Version::parse(std::string_view text) {
  if (text.empty() || text.size() > kMaxVersionBytes) return std::nullopt;
  Version version;
  version.text_ = text;
  version.prefix_ = take_prefix(text);
  size_t at = version.prefix_.size(), begin = at;
  while (true) {
    size_t end = at;
    while (end < text.size() && is_digit(text[end])) ++end;
    if (end == at || end - at > kMaxVersionDigits || version.parts_.size() == kMaxVersionNumbers) return std::nullopt;
    version.parts_.push_back(static_cast<uint32_t>(*parse_uint(text.substr(at, end - at))));
    at = end;
    if (at + 1 < text.size() && text[at] == '.' && is_digit(text[at + 1])) ++at;
    else break;
  }
  version.numbers_ = text.substr(begin, at - begin);
  if (version.parts_.size() == 1 && at - begin > kMaxLoneDigits) return std::nullopt;
  std::string_view suffix = text.substr(at);
  if (suffix.empty()) return version;
  if (is_separator(suffix[0])) suffix.remove_prefix(1);
  else if (!is_prerelease_word(suffix.substr(0, suffix.find_first_of("-_+.")))) return std::nullopt;  // "3f2a9c", "1password"
  if (suffix.empty()) return std::nullopt;
  split_suffix(suffix, version.prerelease_, version.variant_);
  return version;
}

std::weak_ordering compare(const Version& a, const Version& b) {
  for (size_t i = 0; i < std::max(a.parts_.size(), b.parts_.size()); ++i) {
    uint32_t left = i < a.parts_.size() ? a.parts_[i] : 0, right = i < b.parts_.size() ? b.parts_[i] : 0;
    if (left != right) return left <=> right;
  }
  return compare_prerelease(a.prerelease_, b.prerelease_);
}

}  // namespace archway::catalog
