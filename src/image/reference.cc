#include "image/reference.h"

#include <algorithm>

#include "base/check.h"
#include "base/text.h"

namespace archway {

namespace {

// The grammar of distribution/reference, written out by hand: no backtracking on hostile input.
constexpr size_t kMaxRepositoryBytes = 255;
constexpr size_t kMaxTagBytes = 128;
constexpr std::string_view kDefaultHost = "docker.io";
constexpr std::string_view kLegacyHost = "index.docker.io";
constexpr std::string_view kOfficialPrefix = "library/";

bool is_lower_or_digit(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_alnum(char c) { return is_lower_or_digit(c) || (c >= 'A' && c <= 'Z'); }
bool is_hex(char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }
bool all(std::string_view text, bool (*test)(char)) { return !text.empty() && std::all_of(text.begin(), text.end(), test); }

// a host name or [IPv6 address], then perhaps a port
bool is_host(std::string_view text) {
  std::string_view name = text;
  if (name.starts_with('[')) {
    size_t close = name.find(']');
    if (close == std::string_view::npos) return false;
    if (!all(name.substr(1, close - 1), [](char c) { return is_hex(c) || c == ':'; })) return false;
    std::string_view rest = name.substr(close + 1);
    return rest.empty() || (rest[0] == ':' && all(rest.substr(1), is_digit));
  }
  auto [labels, port] = cut(name, ':');
  if (port && !all(*port, is_digit)) return false;
  for (const std::string& label : split(labels, '.')) {
    if (!all(label, [](char c) { return is_alnum(c) || c == '-'; }) || label.front() == '-' || label.back() == '-') return false;
  }
  return true;
}

// Runs of lower-case letters and digits, between them one of "." "_" "__" or any number of "-".
bool is_path_component(std::string_view text) {
  if (text.empty() || !is_lower_or_digit(text.front()) || !is_lower_or_digit(text.back())) return false;
  for (size_t i = 0; i < text.size();) {
    size_t end = i;
    while (end < text.size() && !is_lower_or_digit(text[end])) ++end;
    std::string_view separator = text.substr(i, end - i);
    bool good = separator.empty() || separator == "." || separator == "_" || separator == "__" ||
                separator.find_first_not_of('-') == std::string_view::npos;
    if (!good) return false;
    i = end;
    while (i < text.size() && is_lower_or_digit(text[i])) ++i;
  }
  return true;
}

bool is_tag(std::string_view text) {
  auto word = [](char c) { return is_alnum(c) || c == '_'; };
  if (text.empty() || text.size() > kMaxTagBytes || !word(text[0])) return false;
  return std::all_of(text.begin(), text.end(), [&](char c) { return word(c) || c == '.' || c == '-'; });
}

// algorithm (words joined by - _ + .), ':', 32 hex digits at least
bool looks_like_digest(std::string_view text) {
  auto [algorithm, hex] = cut(text, ':');
  if (!hex || hex->size() < 32 || !all(*hex, is_hex)) return false;
  bool start = true;
  for (char c : algorithm) {
    bool separator = c == '-' || c == '_' || c == '+' || c == '.';
    if (start ? !is_alnum(c) || is_digit(c) : !is_alnum(c) && !separator) return false;
    start = separator;
  }
  return !start;
}

bool has_upper(std::string_view text) { return std::any_of(text.begin(), text.end(), [](char c) { return c >= 'A' && c <= 'Z'; }); }

struct Halves { std::string host, rest; };

// Docker's short names: what stands before the first slash is a host only where it looks like one.
Halves split_host(std::string_view text) {
  auto [first, rest] = cut(text, '/');
  bool host = rest && (first == "localhost" || first.find_first_of(".:") != std::string_view::npos || has_upper(first));
  Halves halves = {std::string(host ? first : kDefaultHost), std::string(host ? *rest : text)};
  if (halves.host == kLegacyHost) halves.host = kDefaultHost;
  if (halves.host == kDefaultHost && halves.rest.find('/') == std::string::npos) halves.rest.insert(0, kOfficialPrefix);
  return halves;
}

}  // namespace

Result<Reference> Reference::parse(std::string_view text) {
  auto refuse = [&](std::string why) {
    return Error{Code::Invalid, "\"" + std::string(text.substr(0, 300)) + "\" is not an image reference: " + std::move(why)};
  };
  if (text.size() == 64 && all(text, [](char c) { return is_digit(c) || (c >= 'a' && c <= 'f'); })) {
    return refuse("invalid repository name (" + std::string(text) + "), cannot specify 64-byte hexadecimal strings");
  }
  if (text.find("://") != std::string_view::npos) return refuse("invalid reference format").with_hint("a reference has no scheme: leave out what stands before //");
  Halves halves = split_host(text);
  std::string_view rest = halves.rest;
  std::string_view before_colon = rest.substr(0, rest.find(':'));
  if (has_upper(before_colon)) return refuse("invalid reference format: repository name (" + std::string(before_colon) + ") must be lowercase");

  Reference reference;
  auto [named, digest] = cut(rest, '@');
  auto [repository, tag] = cut(named, ':');
  if (tag && !is_tag(*tag)) return refuse("invalid reference format");
  if (digest && !looks_like_digest(*digest)) return refuse("invalid reference format");
  if (!is_host(halves.host)) return refuse("invalid reference format");
  for (const std::string& component : split(repository, '/')) {
    if (!is_path_component(component)) return refuse("invalid reference format");
  }
  if (repository.size() > kMaxRepositoryBytes) return refuse("repository name must not be more than 255 characters");
  if (digest) {
    auto parsed = Digest::parse(*digest);
    if (!parsed.ok()) return std::move(parsed).error().within(refuse("invalid digest").message);
    reference.digest_ = std::move(parsed).value();
  }
  reference.host_ = std::move(halves.host);
  reference.repository_ = std::string(repository);
  if (tag) reference.tag_ = std::string(*tag);
  if (!tag && !digest) reference.tag_ = "latest";
  return reference;
}

std::string Reference::str() const {
  std::string text = name();
  if (tag_) text += ":" + *tag_;
  if (digest_) text += "@" + digest_->str();
  return text;
}

std::string Reference::familiar() const {
  std::string text = str();
  if (host_ != kDefaultHost) return text;
  text.erase(0, kDefaultHost.size() + 1);
  bool official = repository_.starts_with(kOfficialPrefix) && repository_.find('/', kOfficialPrefix.size()) == std::string::npos;
  if (official) text.erase(0, kOfficialPrefix.size());
  // docker.io/localhost/app keeps its host: without it, it would be another image.
  auto again = parse(text);
  return again.ok() && *again == *this ? text : str();
}

Reference Reference::with_tag(std::string tag) const {
  CHECK(is_tag(tag));
  Reference other = *this;
  other.tag_ = std::move(tag);
  other.digest_.reset();
  return other;
}

Reference Reference::with_digest(Digest digest) const {
  Reference other = *this;
  other.tag_.reset();
  other.digest_ = std::move(digest);
  return other;
}

}  // namespace archway
