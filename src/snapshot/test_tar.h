#pragma once

#include <string>
#include <vector>

#include "snapshot/tree.h"

// Tars in one line, for tests.
namespace archway::test {

inline TarEntry file(std::string path, uint64_t size = 0, uint32_t mode = 0644) {
  TarEntry entry;
  entry.path = std::move(path);
  entry.mode = mode;
  entry.size = size;
  return entry;
}
inline TarEntry of_type(TarType type, std::string path, uint32_t mode, std::string link = {}) {
  TarEntry entry = file(std::move(path), 0, mode);
  entry.type = type;
  entry.link = std::move(link);
  return entry;
}
inline TarEntry dir(std::string path, uint32_t mode = 0755) { return of_type(TarType::Directory, path.ends_with('/') ? path : path + "/", mode); }
inline TarEntry symlink(std::string path, std::string target) { return of_type(TarType::Symlink, std::move(path), 0777, std::move(target)); }
inline TarEntry hardlink(std::string path, std::string target) { return of_type(TarType::Hardlink, std::move(path), 0644, std::move(target)); }
inline TarEntry device(std::string path, uint32_t major, uint32_t minor) {
  TarEntry entry = of_type(TarType::CharDevice, std::move(path), 0666);
  entry.dev_major = major;
  entry.dev_minor = minor;
  return entry;
}

// Files are filled with the first letter of their path.
inline std::string tar_of(const std::vector<TarEntry>& entries) {
  StringSink sink;
  TarWriter writer(sink);
  for (const TarEntry& entry : entries) {
    (void)writer.begin(entry).ok();
    std::string data(entry.size, entry.path.empty() ? '?' : entry.path[0]);
    if (!data.empty()) (void)writer.data(as_bytes(data)).ok();
  }
  (void)writer.finish().ok();
  return std::move(sink.text);
}
inline Result<LayerIndex> index_of(const std::vector<TarEntry>& entries, const LayerLimits& limits = {}) {
  StringSource tar(tar_of(entries));
  return index_tar(tar, limits);
}

}  // namespace archway::test
