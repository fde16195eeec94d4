#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

// Comma-separated values (RFC 4180) with a line of column names: price lists and traces come as that.
namespace archway::scheduler {

inline constexpr size_t kMaxCsvBytes = 256u << 20;
inline constexpr size_t kMaxCsvColumns = 256;

// Rows one by one. The text must outlive it.
class CsvReader {
 public:
  // Reads the names. Invalid where there is none, or too many.
  static Result<CsvReader> open(std::string_view text);

  bool has(std::string_view column) const { return index(column).has_value(); }
  // The next row that is not blank into place; false at the end. Invalid with "line N: " where quotes are left open or the
  // number of fields is not that of the names.
  Result<bool> next();
  // Of the row at hand; "" where the column or the field is missing.
  const std::string& field(std::string_view column) const;
  size_t line() const { return row_line_; }

 private:
  explicit CsvReader(std::string_view text) : rest_(text) {}
  std::optional<size_t> index(std::string_view column) const;
  Result<std::vector<std::string>> row();

  std::string_view rest_;
  std::vector<std::string> names_, fields_;
  size_t line_ = 1, row_line_ = 1;
};

}  // namespace archway::scheduler
