#include "format/json.h"

#include <algorithm>
#include <boost/json/basic_parser_impl.hpp>
#include <charconv>
#include <cmath>

namespace archway {

namespace {
const Json kNull;
const std::string kEmptyString;
const Json::Array kEmptyArray;
const Json::Object kEmptyObject;
}  // namespace

Json::Json(const std::vector<std::string>& strings) : value_(Array(strings.begin(), strings.end())) {}

Json Json::object() {
  Json value;
  value.value_ = Object{};
  return value;
}

Json Json::object(std::initializer_list<std::pair<std::string_view, Json>> members) {
  Json value = object();
  for (const auto& [key, member] : members) value.mutable_members().push_back({std::string(key), member});
  return value;
}

bool Json::boolean(bool fallback) const {
  const bool* value = std::get_if<bool>(&value_);
  return value ? *value : fallback;
}
int64_t Json::integer(int64_t fallback) const {
  if (const int64_t* value = std::get_if<int64_t>(&value_)) return *value;
  if (const double* value = std::get_if<double>(&value_)) {
    if (std::trunc(*value) == *value && std::fabs(*value) < 9.2e18) return static_cast<int64_t>(*value);
  }
  return fallback;
}
double Json::number(double fallback) const {
  if (const int64_t* value = std::get_if<int64_t>(&value_)) return static_cast<double>(*value);
  const double* value = std::get_if<double>(&value_);
  return value ? *value : fallback;
}
const std::string& Json::string() const {
  const std::string* value = std::get_if<std::string>(&value_);
  return value ? *value : kEmptyString;
}
std::string Json::string_or(std::string_view fallback) const { return is_string() ? string() : std::string(fallback); }
const Json::Array& Json::items() const {
  const Array* value = std::get_if<Array>(&value_);
  return value ? *value : kEmptyArray;
}
const Json::Object& Json::members() const {
  const Object* value = std::get_if<Object>(&value_);
  return value ? *value : kEmptyObject;
}
Json::Array& Json::mutable_items() {
  if (!is_array()) value_ = Array{};
  return std::get<Array>(value_);
}
Json::Object& Json::mutable_members() {
  if (!is_object()) value_ = Object{};
  return std::get<Object>(value_);
}
std::vector<std::string> Json::strings() const {
  std::vector<std::string> found;
  for (const Json& item : items()) {
    if (item.is_string()) found.push_back(item.string());
  }
  return found;
}

const Json* Json::find(std::string_view key) const {
  for (const JsonMember& member : members()) {
    if (member.key == key) return &member.value;
  }
  return nullptr;
}
Json* Json::find(std::string_view key) { return const_cast<Json*>(std::as_const(*this).find(key)); }
const Json& Json::operator[](std::string_view key) const {
  const Json* found = find(key);
  return found ? *found : kNull;
}
Json& Json::set(std::string_view key, Json value) {
  if (Json* found = find(key)) return *found = std::move(value);
  return mutable_members().emplace_back(JsonMember{std::string(key), std::move(value)}).value;
}
void Json::erase(std::string_view key) {
  if (is_object()) std::erase_if(mutable_members(), [&](const JsonMember& member) { return member.key == key; });
}
size_t Json::size() const { return is_array() ? items().size() : members().size(); }
bool Json::operator==(const Json& other) const { return value_ == other.value_; }

namespace {

// Builds Json values from Boost.JSON's events.
struct Handler {
  static constexpr std::size_t max_object_size = std::size_t(-1);
  static constexpr std::size_t max_array_size = std::size_t(-1);
  static constexpr std::size_t max_key_size = std::size_t(-1);
  static constexpr std::size_t max_string_size = std::size_t(-1);
  using error_code = boost::json::error_code;
  using string_view = boost::json::string_view;

  std::vector<Json> stack;
  std::vector<std::string> keys;
  std::string text;
  Json root;

  void add(Json value) {
    if (stack.empty()) {
      root = std::move(value);
    } else if (stack.back().is_array()) {
      stack.back().push(std::move(value));
    } else {
      Json::Object& members = stack.back().mutable_members();
      std::string key = std::move(keys.back());
      keys.pop_back();
      members.push_back({std::move(key), std::move(value)});
    }
  }
  // Of equal names the last counts. Small objects are compared pairwise, large ones by sorting.
  static void drop_shadowed(Json::Object& members) {
    std::vector<std::pair<std::string_view, size_t>> order;
    order.reserve(members.size());
    for (size_t i = 0; i < members.size(); ++i) order.emplace_back(members[i].key, i);
    std::sort(order.begin(), order.end());
    std::vector<size_t> shadowed;
    for (size_t i = 0; i + 1 < order.size(); ++i) {
      if (order[i].first == order[i + 1].first) shadowed.push_back(order[i].second);
    }
    std::sort(shadowed.rbegin(), shadowed.rend());
    for (size_t i : shadowed) members.erase(members.begin() + static_cast<std::ptrdiff_t>(i));
  }
  bool close() {
    Json value = std::move(stack.back());
    stack.pop_back();
    if (value.is_object() && value.size() > 1) drop_shadowed(value.mutable_members());
    add(std::move(value));
    return true;
  }

  bool on_document_begin(error_code&) { return true; }
  bool on_document_end(error_code&) { return true; }
  bool on_object_begin(error_code&) { return stack.push_back(Json::object()), true; }
  bool on_object_end(std::size_t, error_code&) { return close(); }
  bool on_array_begin(error_code&) { return stack.push_back(Json::array()), true; }
  bool on_array_end(std::size_t, error_code&) { return close(); }
  bool on_key_part(string_view part, std::size_t, error_code&) { return text.append(part.data(), part.size()), true; }
  bool on_key(string_view part, std::size_t, error_code&) {
    text.append(part.data(), part.size());
    keys.push_back(std::exchange(text, {}));
    return true;
  }
  bool on_string_part(string_view part, std::size_t, error_code&) { return text.append(part.data(), part.size()), true; }
  bool on_string(string_view part, std::size_t, error_code&) {
    text.append(part.data(), part.size());
    add(Json(std::exchange(text, {})));
    return true;
  }
  bool on_number_part(string_view, error_code&) { return true; }
  bool on_int64(std::int64_t value, string_view, error_code&) { return add(Json(value)), true; }
  bool on_uint64(std::uint64_t value, string_view, error_code&) { return add(Json(static_cast<double>(value))), true; }
  // The parser's own conversion may be off in the last bits, and then a value changes each time it is written and read.
  // The document is one buffer, so `digits` is the whole number. What from_chars finds out of range keeps the parser's answer.
  bool on_double(double value, string_view digits, error_code&) {
    double exact = 0;
    auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), exact);
    return add(Json(error == std::errc() && end == digits.data() + digits.size() ? exact : value)), true;
  }
  bool on_bool(bool value, error_code&) { return add(Json(value)), true; }
  bool on_null(error_code&) { return add(Json()), true; }
  bool on_comment_part(string_view, error_code&) { return true; }
  bool on_comment(string_view, error_code&) { return true; }
};

}  // namespace

Result<Json> parse_json(std::string_view text) {
  boost::json::parse_options options;
  options.max_depth = kMaxJsonDepth;
  boost::json::basic_parser<Handler> parser(options);
  boost::json::error_code error;
  size_t used = parser.write_some(false, text.data(), text.size(), error);
  if (!error && used < text.size()) {
    size_t rest = text.find_first_not_of(" \t\r\n", used);
    if (rest != std::string_view::npos) {
      used = rest;
      error = boost::json::error::extra_data;
    }
  }
  if (!error) return std::move(parser.handler().root);
  std::string_view before = text.substr(0, std::min(used, text.size()));
  size_t line = 1 + static_cast<size_t>(std::count(before.begin(), before.end(), '\n'));
  size_t column = before.size() - (before.rfind('\n') == std::string_view::npos ? 0 : before.rfind('\n') + 1) + 1;
  return Error{Code::Invalid, "line " + std::to_string(line) + ", column " + std::to_string(column) + ": not JSON: " + error.message()};
}

namespace {

// Written as it stands, whatever the style.
bool is_plain(unsigned char c) { return c >= 0x20 && c != '"' && c != '\\' && c != '<' && c != '>' && c != '&' && c != 0xe2; }

void quote(std::string& out, std::string_view text, bool go_escapes) {
  constexpr char kHex[] = "0123456789abcdef";
  out += '"';
  for (size_t i = 0; i < text.size(); ++i) {
    // What needs no thought goes in one piece.
    size_t run = i;
    while (run < text.size() && is_plain(static_cast<unsigned char>(text[run]))) ++run;
    out.append(text, i, run - i);
    if (run == text.size()) break;
    i = run;
    unsigned char c = static_cast<unsigned char>(text[i]);
    switch (c) {
      case '"': out += "\\\""; continue;
      case '\\': out += "\\\\"; continue;
      case '\n': out += "\\n"; continue;
      case '\r': out += "\\r"; continue;
      case '\t': out += "\\t"; continue;
      default: break;
    }
    bool escape = c < 0x20 || (go_escapes && (c == '<' || c == '>' || c == '&'));
    if (escape) {
      out += "\\u00";
      out += kHex[c >> 4];
      out += kHex[c & 15];
    } else if (go_escapes && text.substr(i, 2) == "\xe2\x80" && i + 2 < text.size() && (text[i + 2] == '\xa8' || text[i + 2] == '\xa9')) {
      out += text[i + 2] == '\xa8' ? "\\u2028" : "\\u2029";
      i += 2;
    } else {
      out += static_cast<char>(c);
    }
  }
  out += '"';
}

class Writer {
 public:
  Writer(std::string& out, const JsonStyle& style) : out_(out), style_(style) {}

  void write(const Json& value, int level) {
    if (value.is_null()) {
      out_ += "null";
    } else if (value.is_bool()) {
      out_ += value.boolean() ? "true" : "false";
    } else if (value.is_int()) {
      out_ += std::to_string(value.integer());
    } else if (value.is_double()) {
      write_double(value.number());
    } else if (value.is_string()) {
      quote(out_, value.string(), style_.go_escapes);
    } else if (value.is_array()) {
      const auto& items = value.items();
      open('[', ']', items.size(), level, [&](size_t i) { write(items[i], level + 1); });
    } else {
      write_object(value.members(), level);
    }
  }

 private:
  void write_double(double number) {
    if (!std::isfinite(number)) {
      out_ += "null";
      return;
    }
    char text[32];
    auto end = std::to_chars(text, text + sizeof text, number).ptr;
    out_.append(text, end);
  }
  void write_object(const Json::Object& members, int level) {
    std::vector<const JsonMember*> order;
    for (const JsonMember& member : members) order.push_back(&member);
    if (style_.sort_keys) {
      std::stable_sort(order.begin(), order.end(), [](const JsonMember* a, const JsonMember* b) { return a->key < b->key; });
    }
    open('{', '}', order.size(), level, [&](size_t i) {
      quote(out_, order[i]->key, style_.go_escapes);
      out_ += style_.indent ? ": " : ":";
      write(order[i]->value, level + 1);
    });
  }
  template <class Body>
  void open(char begin, char end, size_t count, int level, Body body) {
    out_ += begin;
    for (size_t i = 0; i < count; ++i) {
      if (i > 0) out_ += ',';
      new_line(level + 1);
      body(i);
    }
    if (count > 0) new_line(level);
    out_ += end;
  }
  void new_line(int level) {
    if (!style_.indent) return;
    out_ += '\n';
    out_.append(static_cast<size_t>(level * style_.indent), ' ');
  }

  std::string& out_;
  const JsonStyle& style_;
};

}  // namespace

std::string to_json(const Json& value, const JsonStyle& style) {
  std::string out;
  Writer(out, style).write(value, 0);
  return out;
}

std::string json_quote(std::string_view text) {
  std::string out;
  quote(out, text, false);
  return out;
}

}  // namespace archway
