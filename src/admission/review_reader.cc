#include "admission/review_reader.h"

#include <algorithm>
#include <charconv>
#include <span>

#include "admission/names.h"

namespace archway::admission {

namespace {

// Which members of an object are kept, and in what shape; of a list the same of each item. No shape: the whole value.
struct Shape;
struct Member {
  std::string_view name;
  const Shape* shape = nullptr;
  bool prefix = false;  // all members whose name begins so
};
struct Shape {
  std::span<const Member> members;
  const Member* find(std::string_view name) const {
    for (const Member& member : members) {
      if (member.prefix ? name.starts_with(member.name) : name == member.name) return &member;
    }
    return nullptr;
  }
};

constexpr Member kGroupMembers[] = {{"group"}, {"version"}, {"kind"}, {"resource"}};
constexpr Shape kGroup{kGroupMembers};
constexpr Member kOwnedNames[] = {{kPrefix, nullptr, true}, {kMirrorAnnotation}};
constexpr Shape kOurs{kOwnedNames};
constexpr Member kOwnerMembers[] = {{"apiVersion"}, {"kind"}, {"name"}, {"uid"}, {"controller"}};
constexpr Shape kOwner{kOwnerMembers};
constexpr Member kMetadataMembers[] = {{"name"}, {"generateName"}, {"namespace"}, {"uid"}, {"deletionTimestamp"}, {"annotations", &kOurs}, {"labels", &kOurs}, {"ownerReferences", &kOwner}};
constexpr Shape kMetadata{kMetadataMembers};
constexpr Member kContainerMembers[] = {{"name"}, {"image"}, {"imagePullPolicy"}, {"restartPolicy"}};
constexpr Shape kContainer{kContainerMembers};
constexpr Member kVolumeMembers[] = {{"name"}, {"image"}};
constexpr Shape kVolume{kVolumeMembers};
constexpr Member kAffinityMembers[] = {{"nodeAffinity"}};
constexpr Shape kAffinity{kAffinityMembers};
// A spec is a pod's, or an owner's: both in one, as their members do not clash.
extern const Shape kTemplate, kJobTemplate;
constexpr Member kSpecMembers[] = {
    {"containers", &kContainer}, {"initContainers", &kContainer}, {"ephemeralContainers", &kContainer}, {"volumes", &kVolume},
    {"nodeSelector"}, {"affinity", &kAffinity}, {"tolerations"}, {"schedulingGates"}, {"nodeName"}, {"os"}, {"imagePullSecrets"},
    {"serviceAccountName"}, {"template", &kTemplate}, {"jobTemplate", &kJobTemplate}, {"suspend"}};
constexpr Shape kSpec{kSpecMembers};
constexpr Member kTemplateMembers[] = {{"metadata", &kMetadata}, {"spec", &kSpec}};
const Shape kTemplate{kTemplateMembers};
const Shape kJobTemplate{kTemplateMembers};
constexpr Member kStatusMembers[] = {{"startTime"}};
constexpr Shape kStatus{kStatusMembers};
constexpr Member kObjectMembers[] = {{"kind"}, {"apiVersion"}, {"metadata", &kMetadata}, {"spec", &kSpec}, {"template", &kTemplate}, {"status", &kStatus}};
constexpr Shape kObject{kObjectMembers};
constexpr Member kRequestMembers[] = {{"uid"}, {"kind", &kGroup}, {"resource", &kGroup}, {"subResource"}, {"name"}, {"namespace"}, {"operation"}, {"dryRun"}, {"object", &kObject}, {"oldObject", &kObject}};
constexpr Shape kRequest{kRequestMembers};
constexpr Member kReviewMembers[] = {{"kind"}, {"apiVersion"}, {"request", &kRequest}};
constexpr Shape kReview{kReviewMembers};

bool is_utf8(std::string_view text) {
  auto byte = [&](size_t at) { return static_cast<unsigned char>(at < text.size() ? text[at] : 0); };
  for (size_t i = 0; i < text.size();) {
    unsigned char first = byte(i);
    size_t more = first < 0x80 ? 0 : first >= 0xc2 && first < 0xe0 ? 1 : first >= 0xe0 && first < 0xf0 ? 2 : first >= 0xf0 && first < 0xf5 ? 3 : 4;
    if (more == 4) return false;
    for (size_t k = 1; k <= more; ++k) {
      if ((byte(i + k) & 0xc0) != 0x80) return false;
    }
    unsigned char second = byte(i + 1);
    // Overlong forms, surrogates, and what is beyond U+10FFFF.
    if ((first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f) || (first == 0xf0 && second < 0x90) || (first == 0xf4 && second > 0x8f)) return false;
    i += more + 1;
  }
  return true;
}

void add_utf8(std::string& text, uint32_t code) {
  auto add = [&](uint32_t byte) { text += static_cast<char>(static_cast<unsigned char>(byte)); };
  if (code < 0x80) {
    add(code);
  } else if (code < 0x800) {
    add(0xc0 | code >> 6), add(0x80 | (code & 0x3f));
  } else if (code < 0x10000) {
    add(0xe0 | code >> 12), add(0x80 | (code >> 6 & 0x3f)), add(0x80 | (code & 0x3f));
  } else {
    add(0xf0 | code >> 18), add(0x80 | (code >> 12 & 0x3f)), add(0x80 | (code >> 6 & 0x3f)), add(0x80 | (code & 0x3f));
  }
}

// Of members with one name the last counts.
void drop_shadowed(Json::Object& members) {
  if (members.size() < 2) return;
  std::vector<std::pair<std::string_view, size_t>> order;
  order.reserve(members.size());
  for (size_t i = 0; i < members.size(); ++i) order.emplace_back(members[i].key, i);
  std::sort(order.begin(), order.end());
  std::vector<bool> shadowed(members.size());
  size_t count = 0;
  for (size_t i = 0; i + 1 < order.size(); ++i) {
    if (order[i].first != order[i + 1].first) continue;
    shadowed[order[i].second] = true;
    ++count;
  }
  if (count == 0) return;
  Json::Object kept;
  kept.reserve(members.size() - count);
  for (size_t i = 0; i < members.size(); ++i) {
    if (!shadowed[i]) kept.push_back(std::move(members[i]));
  }
  members = std::move(kept);
}

// Bytes at which skipping stops to think: quotes and brackets; and those that end a number or a word.
struct ByteSet {
  bool in[256] = {};
  constexpr explicit ByteSet(std::string_view bytes) {
    for (char c : bytes) in[static_cast<unsigned char>(c)] = true;
  }
  bool operator()(char c) const { return in[static_cast<unsigned char>(c)]; }
};
constexpr ByteSet kStops("\"{}[]"), kEnds(",}] \n\t\r"), kNumberBytes("+-.eE0123456789");

// One pass over the text. After a failure `failed_` holds and nothing more is read.
class Reader {
 public:
  explicit Reader(std::string_view text) : begin_(text.data()), at_(text.data()), end_(text.data() + text.size()) {}

  Result<Json> read() {
    Json value;
    blanks();
    bool ok = this->value(&kReview, value, 0);
    blanks();
    if (ok && at_ != end_) fail("something follows the document");
    if (!why_) return value;
    return Error{Code::Invalid, "byte " + std::to_string(at_ - begin_) + ": not JSON: " + why_};
  }

 private:
  bool fail(const char* why) {
    if (!why_) why_ = why;
    return false;
  }
  void blanks() {
    while (at_ != end_ && (*at_ == ' ' || *at_ == '\n' || *at_ == '\t' || *at_ == '\r')) ++at_;
  }
  bool take(char c) {
    blanks();
    if (at_ == end_ || *at_ != c) return false;
    ++at_;
    return true;
  }

  bool value(const Shape* shape, Json& into, size_t depth);
  bool object(const Shape* shape, Json& into, size_t depth);
  bool array(const Shape* shape, Json& into, size_t depth);
  bool number(Json& into);
  bool literal(Json& into);
  bool string(std::string& into);
  bool escape(std::string& into);
  bool hex4(uint32_t& code);
  bool name(std::string_view& into);
  bool skip_string();
  bool skip_value(size_t depth);

  const char* begin_;
  const char* at_;
  const char* end_;
  const char* why_ = nullptr;
  std::string name_;  // of a member whose name has escapes
};

bool Reader::value(const Shape* shape, Json& into, size_t depth) {
  blanks();
  if (at_ == end_) return fail("it ends early");
  switch (*at_) {
    case '{': return object(shape, into, depth + 1);
    case '[': return array(shape, into, depth + 1);
    case '"': {
      std::string text;
      if (!string(text)) return false;
      into = Json(std::move(text));
      return true;
    }
    case 't':
    case 'f':
    case 'n': return literal(into);
    default: return number(into);
  }
}

bool Reader::object(const Shape* shape, Json& into, size_t depth) {
  if (depth > kMaxJsonDepth) return fail("it is nested too deeply");
  ++at_;
  into = Json::object();
  if (take('}')) return true;
  for (;;) {
    std::string_view key;
    blanks();
    if (!name(key)) return false;
    if (!take(':')) return fail("a colon is missing");
    const Member* member = shape ? shape->find(key) : nullptr;
    if (shape && !member) {
      if (!skip_value(depth)) return false;
    } else {
      std::string owned(key);  // the next name overwrites it
      Json inner;
      if (!value(member ? member->shape : nullptr, inner, depth)) return false;
      into.mutable_members().push_back({std::move(owned), std::move(inner)});
    }
    if (take('}')) return drop_shadowed(into.mutable_members()), true;
    if (!take(',')) return fail("a comma is missing");
  }
}

bool Reader::array(const Shape* shape, Json& into, size_t depth) {
  if (depth > kMaxJsonDepth) return fail("it is nested too deeply");
  ++at_;
  into = Json::array();
  if (take(']')) return true;
  Json::Array& items = into.mutable_items();
  for (;;) {
    if (!value(shape, items.emplace_back(), depth)) return false;
    if (take(']')) return true;
    if (!take(',')) return fail("a comma is missing");
  }
}

bool Reader::literal(Json& into) {
  std::string_view rest(at_, static_cast<size_t>(end_ - at_));
  for (auto [word, meant] : {std::pair<std::string_view, Json>{"true", true}, {"false", false}, {"null", nullptr}}) {
    if (!rest.starts_with(word)) continue;
    at_ += word.size();
    into = std::move(meant);
    return true;
  }
  return fail("an unknown word");
}

bool Reader::number(Json& into) {
  const char* first = at_;
  bool whole = true;
  const char* digits = *at_ == '-' ? at_ + 1 : at_;
  if (digits == end_ || *digits < '0' || *digits > '9') return fail("a value is expected");
  if (*digits == '0' && digits + 1 != end_ && digits[1] >= '0' && digits[1] <= '9') return fail("a number begins with 0");
  bool bare_point = false;
  for (; at_ != end_ && kNumberBytes(*at_); ++at_) {
    whole &= *at_ != '.' && *at_ != 'e' && *at_ != 'E';
    bare_point |= *at_ == '.' && (at_ + 1 == end_ || at_[1] < '0' || at_[1] > '9');
  }
  int64_t integer = 0;
  if (whole) {
    auto [end, error] = std::from_chars(first, at_, integer);
    if (error == std::errc() && end == at_) return into = Json(integer), true;
    if (end != at_) return fail("a number is malformed");
  }
  double real = 0;
  auto [end, error] = std::from_chars(first, at_, real);
  if (end != at_ || error != std::errc() || bare_point) return fail("a number is malformed or too large");
  into = Json(real);
  return true;
}

bool Reader::hex4(uint32_t& code) {
  if (end_ - at_ < 4) return fail("a string ends early");
  auto [end, error] = std::from_chars(at_, at_ + 4, code, 16);
  if (error != std::errc() || end != at_ + 4) return fail("a \\u escape is malformed");
  at_ += 4;
  return true;
}

bool Reader::escape(std::string& into) {
  if (at_ == end_) return fail("a string ends early");
  switch (char c = *at_++) {
    case 'b': into += '\b'; return true;
    case 'f': into += '\f'; return true;
    case 'n': into += '\n'; return true;
    case 'r': into += '\r'; return true;
    case 't': into += '\t'; return true;
    case '"':
    case '\\':
    case '/': into += c; return true;
    case 'u': break;
    default: return fail("an escape is malformed");
  }
  uint32_t code = 0, low = 0;
  if (!hex4(code)) return false;
  if (code >= 0xdc00 && code < 0xe000) return fail("half of a surrogate pair");
  if (code >= 0xd800 && code < 0xdc00) {
    if (end_ - at_ < 2 || at_[0] != '\\' || at_[1] != 'u') return fail("half of a surrogate pair");
    at_ += 2;
    if (!hex4(low)) return false;
    if (low < 0xdc00 || low >= 0xe000) return fail("half of a surrogate pair");
    code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
  }
  add_utf8(into, code);
  return true;
}

bool Reader::string(std::string& into) {
  ++at_;
  for (;;) {
    const char* run = at_;
    while (at_ != end_ && *at_ != '"' && *at_ != '\\' && static_cast<unsigned char>(*at_) >= 0x20) ++at_;
    into.append(run, at_);
    if (at_ == end_) return fail("a string ends early");
    char c = *at_++;
    if (c == '"') break;
    if (c != '\\') return fail("a control character in a string");
    if (!escape(into)) return false;
  }
  return is_utf8(into) || fail("a string is not UTF-8");
}

bool Reader::name(std::string_view& into) {
  if (at_ == end_ || *at_ != '"') return fail("a name is expected");
  const char* first = at_ + 1;
  const char* last = first;
  while (last != end_ && *last != '"' && *last != '\\' && static_cast<unsigned char>(*last) >= 0x20) ++last;
  if (last != end_ && *last == '"') {
    into = {first, static_cast<size_t>(last - first)};
    at_ = last + 1;
    return is_utf8(into) || fail("a string is not UTF-8");
  }
  name_.clear();
  if (!string(name_)) return false;
  into = name_;
  return true;
}

bool Reader::skip_string() {
  for (++at_;; ++at_) {
    while (at_ != end_ && *at_ != '"' && *at_ != '\\') ++at_;
    if (at_ != end_ && *at_ == '\\') ++at_;
    else if (at_ != end_) return ++at_, true;
    if (at_ == end_) return fail("a string ends early");
  }
}

bool Reader::skip_value(size_t depth) {
  blanks();
  bool open[kMaxJsonDepth + 1];  // of each bracket: is it a brace?
  size_t level = 0;
  for (bool any = false;; any = true) {
    // Between brackets everything but strings is just bytes.
    while (at_ != end_ && level > 0 && !kStops(*at_)) ++at_;
    if (at_ == end_) return fail("it ends early");
    char c = *at_;
    if (c == '"') {
      if (!skip_string()) return false;
    } else if (c == '{' || c == '[') {
      if (depth + ++level > kMaxJsonDepth) return fail("it is nested too deeply");
      open[level] = c == '{';
      ++at_;
    } else if (c == '}' || c == ']') {
      if (level == 0) return fail("a value is expected");
      if (open[level--] != (c == '}')) return fail("a bracket is closed by another");
      ++at_;
    } else {
      if (any) return fail("a value is expected");
      const char* first = at_;
      while (at_ != end_ && !kEnds(*at_)) ++at_;
      if (first == at_) return fail("a value is expected");
    }
    if (level == 0) return true;
  }
}

Json prune(const Json& value, const Shape* shape) {
  if (!shape) return value;
  if (value.is_array()) {
    Json list = Json::array();
    for (const Json& item : value.items()) list.push(prune(item, shape));
    return list;
  }
  if (!value.is_object()) return value;
  Json kept = Json::object();
  for (const JsonMember& each : value.members()) {
    if (const Member* member = shape->find(each.key)) kept.set(each.key, prune(each.value, member->shape));
  }
  return kept;
}

}  // namespace

Result<Json> read_review_json(std::string_view text) { return Reader(text).read(); }
Json prune_review(const Json& review) { return prune(review, &kReview); }

}  // namespace archway::admission
