#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.h"

// JSON values (RFC 8259). Boost.JSON does the parsing, behind this small header.
namespace archway {

struct JsonMember;

// A plain value: copyable, comparable, order of object members kept. Reading never fails: what is absent or of
// another kind reads as null, "" or the fallback, so that `j["a"]["b"].string()` is safe on any input.
class Json {
 public:
  using Array = std::vector<Json>;
  using Object = std::vector<JsonMember>;

  Json() = default;
  Json(std::nullptr_t) {}
  Json(bool value) : value_(value) {}
  template <class N>
    requires(std::is_integral_v<N> && !std::is_same_v<N, bool>)
  Json(N value) : value_(static_cast<int64_t>(value)) {}
  Json(double value) : value_(value) {}
  Json(std::string value) : value_(std::move(value)) {}
  Json(std::string_view value) : value_(std::string(value)) {}
  Json(const char* value) : value_(std::string(value)) {}
  Json(Array value) : value_(std::move(value)) {}
  Json(const std::vector<std::string>& strings);

  static Json array() { return Json(Array{}); }
  static Json object();
  static Json object(std::initializer_list<std::pair<std::string_view, Json>> members);

  bool is_null() const { return value_.index() == 0; }
  bool is_bool() const { return value_.index() == 1; }
  bool is_int() const { return value_.index() == 2; }  // whole numbers that fit int64
  bool is_double() const { return value_.index() == 3; }
  bool is_number() const { return is_int() || is_double(); }
  bool is_string() const { return value_.index() == 4; }
  bool is_array() const { return value_.index() == 5; }
  bool is_object() const { return value_.index() == 6; }

  bool boolean(bool fallback = false) const;
  int64_t integer(int64_t fallback = 0) const;   // a double with no fraction counts
  double number(double fallback = 0) const;
  const std::string& string() const;             // "" where it is no string
  std::string string_or(std::string_view fallback) const;
  const Array& items() const;                    // empty where it is no array
  const Object& members() const;                 // empty where it is no object
  Array& mutable_items();                        // becomes an array if it is not one
  Object& mutable_members();                     // becomes an object if it is not one
  std::vector<std::string> strings() const;      // the string items of an array

  const Json* find(std::string_view key) const;  // null where absent
  Json* find(std::string_view key);
  const Json& operator[](std::string_view key) const;  // the null value where absent
  bool has(std::string_view key) const { return find(key) != nullptr; }
  Json& set(std::string_view key, Json value);   // replaces or appends; returns the value's place
  void erase(std::string_view key);
  void push(Json value) { mutable_items().push_back(std::move(value)); }
  size_t size() const;                           // of an array or object, else 0

  bool operator==(const Json& other) const;

 private:
  std::variant<std::monostate, bool, int64_t, double, std::string, Array, Object> value_;
};

struct JsonMember {
  std::string key;
  Json value;
  bool operator==(const JsonMember&) const = default;
};

inline constexpr size_t kMaxJsonDepth = 256;

// One document, nothing after it. Invalid with line and column ("line 3, column 7: ...") otherwise. Of members
// with one name the last counts, as in Go. Refuses invalid UTF-8 and depth over kMaxJsonDepth.
Result<Json> parse_json(std::string_view text);

struct JsonStyle {
  int indent = 0;         // spaces per level; 0: compact. 2 is Go's MarshalIndent("", "  ")
  bool sort_keys = false;
  bool go_escapes = false;  // < > & U+2028 U+2029 as \u00XX, as Go's encoder writes them
};
std::string to_json(const Json& value, const JsonStyle& style = {});
std::string json_quote(std::string_view text);

}  // namespace archway
