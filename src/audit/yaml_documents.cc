#include "audit/yaml_documents.h"

#include <algorithm>

#include "base/text.h"

namespace archway::audit {

namespace {

constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";

bool ends_marker(std::string_view text, size_t at) { return at >= text.size() || text[at] == ' ' || text[at] == '\t' || text[at] == '\n' || text[at] == '\r'; }

// Is there anything but comments and blank lines? Then it is a document, though nothing says so.
bool has_content(std::string_view text) {
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  for (size_t at = 0; at < text.size();) {
    size_t end = std::min(text.find('\n', at), text.size());
    std::string_view line = trim(text.substr(at, end - at));
    if (!line.empty() && !line.starts_with('#')) return true;
    at = end + 1;
  }
  return false;
}

// Where documents begin, and how many lines are before that.
struct Marks {
  std::vector<std::pair<size_t, uint32_t>> begins;
  bool whole = false;             // a directive or "..." is among the lines
};

Marks find_marks(std::string_view text) {
  Marks marks;
  uint32_t line = 0;
  for (size_t at = text.starts_with(kByteOrderMark) ? kByteOrderMark.size() : 0; at < text.size(); ++line) {
    std::string_view rest = text.substr(at);
    if (rest[0] == '%' || (rest[0] == '.' && rest.starts_with("..."))) {
      marks.whole = true;
      return marks;
    }
    if (rest[0] == '-' && rest.starts_with("---") && ends_marker(rest, 3)) marks.begins.emplace_back(at, line);
    size_t end = rest.find('\n');
    if (end == rest.npos) break;
    at += end + 1;
  }
  return marks;
}

}  // namespace

std::vector<DocumentText> split_documents(std::string_view text) {
  // A lone \r ends a line, too, for YAML; nobody writes such files, and they stay whole.
  size_t lone = text.find('\r');
  bool odd = lone != text.npos && (lone + 1 >= text.size() || text[lone + 1] != '\n');
  Marks marks = odd ? Marks{} : find_marks(text);
  if (odd || marks.whole) return {{text, 0, 0, 0, true}};
  std::vector<DocumentText> parts;
  parts.reserve(marks.begins.size() + 1);
  size_t begin = 0, number = 0;
  uint32_t line = 0;  // before `begin`
  auto add = [&](size_t end) {
    std::string_view part = text.substr(begin, end - begin);
    bool marked = part.starts_with("---") || part.starts_with("\xef\xbb\xbf---");
    if (!marked && !has_content(part)) return;
    parts.push_back({part, static_cast<uint32_t>(begin), line, number++, false});
  };
  for (auto [at, lines] : marks.begins) {
    // The first document's own mark: at the begin, or behind a byte order mark.
    if (at == begin || (begin == 0 && text.substr(0, at) == kByteOrderMark)) continue;
    add(at);
    begin = at;
    line = lines;
  }
  if (begin < text.size()) add(text.size());
  return parts;
}

}  // namespace archway::audit
