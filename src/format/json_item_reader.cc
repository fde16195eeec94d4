#include "format/json_item_reader.h"

#include <algorithm>
#include <cstring>

#include "format/json_brackets.h"

namespace archway {

namespace {

// Objects of up to so many members are searched for equal names pair by pair.
constexpr size_t kSmallObject = 24;
// Whole numbers of up to so many digits fit int64.
constexpr size_t kSafeDigits = 18;

bool is_space(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Whether any of the eight bytes ends a string or makes it more than plain: a quote, a backslash, below a space, above ASCII.
bool has_special(uint64_t word) {
  constexpr uint64_t kOnes = 0x0101010101010101, kHigh = 0x8080808080808080;
  auto has_zero = [](uint64_t x) { return (x - kOnes) & ~x & kHigh; };
  uint64_t below_space = (word - kOnes * 0x20) & ~word & kHigh;
  return ((word & kHigh) | below_space | has_zero(word ^ (kOnes * '"')) | has_zero(word ^ (kOnes * '\\'))) != 0;
}

// Of members with one name the last counts.
void drop_shadowed(Json::Object& members) {
  auto has_later = [&](size_t i) {
    for (size_t k = i + 1; k < members.size(); ++k) {
      if (members[k].key == members[i].key) return true;
    }
    return false;
  };
  if (members.size() <= kSmallObject) {
    for (size_t i = members.size(); i-- > 0;) {
      if (has_later(i)) members.erase(members.begin() + static_cast<std::ptrdiff_t>(i));
    }
    return;
  }
  std::vector<std::pair<std::string_view, size_t>> order;
  order.reserve(members.size());
  for (size_t i = 0; i < members.size(); ++i) order.emplace_back(members[i].key, i);
  std::sort(order.begin(), order.end());
  std::vector<bool> shadowed(members.size(), false);
  bool any = false;
  for (size_t i = 0; i + 1 < order.size(); ++i) {
    if (order[i].first == order[i + 1].first) any = shadowed[order[i].second] = true;
  }
  if (!any) return;
  Json::Object kept;
  for (size_t i = 0; i < members.size(); ++i) {
    if (!shadowed[i]) kept.push_back(std::move(members[i]));
  }
  members = std::move(kept);
}

}  // namespace

JsonSkips::JsonSkips(const std::vector<JsonPath>& paths) {
  for (const JsonPath& path : paths) {
    if (nodes_.empty()) nodes_.emplace_back();
    int node = 0;
    for (size_t i = 0; i < path.size() && node >= 0; ++i) {
      bool leaf = i + 1 == path.size();
      int next = below(node, path[i]);
      if (next == kNothing) {
        next = leaf ? kSkip : static_cast<int>(nodes_.size());
        if (!leaf) nodes_.emplace_back();
        nodes_[static_cast<size_t>(node)].push_back({path[i], next});
      } else if (leaf) {
        for (Child& child : nodes_[static_cast<size_t>(node)]) {
          if (child.name == path[i]) child.node = kSkip;
        }
      }
      node = next;
    }
  }
}

int JsonSkips::below(int node, std::string_view member) const {
  if (node < 0) return kNothing;
  for (const Child& child : nodes_[static_cast<size_t>(node)]) {
    if (child.name == member) return child.node;
  }
  return kNothing;
}

void JsonItemReader::skip_space() {
  while (at_ < text_.size() && is_space(text_[at_])) ++at_;
}

bool JsonItemReader::take(char c) {
  if (at_ >= text_.size() || text_[at_] != c) return false;
  ++at_;
  return true;
}

Result<Json> JsonItemReader::read() {
  skip_space();
  auto value = TRY(read_value(skips_.root(), 0));
  skip_space();
  if (at_ < text_.size()) return wrong("more follows the value");
  return value;
}

Result<Json> JsonItemReader::read_value(int skips, size_t depth) {
  if (at_ >= text_.size()) return wrong("a value is missing");
  char first = text_[at_];
  if (first == '{') return read_object(skips, depth + 1);
  if (first == '[') return read_array(skips, depth + 1);
  if (first == '"') return Json(TRY(read_string()));
  if (first == '-' || is_digit(first)) return read_number();
  return read_word();
}

Result<Json> JsonItemReader::read_object(int skips, size_t depth) {
  if (depth > kMaxJsonDepth) return wrong("nested too deep");
  ++at_;
  Json::Object members;
  skip_space();
  if (take('}')) return Json::object();
  while (true) {
    skip_space();
    if (at_ >= text_.size() || text_[at_] != '"') return wrong("expected the name of a member");
    std::string key = TRY(read_string());
    skip_space();
    if (!take(':')) return wrong("expected a colon");
    skip_space();
    int inside = skips_.below(skips, key);
    if (inside == JsonSkips::kSkip) {
      TRY(skip_value());
    } else {
      auto value = TRY(read_value(inside, depth));
      if (members.empty()) members.reserve(4);
      members.push_back({std::move(key), std::move(value)});
    }
    skip_space();
    if (take('}')) break;
    if (!take(',')) return wrong("expected a comma or the end of an object");
  }
  drop_shadowed(members);
  Json object;
  object.mutable_members() = std::move(members);
  return object;
}

Result<Json> JsonItemReader::read_array(int skips, size_t depth) {
  if (depth > kMaxJsonDepth) return wrong("nested too deep");
  ++at_;
  Json::Array items;
  skip_space();
  if (take(']')) return Json(std::move(items));
  while (true) {
    skip_space();
    items.push_back(TRY(read_value(skips, depth)));
    skip_space();
    if (take(']')) break;
    if (!take(',')) return wrong("expected a comma or the end of an array");
  }
  return Json(std::move(items));
}

// Past the closing quote of the string that begins here.
Result<size_t> JsonItemReader::string_end(bool& is_plain) {
  size_t end = at_ + 1;
  is_plain = true;
  while (true) {
    for (; end + 8 <= text_.size(); end += 8) {
      uint64_t word = 0;
      std::memcpy(&word, text_.data() + end, 8);
      if (has_special(word)) break;
    }
    size_t stop = std::min(end + 8, text_.size());
    for (; end < stop; ++end) {
      unsigned char c = static_cast<unsigned char>(text_[end]);
      if (c == '"') return end + 1;
      if (c == '\\') ++end;
      if (c == '\\' || c < 0x20 || c >= 0x80) is_plain = false;
    }
    if (end >= text_.size()) return wrong("a string does not end");
  }
}

Result<std::string> JsonItemReader::read_string() {
  bool is_plain = false;
  size_t end = TRY(string_end(is_plain));
  std::string_view quoted = text_.substr(at_, end - at_);
  if (is_plain) {
    at_ = end;
    return std::string(quoted.substr(1, quoted.size() - 2));
  }
  auto value = parse_json(quoted);
  if (!value.ok()) return wrong("a string holds what must not be in one");
  at_ = end;
  return value->string();
}

Result<Json> JsonItemReader::read_number() {
  size_t end = at_ + 1;
  bool whole = true;
  for (; end < text_.size(); ++end) {
    char c = text_[end];
    if (is_digit(c)) continue;
    if (c != '.' && c != 'e' && c != 'E' && c != '+' && c != '-') break;
    whole = false;
  }
  std::string_view number = text_.substr(at_, end - at_);
  bool negative = number[0] == '-';
  std::string_view digits = number.substr(negative);
  if (whole && !digits.empty() && digits.size() <= kSafeDigits && digits[0] != '0') {
    int64_t value = 0;
    for (char c : digits) value = value * 10 + (c - '0');
    at_ = end;
    return Json(negative ? -value : value);
  }
  auto value = parse_json(number);
  if (!value.ok()) return wrong("this is no number");
  at_ = end;
  return std::move(*value);
}

Result<Json> JsonItemReader::read_word() {
  auto take_word = [&](std::string_view word) {
    if (!text_.substr(at_).starts_with(word)) return false;
    at_ += word.size();
    return true;
  };
  if (take_word("true")) return Json(true);
  if (take_word("false")) return Json(false);
  if (take_word("null")) return Json();
  return wrong("expected a value");
}

Result<void> JsonItemReader::skip_value() {
  if (at_ < text_.size() && (text_[at_] == '{' || text_[at_] == '[')) {
    size_t length = JsonBrackets().scan(text_.substr(at_), true);
    if (length == JsonBrackets::kNotHere) return wrong("a bracket is not closed");
    at_ += length;
    return {};
  }
  if (at_ < text_.size() && text_[at_] == '"') {
    bool is_plain = false;
    at_ = TRY(string_end(is_plain));
    return {};
  }
  TRY(read_value(JsonSkips::kNothing, 0));
  return {};
}

}  // namespace archway
