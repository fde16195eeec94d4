#include "build/stat_cache.h"

#include <algorithm>
#include <cstring>

#include "base/fd.h"
#include "base/hash.h"

namespace archway::build {
namespace {

// The file: magic, then records of kRecordBytes, then the sha256 (hex) of all before it. Numbers are the machine's own; a file from a
// machine of the other byte order fails by its magic.
constexpr uint64_t kMagic = 0x31'30'74'73'77'63'72'61;  // "arcwst01"
constexpr size_t kRecordBytes = 5 * 8 + 32 + 2 * 4;
constexpr size_t kDigestBytes = 64;
constexpr int64_t kNanosecondsPerDay = int64_t{86'400} * 1'000'000'000;

// How far apart two changes must be to get different times. The kernel stamps with its tick, at most 10 ms; file systems without
// fractions of a second round to one or two seconds.
constexpr int64_t kTickNs = 50'000'000;
constexpr int64_t kCoarseNs = 2'000'000'000;

template <class T>
void put(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}
template <class T>
T take(const char*& from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  from += sizeof value;
  return value;
}

int64_t nanoseconds(const timespec& time) { return time.tv_sec * int64_t{1'000'000'000} + time.tv_nsec; }

}  // namespace

FileStamp FileStamp::of(const struct stat& st) {
  return {st.st_dev, st.st_ino, static_cast<uint64_t>(st.st_size), nanoseconds(st.st_mtim), nanoseconds(st.st_ctim)};
}

uint32_t StatCache::today() { return static_cast<uint32_t>(std::max<int64_t>(clock_.now().nanoseconds / kNanosecondsPerDay, 0)); }

void StatCache::load() {
  auto bytes = read_file(path_, kMaxEntries * kRecordBytes + 8 + kDigestBytes);
  if (!bytes.ok() || bytes->size() < 8 + kDigestBytes) return;
  const std::string_view body = std::string_view(*bytes).substr(0, bytes->size() - kDigestBytes);
  if ((body.size() - 8) % kRecordBytes != 0 || sha256_hex(body) != std::string_view(*bytes).substr(body.size())) return;
  const char* at = body.data();
  if (take<uint64_t>(at) != kMagic) return;
  const size_t count = (body.size() - 8) / kRecordBytes;
  entries_.reserve(count);
  for (size_t i = 0; i < count; ++i) {
    Entry entry;
    entry.stamp.device = take<uint64_t>(at);
    entry.stamp.inode = take<uint64_t>(at);
    entry.stamp.size = take<uint64_t>(at);
    entry.stamp.mtime_ns = take<int64_t>(at);
    entry.stamp.ctime_ns = take<int64_t>(at);
    entry.content.sha256 = take<std::array<unsigned char, 32>>(at);
    entry.used_day = take<uint32_t>(at);
    entry.content.has_capability = take<uint32_t>(at) != 0;
    entries_.insert_or_assign(Key{entry.stamp.device, entry.stamp.inode}, entry);
  }
}

std::optional<KnownContent> StatCache::find(const FileStamp& stamp) {
  auto found = entries_.find(Key{stamp.device, stamp.inode});
  if (found == entries_.end() || found->second.stamp != stamp) return std::nullopt;
  // One day's precision is enough to tell what is still in use, and most builds then have nothing to write.
  if (const uint32_t day = today(); found->second.used_day != day) {
    found->second.used_day = day;
    changed_ = true;
  }
  return found->second.content;
}

void StatCache::remember(const FileStamp& stamp, const KnownContent& content, Time read_at) {
  const bool coarse = stamp.mtime_ns % 1'000'000'000 == 0 && stamp.ctime_ns % 1'000'000'000 == 0;
  const int64_t newest = std::max(stamp.mtime_ns, stamp.ctime_ns);
  const Key key{stamp.device, stamp.inode};
  if (newest >= read_at.nanoseconds - (coarse ? kCoarseNs : kTickNs)) {
    changed_ = entries_.erase(key) != 0 || changed_;
    return;
  }
  if (entries_.size() >= kMaxEntries && !entries_.count(key)) return;
  entries_.insert_or_assign(key, Entry{stamp, content, today()});
  changed_ = true;
}

Result<void> StatCache::save() {
  if (!changed_) return {};
  std::string out;
  out.reserve(8 + entries_.size() * kRecordBytes + kDigestBytes);
  put(out, kMagic);
  const uint32_t day = today();
  for (const auto& [key, entry] : entries_) {
    if (day > entry.used_day && day - entry.used_day > kKeepDays) continue;
    put(out, entry.stamp.device);
    put(out, entry.stamp.inode);
    put(out, entry.stamp.size);
    put(out, entry.stamp.mtime_ns);
    put(out, entry.stamp.ctime_ns);
    put(out, entry.content.sha256);
    put(out, entry.used_day);
    put(out, uint32_t{entry.content.has_capability});
  }
  out += sha256_hex(out);
  TRY(write_file_atomic(path_, out, 0600));
  changed_ = false;
  return {};
}

}  // namespace archway::build
