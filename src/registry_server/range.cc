#include "registry_server/range.h"

#include <algorithm>
#include <limits>

#include "base/text.h"

namespace archway::registry_server {

namespace {

struct Ends {
  std::optional<uint64_t> first, last;  // as far as they were given
};

// "a-b", "a-" or "-b".
std::optional<Ends> parse_ends(std::string_view text) {
  auto [first, last] = cut(text, '-');
  if (!last) return std::nullopt;
  first = trim(first);
  last = trim(*last);
  Ends ends;
  if (!first.empty() && !(ends.first = parse_uint(first))) return std::nullopt;
  if (!last->empty() && !(ends.last = parse_uint(*last))) return std::nullopt;
  if (!ends.first && !ends.last) return std::nullopt;
  return ends;
}

bool starts_with_unit(std::string_view text, char after) {
  return text.size() > 5 && to_lower(text.substr(0, 5)) == "bytes" && text[5] == after;
}

}  // namespace

RequestedRange parse_range(std::string_view header, uint64_t size) {
  header = trim(header);
  if (!starts_with_unit(header, '=')) return {};
  auto ends = parse_ends(header.substr(6));
  if (!ends) return {};  // "0-1,5-6" is none for us either: several parts are answered with the whole
  if (!ends->first) {    // the last so many bytes
    uint64_t length = std::min(*ends->last, size);
    if (length == 0) return {RangeKind::Unsatisfiable, {}};
    return {RangeKind::Part, {size - length, length}};
  }
  if (*ends->first >= size || (ends->last && *ends->last < *ends->first)) return {RangeKind::Unsatisfiable, {}};
  uint64_t last = std::min(ends->last.value_or(size - 1), size - 1);
  return {RangeKind::Part, {*ends->first, last - *ends->first + 1}};
}

std::optional<ByteRange> parse_content_range(std::string_view header) {
  header = trim(header);
  if (starts_with_unit(header, ' ') || starts_with_unit(header, '=')) header = trim(header.substr(6));
  header = cut(header, '/').first;
  auto ends = parse_ends(header);
  if (!ends || !ends->first || !ends->last || *ends->last < *ends->first) return std::nullopt;
  if (*ends->last == std::numeric_limits<uint64_t>::max()) return std::nullopt;  // its length would not fit
  return ByteRange{*ends->first, *ends->last - *ends->first + 1};
}

}  // namespace archway::registry_server
