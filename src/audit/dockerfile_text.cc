#include "audit/dockerfile_text.h"

#include <algorithm>
#include <array>

#include "base/text.h"

namespace archway::audit {

namespace {

constexpr std::array<std::string_view, 4> kX86Names = {"x86_64", "x86-64", "amd64", "x64"};
constexpr std::array<std::string_view, 8> kX86Flags = {"-march=x86-64", "-msse", "-mavx", "-mfma", "-march=haswell", "-march=skylake", "-march=broadwell", "-march=znver"};

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }

// A word: what blanks and quotes of a shell line leave together.
bool ends_word(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '"' || c == '\'' || c == ';' || c == '|' || c == '&' || c == ')' || c == '('; }

struct Hit {
  size_t begin = 0, end = 0;
};

// A name of x86-64 that stands by itself: "linux_amd64.deb", not "amd64v2".
std::optional<Hit> x86_name(std::string_view word) {
  for (std::string_view name : kX86Names) {
    for (size_t at = word.find(name); at != word.npos; at = word.find(name, at + 1)) {
      size_t end = at + name.size();
      bool apart = (at == 0 || !is_letter(word[at - 1])) && (end == word.size() || !is_letter(word[end]));
      if (apart) return Hit{at, end};
    }
  }
  return std::nullopt;
}

}  // namespace

DockerfileText::DockerfileText(std::string_view text, std::string source) : text_(text), source_(std::move(source)) {
  lines_.push_back(0);
  for (size_t at = text.find('\n'); at != text.npos; at = text.find('\n', at + 1)) lines_.push_back(at + 1);
}

std::pair<size_t, size_t> DockerfileText::span(dockerfile::Location where) const {
  size_t first = where.first_line < 1 ? 0 : std::min<size_t>(static_cast<size_t>(where.first_line) - 1, lines_.size() - 1);
  size_t after = std::max<size_t>(where.last_line < 1 ? 1 : static_cast<size_t>(where.last_line), first + 1);
  return {lines_[first], after < lines_.size() ? lines_[after] : text_.size()};
}

Place DockerfileText::at(size_t begin, size_t end) const {
  Place place;
  place.source = source_;
  auto line = std::upper_bound(lines_.begin(), lines_.end(), begin) - lines_.begin();
  place.line = static_cast<uint32_t>(line);
  place.column = static_cast<uint32_t>(begin - lines_[static_cast<size_t>(line) - 1] + 1);
  place.begin = static_cast<uint32_t>(begin);
  place.end = static_cast<uint32_t>(end);
  return place;
}

Place DockerfileText::find(dockerfile::Location where, std::string_view word) const {
  auto [begin, end] = span(where);
  size_t at = text_.substr(begin, end - begin).find(word);
  if (word.empty() || at == text_.npos) return this->at(begin, begin);
  return this->at(begin + at, begin + at + word.size());
}

std::vector<DockerfileWord> DockerfileText::architecture_words(dockerfile::Location where) const {
  std::vector<DockerfileWord> found;
  auto [begin, end] = span(where);
  for (size_t word_at = begin; word_at < end;) {
    while (word_at < end && ends_word(text_[word_at])) ++word_at;
    size_t word_end = word_at;
    while (word_end < end && !ends_word(text_[word_end])) ++word_end;
    std::string_view word = text_.substr(word_at, word_end - word_at);
    if (word.starts_with('#')) {
      while (word_end < end && text_[word_end] != '\n') ++word_end;
      word_at = word_end;
      continue;
    }
    auto hit = x86_name(word);
    bool url = word.find("://") != word.npos;
    if (word.find("GOARCH=amd64") != word.npos) {
      found.push_back({"dockerfile-goarch", "amd64", "GOARCH=amd64: the program is x86-64 in every platform's image", "write GOARCH=$TARGETARCH, with ARG TARGETARCH in the stage", at(word_at + hit->begin, word_at + hit->end)});
    } else if (hit && url) {
      std::string name(word.substr(hit->begin, hit->end - hit->begin));
      found.push_back({"dockerfile-architecture-in-url", name, "downloads " + name + " for every platform", name == "amd64" ? "write ${TARGETARCH}, with ARG TARGETARCH in the stage" : "choose the name for ${TARGETARCH}: " + name + " or its arm64 counterpart",
                       at(word_at + hit->begin, word_at + hit->end), true});
    } else if (hit && word.find("linux") != word.npos && !word.starts_with("--platform")) {
      std::string name(word.substr(hit->begin, hit->end - hit->begin));
      found.push_back({"dockerfile-architecture-in-name", name, std::string(word) + " is of one architecture", "write ${TARGETARCH} in its place, with ARG TARGETARCH in the stage", at(word_at + hit->begin, word_at + hit->end)});
    } else if (auto flag = std::find_if(kX86Flags.begin(), kX86Flags.end(), [&](std::string_view each) { return word.find(each) != word.npos; }); flag != kX86Flags.end()) {
      found.push_back({"dockerfile-cpu-flag", std::string(*flag), std::string(word) + ": only compilers for x86 know it", "set it for amd64 only", at(word_at, word_end)});
    }
    word_at = word_end;
  }
  return found;
}

}  // namespace archway::audit
