#include <algorithm>

#include "audit/readers.h"
#include "audit/written_image.h"
#include "base/text.h"

namespace archway::audit {

namespace {

constexpr size_t kMaxListLines = 1'000'000;

ImageUse use_at(std::string_view text, size_t offset, size_t length, size_t line, size_t line_begin, const std::string& source) {
  ImageUse use;
  use.image = std::string(text.substr(offset, length));
  use.place.source = source;
  use.place.line = static_cast<uint32_t>(line);
  use.place.column = static_cast<uint32_t>(offset - line_begin + 1);
  use.place.begin = static_cast<uint32_t>(offset);
  use.place.end = static_cast<uint32_t>(offset + length);
  return use;
}

// each(line, number from 1, offset)
template <class F>
void each_line(std::string_view text, F&& each) {
  size_t number = 0;
  for (size_t at = 0; at < text.size();) {
    size_t end = std::min(text.find('\n', at), text.size());
    each(text.substr(at, end - at), ++number, at);
    at = end + 1;
  }
}

bool name_character(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_'; }

// The end of "${...}" that begins at `at`, or npos.
size_t closing_brace(std::string_view text, size_t at) {
  int depth = 0;
  for (; at < text.size(); ++at) {
    if (text[at] == '{') ++depth;
    if (text[at] == '}' && --depth == 0) return at;
  }
  return text.npos;
}

constexpr int kMaxVariableDepth = 8;

std::string expand_at(std::string_view text, const Variables& variables, int depth);

// What stands in ${...}: a name, and perhaps :- - :+ + :? ? with a word.
std::optional<std::string> expand_braced(std::string_view inside, const Variables& variables, int depth) {
  size_t end = 0;
  while (end < inside.size() && name_character(inside[end])) ++end;
  std::string_view name = inside.substr(0, end), rest = inside.substr(end);
  std::optional<std::string> value = variables(name);
  bool colon = rest.starts_with(':');
  if (colon) rest.remove_prefix(1);
  bool set = value && (!colon || !value->empty());
  if (rest.empty()) return value;
  std::string_view word = rest.substr(1);
  switch (rest[0]) {
    case '-': return set ? value : expand_at(word, variables, depth + 1);
    case '+': return set ? expand_at(word, variables, depth + 1) : std::string();
    case '?': return value;
    default: return std::nullopt;
  }
}

std::string expand_at(std::string_view text, const Variables& variables, int depth) {
  if (depth > kMaxVariableDepth) return std::string(text);
  std::string out;
  for (size_t at = 0; at < text.size();) {
    if (text[at] != '$' || at + 1 == text.size()) {
      out += text[at++];
      continue;
    }
    size_t end = at + 1;
    std::optional<std::string> value;
    if (text[end] == '$') {
      out += "$";
      at += 2;
      continue;
    }
    if (text[end] == '{') {
      size_t close = closing_brace(text, end);
      if (close == text.npos) return out + std::string(text.substr(at));
      value = expand_braced(text.substr(end + 1, close - end - 1), variables, depth);
      end = close + 1;
    } else {
      while (end < text.size() && name_character(text[end])) ++end;
      value = variables(text.substr(at + 1, end - at - 1));
    }
    out += value ? *value : std::string(text.substr(at, end - at));
    at = end;
  }
  return out;
}

}  // namespace

std::string expand_variables(std::string_view text, const Variables& variables) { return expand_at(text, variables, 0); }

void read_list(std::string_view text, const std::string& source, Collection& out) {
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  size_t lines = 0;
  each_line(text, [&](std::string_view line, size_t number, size_t offset) {
    std::string_view word = trim(line.substr(0, std::min(line.find(" #"), line.size())));
    if (word.empty() || word.starts_with('#') || ++lines > kMaxListLines) return;
    size_t begin = static_cast<size_t>(word.data() - text.data());
    ImageUse use = use_at(text, begin, word.size(), number, offset, source);
    use.role = ImageUse::Role::Mention;
    out.uses.push_back(std::move(use));
  });
  if (lines > kMaxListLines) out.unseen.push_back({source, "more than " + std::to_string(kMaxListLines) + " lines: the rest was not looked at"});
}

void read_reference(const std::string& reference, Collection& out) {
  ImageUse use;
  use.image = reference;
  use.role = ImageUse::Role::Mention;
  use.place.source = kCommandLine;
  out.uses.push_back(std::move(use));
}

void read_chart_template(std::string_view text, const std::string& source, Collection& out) {
  each_line(text, [&](std::string_view line, size_t number, size_t offset) {
    std::string_view rest = trim(line);
    if (rest.starts_with("- ")) rest = trim(rest.substr(2));
    if (!rest.starts_with("image:")) return;
    rest = trim(rest.substr(6));
    if (rest.size() > 1 && (rest[0] == '"' || rest[0] == '\'')) rest = rest.substr(1, rest.find(rest[0], 1) - 1);
    rest = trim(rest.substr(0, std::min(rest.find(" #"), rest.size())));
    if (!read_image(rest).reference) return;
    ImageUse use = use_at(text, static_cast<size_t>(rest.data() - text.data()), rest.size(), number, offset, source);
    use.confidence = Confidence::Likely;
    out.uses.push_back(std::move(use));
  });
}

void read_jenkinsfile(std::string_view text, const std::string& source, Collection& out) {
  each_line(text, [&](std::string_view line, size_t number, size_t offset) {
    if (trim(line).starts_with("//")) return;
    size_t word = line.find("image");
    if (word == line.npos || line.substr(word).starts_with("imageP")) return;
    size_t quote = line.find_first_of("'\"", word);
    if (quote == line.npos) return;
    size_t close = line.find(line[quote], quote + 1);
    if (close == line.npos || close == quote + 1) return;
    ImageUse use = use_at(text, offset + quote + 1, close - quote - 1, number, offset, source);
    WrittenImage written = read_image(use.image);
    if (!written.reference && !written.templated) return;
    use.role = ImageUse::Role::Job;
    use.confidence = Confidence::Likely;
    out.uses.push_back(std::move(use));
  });
}

}  // namespace archway::audit
