#include <cstring>

#include "snapshot/tree.h"

namespace archway {

bool path_less(std::string_view a, std::string_view b) {
  size_t n = std::min(a.size(), b.size());
  size_t i = 0;
  // Neighbours share long prefixes: eight bytes at a time.
  for (; i + 8 <= n; i += 8) {
    uint64_t x, y;
    std::memcpy(&x, a.data() + i, 8);
    std::memcpy(&y, b.data() + i, 8);
    if (x != y) break;
  }
  while (i < n && a[i] == b[i]) i++;
  if (i == n) return a.size() < b.size();
  auto rank = [](char c) { return c == '/' ? 0u : static_cast<unsigned char>(c); };
  return rank(a[i]) < rank(b[i]);
}

Result<std::string> canonical_path(std::string_view path, const LayerLimits& limits) {
  auto refuse = [&](std::string_view why) { return Error{Code::Invalid, "path " + std::string(path.substr(0, 256)) + " " + std::string(why)}; };
  if (path.size() > limits.path_bytes * 2) return refuse("is too long");
  if (path.find('\0') != std::string_view::npos) return refuse("has a NUL byte in it");
  std::string out;
  out.reserve(path.size());
  size_t depth = 0;
  for (size_t at = 0; at <= path.size();) {
    size_t end = std::min(path.find('/', at), path.size());
    std::string_view name = path.substr(at, end - at);
    at = end + 1;
    if (name.empty() || name == ".") continue;
    if (name == "..") {
      if (out.empty()) return refuse("leads out of the root");
      size_t slash = out.rfind('/');
      out.resize(slash == std::string::npos ? 0 : slash);
      depth--;
      continue;
    }
    if (name.size() > limits.name_bytes) return refuse("has a name of over " + std::to_string(limits.name_bytes) + " bytes");
    if (++depth > limits.depth) return refuse("is more than " + std::to_string(limits.depth) + " folders deep");
    if (!out.empty()) out += '/';
    out += name;
  }
  if (out.size() > limits.path_bytes) return refuse("is longer than " + std::to_string(limits.path_bytes) + " bytes");
  return out;
}

}  // namespace archway
