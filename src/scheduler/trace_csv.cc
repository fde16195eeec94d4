#include "scheduler/trace_csv.h"

#include <algorithm>

#include "base/text.h"

namespace archway::scheduler {

Result<CsvReader> CsvReader::open(std::string_view text) {
  if (text.size() > kMaxCsvBytes) return Error{Code::Invalid, "the table has over " + std::to_string(kMaxCsvBytes >> 20) + " MiB"};
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);  // what spreadsheets put first
  CsvReader reader(text);
  while (!reader.rest_.empty() && reader.names_.empty()) {
    std::vector<std::string> names = TRY(reader.row());
    for (std::string& name : names) name = std::string(trim(name));
    if (names.size() > 1 || !names[0].empty()) reader.names_ = std::move(names);
  }
  if (reader.names_.empty()) return Error{Code::Invalid, "line 1: a line of column names is missing"};
  if (reader.names_.size() > kMaxCsvColumns) return Error{Code::Invalid, "line 1: over " + std::to_string(kMaxCsvColumns) + " columns"};
  return reader;
}

std::optional<size_t> CsvReader::index(std::string_view column) const {
  auto at = std::find(names_.begin(), names_.end(), column);
  if (at == names_.end()) return std::nullopt;
  return static_cast<size_t>(at - names_.begin());
}

const std::string& CsvReader::field(std::string_view column) const {
  static const std::string none;
  auto at = index(column);
  return at && *at < fields_.size() ? fields_[*at] : none;
}

// One record; quoted fields may hold commas, doubled quotes and line ends.
Result<std::vector<std::string>> CsvReader::row() {
  row_line_ = line_;
  std::vector<std::string> fields(1);
  bool quoted = false;
  size_t at = 0;
  for (; at < rest_.size(); ++at) {
    char c = rest_[at];
    if (c == '\n') ++line_;
    if (quoted) {
      if (c != '"') {
        fields.back() += c;
      } else if (at + 1 < rest_.size() && rest_[at + 1] == '"') {
        fields.back() += rest_[++at];
      } else {
        quoted = false;
      }
    } else if (c == '"' && fields.back().empty()) {
      quoted = true;
    } else if (c == ',') {
      if (fields.size() > kMaxCsvColumns) return Error{Code::Invalid, "line " + std::to_string(row_line_) + ": over " + std::to_string(kMaxCsvColumns) + " fields"};
      fields.emplace_back();
    } else if (c == '\n') {
      ++at;
      break;
    } else if (c != '\r') {
      fields.back() += c;
    }
  }
  if (quoted) return Error{Code::Invalid, "line " + std::to_string(row_line_) + ": a quote is not closed"};
  rest_.remove_prefix(at);
  return fields;
}

Result<bool> CsvReader::next() {
  while (!rest_.empty()) {
    fields_ = TRY(row());
    if (fields_.size() == 1 && trim(fields_[0]).empty()) continue;
    if (fields_.size() != names_.size()) {
      return Error{Code::Invalid, "line " + std::to_string(row_line_) + ": " + std::to_string(fields_.size()) + " fields under " + std::to_string(names_.size()) + " names"};
    }
    return true;
  }
  fields_.clear();
  return false;
}

}  // namespace archway::scheduler
