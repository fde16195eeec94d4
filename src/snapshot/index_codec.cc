#include <limits>

#include "base/hash.h"
#include "snapshot/tree.h"

// A layer's index on disk: a line that names the form, sha256 of the rest in hex, then: three counts; entries; whiteouts;
// opaque folders. Numbers are LEB128. A path is given as the number of bytes it shares with the one before, and the rest.
namespace archway {

namespace {

constexpr std::string_view kForm = "archway-layer-index 1\n";
constexpr size_t kHashBytes = 64;

enum Flag : uint8_t { kHasLink = 1, kHasDevice = 2, kHasXattrs = 4, kHasOwner = 8 };

class Encoder {
 public:
  void number(uint64_t value) {
    while (value >= 0x80) {
      out.push_back(static_cast<char>(value | 0x80));
      value >>= 7;
    }
    out.push_back(static_cast<char>(value));
  }
  void text(std::string_view value) {
    number(value.size());
    out += value;
  }
  void path(std::string_view value) {
    size_t shared = 0, most = std::min(value.size(), last_.size());
    while (shared < most && value[shared] == last_[shared]) shared++;
    number(shared);
    text(value.substr(shared));
    last_ = value;
  }
  void restart() { last_ = {}; }
  std::string out;

 private:
  std::string_view last_;
};

// Once something did not fit, everything is 0 and ok() is false.
class Decoder {
 public:
  explicit Decoder(std::string_view bytes) : rest_(bytes) {}
  bool ok() const { return ok_; }
  bool at_end() const { return rest_.empty(); }
  size_t left() const { return rest_.size(); }
  uint64_t number() {
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && !rest_.empty(); shift += 7) {
      auto byte = static_cast<unsigned char>(rest_.front());
      rest_.remove_prefix(1);
      value |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    return fail();
  }
  uint32_t number32() {
    uint64_t value = number();
    return value <= std::numeric_limits<uint32_t>::max() ? static_cast<uint32_t>(value) : static_cast<uint32_t>(fail());
  }
  std::string_view text() {
    uint64_t size = number();
    if (size > rest_.size()) return fail(), std::string_view();
    std::string_view value = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return value;
  }
  // Has to come after the one before, in path order; the binary searches rely on it.
  std::string path() {
    uint64_t shared = number();
    std::string_view suffix = text();
    if (shared > last_.size() || suffix.size() > kLayerLimits.path_bytes) return fail(), std::string();
    std::string value;
    value.reserve(shared + suffix.size());
    value.append(last_, 0, shared).append(suffix);
    if (value.size() > kLayerLimits.path_bytes || (!first_ && !path_less(last_, value))) return fail(), std::string();
    first_ = false;
    last_ = value;
    return value;
  }
  void restart() {
    last_.clear();
    first_ = true;
  }
  uint64_t fail() {
    ok_ = false;
    rest_ = {};
    return 0;
  }

 private:
  std::string_view rest_;
  std::string last_;
  bool first_ = true;
  bool ok_ = true;
};

uint64_t zigzag(int64_t value) { return (static_cast<uint64_t>(value) << 1) ^ static_cast<uint64_t>(value >> 63); }
int64_t unzigzag(uint64_t value) { return static_cast<int64_t>(value >> 1) ^ -static_cast<int64_t>(value & 1); }

void encode_entry(Encoder& to, const TreeEntry& entry) {
  bool device = entry.dev_major || entry.dev_minor;
  bool owner = entry.uid || entry.gid;
  to.out.push_back(static_cast<char>(entry.type));
  to.out.push_back(static_cast<char>((entry.link.empty() ? 0 : kHasLink) | (device ? kHasDevice : 0) | (entry.xattrs.empty() ? 0 : kHasXattrs) |
                                     (owner ? kHasOwner : 0)));
  to.number(entry.mode);
  to.number(entry.size);
  to.number(zigzag(entry.mtime.seconds()));
  if (owner) to.number(entry.uid), to.number(entry.gid);
  if (!entry.link.empty()) to.text(entry.link);
  if (device) to.number(entry.dev_major), to.number(entry.dev_minor);
  if (entry.xattrs.empty()) return;
  to.number(entry.xattrs.size());
  for (const auto& [name, value] : entry.xattrs) to.text(name), to.text(value);
}

TreeEntry decode_entry(Decoder& from) {
  TreeEntry entry;
  uint64_t type = from.number(), flags = from.number();
  if (type > static_cast<uint64_t>(TarType::Fifo)) from.fail();
  entry.type = static_cast<TarType>(type);
  entry.mode = from.number32() & 07777;
  entry.size = from.number();
  int64_t seconds = unzigzag(from.number());
  if (seconds > std::numeric_limits<int64_t>::max() / 1'000'000'000 || seconds < std::numeric_limits<int64_t>::min() / 1'000'000'000) {
    seconds = static_cast<int64_t>(from.fail());
  }
  entry.mtime = Time::from_seconds(seconds);
  if (flags & kHasOwner) {
    entry.uid = from.number32();
    entry.gid = from.number32();
  }
  if (flags & kHasLink) entry.link = from.text();
  if (flags & kHasDevice) {
    entry.dev_major = from.number32();
    entry.dev_minor = from.number32();
  }
  if (flags & kHasXattrs) {
    uint64_t count = from.number();
    for (uint64_t i = 0; i < count && from.ok(); i++) {
      std::string_view name = from.text();
      entry.xattrs.emplace_back(name, from.text());
    }
  }
  return entry;
}

Error damaged(std::string_view how) {
  return {Code::Invalid, "layer index is damaged: " + std::string(how)};
}

}  // namespace

std::string write_layer_index(const LayerIndex& index) {
  Encoder body;
  body.number(index.entries.size());
  body.number(index.whiteouts.size());
  body.number(index.opaque.size());
  for (const auto& [path, entry] : index.entries) {
    body.path(path);
    encode_entry(body, entry);
  }
  for (const auto* list : {&index.whiteouts, &index.opaque}) {
    body.restart();
    for (const std::string& path : *list) body.path(path);
  }
  std::string out(kForm);
  out += sha256_hex(body.out);
  return out += body.out;
}

Result<LayerIndex> read_layer_index(std::string_view bytes) {
  if (!bytes.starts_with(kForm)) return damaged("not of the form archway-layer-index 1");
  bytes.remove_prefix(kForm.size());
  if (bytes.size() < kHashBytes) return damaged("cut off");
  if (sha256_hex(bytes.substr(kHashBytes)) != bytes.substr(0, kHashBytes)) return damaged("its checksum does not fit");
  Decoder from(bytes.substr(kHashBytes));
  uint64_t entries = from.number(), whiteouts = from.number(), opaque = from.number();
  // Each takes two bytes at least, so that a count cannot ask for more memory than the file is worth.
  if (entries > from.left() / 2 || whiteouts > from.left() / 2 || opaque > from.left() / 2) return damaged("a count beyond its size");
  LayerIndex index;
  index.entries.reserve(entries);
  for (uint64_t i = 0; i < entries && from.ok(); i++) {
    std::string path = from.path();
    index.entries.emplace_back(std::move(path), decode_entry(from));
  }
  from.restart();
  for (uint64_t i = 0; i < whiteouts && from.ok(); i++) index.whiteouts.push_back(from.path());
  from.restart();
  for (uint64_t i = 0; i < opaque && from.ok(); i++) index.opaque.push_back(from.path());
  if (!from.ok() || !from.at_end()) return damaged("its content does not fit its counts");
  return index;
}

}  // namespace archway
