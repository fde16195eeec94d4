#include <cstdint>
#include <string>

#include "base/check.h"
#include "format/tar.h"

namespace archway {
namespace {

// Mutation alone never gets a checksum right: mend that of every block that could be a header.
std::string with_checksums(std::string text) {
  for (size_t at = 0; at + 512 <= text.size(); at += 512) {
    if (text.compare(at + 257, 5, "ustar") != 0) continue;
    text.replace(at + 148, 8, 8, ' ');
    unsigned sum = 0;
    for (size_t i = 0; i < 512; i++) sum += static_cast<unsigned char>(text[at + i]);
    for (size_t i = 6; i-- > 0; sum >>= 3) text[at + 148 + i] = static_cast<char>('0' + (sum & 7));
    text[at + 154] = '\0';
  }
  return text;
}

// What is read can be written, unless the writer has a reason, and reads the same then.
void write_again(const TarEntry& entry) {
  TarEntry empty = entry;
  empty.size = 0;
  StringSink sink;
  TarWriter writer(sink);
  if (!writer.begin(empty).ok()) return;
  CHECK(writer.finish().ok());
  MemorySource source(sink.text);
  TarReader reader(source);
  Result<std::optional<TarEntry>> back = reader.next();
  CHECK(back.ok() && back->has_value());
  CHECK((*back)->path == entry.path && (*back)->type == entry.type && (*back)->uid == entry.uid && (*back)->link == entry.link);
  CHECK((*back)->mtime.seconds() == entry.mtime.seconds() && (*back)->xattrs == entry.xattrs);
}

void read_all_entries(const std::string& text) {
  MemorySource source(text);
  TarReader reader(source);
  for (int i = 0;; i++) {
    Result<std::optional<TarEntry>> entry = reader.next();
    if (!entry.ok() || !*entry) return;
    write_again(**entry);
    if (i % 2 == 0 && !read_all(reader.data(), text.size(), "data").ok()) return;
  }
}

}  // namespace
}  // namespace archway

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string text(reinterpret_cast<const char*>(data), size);
  if (size >= 512) archway::looks_like_tar(archway::as_bytes(text));
  archway::read_all_entries(text);
  archway::read_all_entries(archway::with_checksums(std::move(text)));
  return 0;
}
