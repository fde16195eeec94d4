#include "audit/yaml_documents.h"

#include <algorithm>

#include "base/text.h"

namespace archway::audit {

namespace {

bool ends_marker(std::string_view text, size_t at) { return at >= text.size() || text[at] == ' ' || text[at] == '\t' || text[at] == '\n' || text[at] == '\r'; }

// Is there anything but comments and blank lines? Then it is a document, though nothing says so.
bool has_content(std::string_view text) {
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  for (size_t at = 0; at < text.size();) {
    size_t end = std::min(text.find('\n', at), text.size());
    std::string_view line = trim(text.substr(at, end - at));
    if (!line.empty() && !line.starts_with('#')) return true;
    at = end + 1;
  }
  return false;
}

// A line that begins so: at the begin of the text or behind a line end.
size_t find_line(std::string_view text, std::string_view begin, size_t from) {
  for (size_t at = text.find(begin, from); at != text.npos; at = text.find(begin, at + 1)) {
    if (at == 0 || text[at - 1] == '\n' || (at == 3 && text.starts_with("\xef\xbb\xbf"))) return at;
  }
  return text.npos;
}

}  // namespace

std::vector<DocumentText> split_documents(std::string_view text) {
  // A lone \r ends a line, too, for YAML; nobody writes such files, and they stay whole.
  size_t lone = text.find('\r');
  bool odd = lone != text.npos && (lone + 1 >= text.size() || text[lone + 1] != '\n');
  if (odd || find_line(text, "%", 0) != text.npos || find_line(text, "...", 0) != text.npos) return {{text, 0, 0, 0, true}};
  std::vector<DocumentText> parts;
  size_t begin = 0, number = 0;
  uint32_t line = 0, counted = 0;  // lines up to `counted` bytes
  auto add = [&](size_t end) {
    std::string_view part = text.substr(begin, end - begin);
    line += static_cast<uint32_t>(std::count(text.begin() + counted, text.begin() + static_cast<long>(begin), '\n'));
    counted = static_cast<uint32_t>(begin);
    bool marked = part.starts_with("---") || part.starts_with("\xef\xbb\xbf---");
    if (!marked && !has_content(part)) return;
    parts.push_back({part, static_cast<uint32_t>(begin), line, number++, false});
  };
  for (size_t at = find_line(text, "---", 0); at != text.npos; at = find_line(text, "---", at + 3)) {
    if (!ends_marker(text, at + 3)) continue;
    if (at > begin && !(at == 3 && begin == 0 && text.starts_with("\xef\xbb\xbf"))) {
      add(at);
      begin = at;
    }
  }
  if (begin < text.size()) add(text.size());
  return parts;
}

}  // namespace archway::audit
