#include "registry_server/route.h"

#include <algorithm>
#include <vector>

#include "base/text.h"
#include "net/http.h"

namespace archway::registry_server {

namespace {

constexpr size_t kMaxTagBytes = 128;
constexpr size_t kUploadIdDigits = 32;

bool is_lower_or_digit(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

// [a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*
bool is_path_component(std::string_view text) {
  size_t i = 0;
  for (;;) {
    size_t begin = i;
    while (i < text.size() && is_lower_or_digit(text[i])) i++;
    if (i == begin) return false;
    if (i == text.size()) return true;
    size_t separator = i;
    while (i < text.size() && text[i] == text[separator]) i++;
    size_t length = i - separator;
    bool good = text[separator] == '-' || (text[separator] == '.' && length == 1) || (text[separator] == '_' && length <= 2);
    if (!good) return false;
  }
}

std::optional<std::vector<std::string>> decoded_segments(std::string_view path) {
  std::vector<std::string> segments = split(path, '/');
  for (std::string& segment : segments) {
    auto decoded = percent_decode(segment);
    if (!decoded || decoded->find('\0') != std::string::npos) return std::nullopt;
    segment = std::move(*decoded);
  }
  return segments;
}

RouteResult of_repository(Endpoint endpoint, const std::vector<std::string>& segments, size_t name_segments, std::string item) {
  for (size_t i = 0; i < name_segments; i++) {
    if (segments[i].find('/') != std::string::npos) return {std::nullopt, RouteError::InvalidName};
  }
  std::string name = join({segments.begin(), segments.begin() + static_cast<ptrdiff_t>(name_segments)}, "/");
  if (!is_repository_name(name)) return {std::nullopt, RouteError::InvalidName};
  return {Route{endpoint, std::move(name), std::move(item)}};
}

}  // namespace

bool is_repository_name(std::string_view name) {
  if (name.size() > kMaxRepositoryNameBytes) return false;
  bool first = true;
  for (const std::string& part : split(name, '/')) {
    if (!is_path_component(part)) return false;
    if (!first && (part == "blobs" || part == "index.json" || part == "oci-layout")) return false;
    first = false;
  }
  return true;
}

bool is_tag(std::string_view tag) {
  auto word = [](char c) { return is_lower_or_digit(c) || (c >= 'A' && c <= 'Z') || c == '_'; };
  if (tag.empty() || tag.size() > kMaxTagBytes || !word(tag[0])) return false;
  return std::all_of(tag.begin(), tag.end(), [&](char c) { return word(c) || c == '.' || c == '-'; });
}

bool is_upload_id(std::string_view id) {
  return id.size() == kUploadIdDigits && id.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

RouteResult parse_route(std::string_view path) {
  if (path == "/v2" || path == "/v2/") return {Route{Endpoint::Base}};
  if (!path.starts_with("/v2/")) return {};
  auto decoded = decoded_segments(path.substr(4));
  if (!decoded) return {};
  const std::vector<std::string>& s = *decoded;
  size_t n = s.size();
  if (n == 1 && s[0] == "_catalog") return {Route{Endpoint::Catalog}};
  // The name may hold any of the words below; what follows it decides, so it is read from the end.
  if (n >= 4 && s[n - 3] == "blobs" && s[n - 2] == "uploads") {
    if (s[n - 1].empty()) return of_repository(Endpoint::Uploads, s, n - 3, "");
    return of_repository(Endpoint::Upload, s, n - 3, s[n - 1]);
  }
  if (n < 3 || s[n - 1].empty()) return {};
  if (s[n - 2] == "blobs" && s[n - 1] == "uploads") return of_repository(Endpoint::Uploads, s, n - 2, "");
  if (s[n - 2] == "tags" && s[n - 1] == "list") return of_repository(Endpoint::Tags, s, n - 2, "");
  if (s[n - 2] == "manifests") return of_repository(Endpoint::Manifest, s, n - 2, s[n - 1]);
  if (s[n - 2] == "blobs") return of_repository(Endpoint::Blob, s, n - 2, s[n - 1]);
  if (s[n - 2] == "referrers") return of_repository(Endpoint::Referrers, s, n - 2, s[n - 1]);
  return {};
}

}  // namespace archway::registry_server
