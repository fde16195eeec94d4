#include "net/url.h"

#include <arpa/inet.h>

#include "base/text.h"

namespace archway {
namespace {

inline constexpr size_t kMaxUrlBytes = 16 * 1024;

int default_port(std::string_view scheme) { return scheme == "https" ? 443 : 80; }

// A blank or a control character in a URL would end up in a request line: refused, not repaired.
bool is_plain(std::string_view text) {
  for (unsigned char c : text) {
    if (c <= 0x20 || c >= 0x7f) return false;
  }
  return true;
}

bool is_host_name(std::string_view host) {
  if (host.empty() || host.size() > 253) return false;
  for (char c : host) {
    bool letter = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    if (!letter && c != '-' && c != '.' && c != '_') return false;
  }
  return true;
}

bool is_ipv6(const std::string& host) {
  in6_addr address;
  return ::inet_pton(AF_INET6, host.c_str(), &address) == 1;
}

// Hosts are quoted in messages: what is not printable does not get there.
Error bad_url(std::string_view text, std::string_view why) {
  std::string shown = is_plain(text) && text.size() <= 200 ? " \"" + std::string(text) + "\"" : "";
  return Error{Code::Invalid, "URL" + shown + ": " + std::string(why)};
}

struct Authority {
  std::string host;
  std::string port;
};

Result<Authority> split_authority(std::string_view authority, std::string_view whole) {
  // A password in a URL gets into logs and to whoever the URL leads to; no registry needs one.
  if (authority.find('@') != std::string_view::npos) return Error{Code::Invalid, "URL: a user name or password in it is not supported"};
  Authority parts;
  if (authority.starts_with('[')) {
    size_t end = authority.find(']');
    if (end == std::string_view::npos) return bad_url(whole, "[ without ]");
    parts.host = to_lower(authority.substr(1, end - 1));
    if (!is_ipv6(parts.host)) return bad_url(whole, "not an IPv6 address");
    authority.remove_prefix(end + 1);
    if (!authority.empty() && authority[0] != ':') return bad_url(whole, "characters after ]");
    if (!authority.empty()) parts.port = authority.substr(1);
    return parts;
  }
  auto [host, port] = cut(authority, ':');
  parts.host = to_lower(host);
  parts.port = port.value_or("");
  if (!is_host_name(parts.host)) return bad_url(whole, "the host name is not valid");
  return parts;
}

// RFC 3986 5.2.4. The path begins with "/".
std::string remove_dot_segments(std::string_view path) {
  std::vector<std::string> kept;
  auto segments = split(path.substr(1), '/');
  for (size_t i = 0; i < segments.size(); i++) {
    bool last = i + 1 == segments.size();
    if (segments[i] == "." || segments[i] == "..") {
      if (segments[i] == ".." && !kept.empty()) kept.pop_back();
      if (last) kept.emplace_back();
    } else {
      kept.push_back(segments[i]);
    }
  }
  return "/" + join(kept, "/");
}

void take_path_and_query(std::string_view text, Url& url) {
  text = text.substr(0, text.find('#'));
  auto [path, query] = cut(text, '?');
  url.path = path.empty() ? "/" : std::string(path);
  url.query = query.value_or("");
}

}  // namespace

std::string Url::origin() const {
  std::string text = scheme + "://" + (host.find(':') == std::string::npos ? host : "[" + host + "]");
  if (port != default_port(scheme)) text += ":" + std::to_string(port);
  return text;
}

std::string Url::str() const { return origin() + path + (query.empty() ? "" : "?" + query); }

Result<Url> parse_url(std::string_view text) {
  if (text.size() > kMaxUrlBytes) return Error{Code::Invalid, "URL: longer than " + std::to_string(kMaxUrlBytes) + " bytes"};
  if (!is_plain(text)) return bad_url(text, "blanks and control characters are not allowed");
  size_t colon = text.find("://");
  if (colon == std::string_view::npos) return bad_url(text, "not absolute (http://... or https://...)");
  Url url;
  url.scheme = to_lower(text.substr(0, colon));
  if (url.scheme != "http" && url.scheme != "https") return bad_url(text, "neither http nor https");
  std::string_view rest = text.substr(colon + 3);
  size_t end = std::min(rest.find_first_of("/?#"), rest.size());
  Authority authority = TRY(split_authority(rest.substr(0, end), text));
  url.host = std::move(authority.host);
  url.port = default_port(url.scheme);
  if (!authority.port.empty()) {
    auto port = parse_uint(authority.port);
    if (!port || *port == 0 || *port > 65535) return bad_url(text, "the port is not a number from 1 to 65535");
    url.port = static_cast<int>(*port);
  }
  rest.remove_prefix(end);
  take_path_and_query(rest, url);
  return url;
}

Result<Url> resolve_url(const Url& base, std::string_view reference) {
  if (reference.size() > kMaxUrlBytes) return Error{Code::Invalid, "URL: longer than " + std::to_string(kMaxUrlBytes) + " bytes"};
  if (!is_plain(reference)) return bad_url(reference, "blanks and control characters are not allowed");
  if (reference.starts_with("//")) return parse_url(base.scheme + ":" + std::string(reference));
  // A scheme is what stands before the first ':' if no '/', '?' or '#' comes earlier (RFC 3986 4.2).
  size_t special = reference.find_first_of(":/?#");
  if (special != std::string_view::npos && special > 0 && reference[special] == ':') return parse_url(reference);
  Url url = base;
  if (reference.empty() || reference[0] == '#') return url;
  if (reference[0] == '?') {
    url.query = reference.substr(1, reference.find('#') == std::string_view::npos ? reference.npos : reference.find('#') - 1);
    return url;
  }
  std::string path(reference);
  if (reference[0] != '/') path = base.path.substr(0, base.path.rfind('/') + 1) + path;
  take_path_and_query(path, url);
  url.path = remove_dot_segments(url.path);
  return url;
}

bool is_loopback_host(std::string_view host) {
  std::string name = to_lower(host);
  if (name.starts_with('[') && name.ends_with(']')) name = name.substr(1, name.size() - 2);
  if (name == "localhost" || name.ends_with(".localhost")) return true;
  in_addr v4;
  if (::inet_pton(AF_INET, name.c_str(), &v4) == 1) return (ntohl(v4.s_addr) >> 24) == 127;
  in6_addr v6;
  if (::inet_pton(AF_INET6, name.c_str(), &v6) != 1) return false;
  if (IN6_IS_ADDR_V4MAPPED(&v6)) return v6.s6_addr[12] == 127;
  return IN6_IS_ADDR_LOOPBACK(&v6);
}

}  // namespace archway
