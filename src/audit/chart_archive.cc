#include <fcntl.h>

#include <algorithm>

#include "audit/chart.h"
#include "base/fd.h"
#include "base/text.h"
#include "format/compress.h"
#include "format/tar.h"

namespace archway::audit {

namespace {

constexpr size_t kMaxEntriesLookedAt = 100;  // for Chart.yaml, which helm writes first

bool is_inside(const std::string& path) {
  if (path.empty() || path.front() == '/' || path.find('\0') != path.npos) return false;
  std::vector<std::string> parts = split(path, '/');
  return std::none_of(parts.begin(), parts.end(), [](const std::string& part) { return part.empty() || part == "." || part == ".."; });
}

// "NAME/Chart.yaml"
bool is_chart_yaml(const std::string& path) { return path.ends_with("/Chart.yaml") && path.find('/') == path.size() - 11 && is_inside(path); }

}  // namespace

bool is_chart_archive(const std::string& path) {
  auto fd = open_file(path, O_RDONLY | O_NONBLOCK);
  if (!fd.ok()) return false;
  FdSource packed(std::move(*fd), path);
  auto unpacked = decompress(Codec::Gzip, packed);
  TarReader tar(*unpacked);
  for (size_t i = 0; i < kMaxEntriesLookedAt; ++i) {
    auto entry = tar.next();
    if (!entry.ok() || !*entry) return false;
    if (is_chart_yaml((*entry)->path)) return true;
  }
  return false;
}

Result<std::string> unpack_chart(const std::string& path, const std::string& folder) {
  Fd fd = TRY(open_file(path, O_RDONLY | O_NONBLOCK));
  FdSource packed(std::move(fd), path);
  auto unpacked = decompress(Codec::Gzip, packed);
  TarReader tar(*unpacked);
  uint64_t left = kMaxChartBytes;
  size_t files = 0;
  std::string top;
  for (;;) {
    auto entry = TRY(tar.next());
    if (!entry) break;
    if (entry->type != TarType::Regular) continue;
    if (!is_inside(entry->path)) return Error{Code::Invalid, path + " holds the path \"" + entry->path + "\", which leads out of it"};
    if (++files > kMaxChartFiles || entry->size > left) return Error{Code::Unsupported, path + " unpacks to more than " + std::to_string(kMaxChartFiles) + " files or " + std::to_string(kMaxChartBytes >> 20) + " MB"};
    left -= entry->size;
    if (is_chart_yaml(entry->path)) top = entry->path.substr(0, entry->path.find('/'));
    std::string to = folder + "/" + entry->path;
    TRY(make_directories(to.substr(0, to.rfind('/'))));
    std::string content = TRY(read_all(tar.data(), kMaxChartBytes, to));
    Fd out = TRY(open_file(to, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW));
    TRY(write_all(out.get(), as_bytes(content)));
  }
  if (top.empty()) return Error{Code::Invalid, path + " is no chart: it has no Chart.yaml"};
  return folder + "/" + top;
}

}  // namespace archway::audit
