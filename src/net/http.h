#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// What HTTP client and server share (RFC 9110).
namespace archway {

// In order; names compare without case.
class Headers {
 public:
  void add(std::string name, std::string value) { list_.emplace_back(std::move(name), std::move(value)); }
  void set(std::string_view name, std::string value);
  // The first of that name; nullptr where absent.
  const std::string* find(std::string_view name) const;
  std::string get(std::string_view name) const { auto v = find(name); return v ? *v : std::string(); }
  std::vector<std::string> all(std::string_view name) const;
  const std::vector<std::pair<std::string, std::string>>& list() const { return list_; }

 private:
  std::vector<std::pair<std::string, std::string>> list_;
};

std::string percent_encode(std::string_view text);  // all but unreserved characters (RFC 3986 2.3)
std::optional<std::string> percent_decode(std::string_view text);
// "a=1&b=" + encoded; for query strings and forms.
std::string encode_query(const std::vector<std::pair<std::string, std::string>>& parameters);

}  // namespace archway
