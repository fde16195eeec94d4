#include "format/tar.h"

#include <algorithm>

#include "format/tar_block.h"
#include "format/tar_pax.h"

// The rules are those of Go's archive/tar for FormatPAX, byte for byte: a layer that archway writes has the digest
// that BuildKit's would have. ustar wherever it can say all, else a pax header before it.
namespace archway {

using namespace tar_field;

namespace {

char flag_of(TarType type) {
  switch (type) {
    case TarType::Regular: return '0';
    case TarType::Hardlink: return '1';
    case TarType::Symlink: return '2';
    case TarType::CharDevice: return '3';
    case TarType::BlockDevice: return '4';
    case TarType::Directory: return '5';
    case TarType::Fifo: return '6';
  }
  return '0';
}

// A char is signed on x86-64 and unsigned on arm64.
bool fits_ascii_field(unsigned char c) { return c > 0 && c < 0x80; }
bool is_ascii(std::string_view text) { return std::ranges::all_of(text, fits_ascii_field); }
std::string only_ascii(std::string_view text) {
  std::string kept;
  std::ranges::copy_if(text, std::back_inserter(kept), fits_ascii_field);
  return kept;
}

// Where to cut a path over 100 bytes into ustar's prefix (155) and name (100): the index of the slash.
std::optional<size_t> ustar_split(std::string_view path) {
  if (path.size() <= kName.size || !is_ascii(path)) return std::nullopt;
  size_t length = path.size();
  if (length > kPrefix.size + 1) length = kPrefix.size + 1;
  else if (path[length - 1] == '/') length--;
  size_t slash = path.substr(0, length).rfind('/');
  if (slash == path.npos || slash == 0 || slash > kPrefix.size) return std::nullopt;
  size_t name = path.size() - slash - 1;
  if (name == 0 || name > kName.size) return std::nullopt;
  return slash;
}

// Go's path.Clean, for a path that is not empty.
std::string clean_path(std::string_view path) {
  bool rooted = path.starts_with('/');
  std::vector<std::string_view> parts;
  while (!path.empty()) {
    size_t slash = std::min(path.find('/'), path.size());
    std::string_view part = path.substr(0, slash);
    path.remove_prefix(std::min(slash + 1, path.size()));
    if (part.empty() || part == ".") continue;
    if (part != "..") parts.push_back(part);
    else if (!parts.empty() && parts.back() != "..") parts.pop_back();
    else if (!rooted) parts.push_back(part);
  }
  std::string clean = rooted ? "/" : "";
  for (size_t i = 0; i < parts.size(); i++) clean.append(i == 0 ? "" : "/").append(parts[i]);
  return clean.empty() ? "." : clean;
}

// "a/b" is preceded by "a/PaxHeaders.0/b".
std::string pax_header_name(std::string_view path) {
  size_t base = path.rfind('/') + 1;  // npos + 1 is 0
  std::string name = only_ascii(clean_path(std::string(path.substr(0, base)) + "PaxHeaders.0/" + std::string(path.substr(base))));
  if (name.size() > kName.size) name.resize(kName.size);
  while (name.ends_with('/')) name.pop_back();
  return name;
}

// What an entry needs beyond the header block.
struct Plan {
  PaxRecords records;
  bool ustar = true;  // the block alone says everything

  void text(std::string_view value, TarField field, const char* key, bool can_split) {
    if (value.size() <= field.size && is_ascii(value)) return;
    records[key] = value;
    if (!can_split || !ustar_split(value)) ustar = false;
  }
  void number(int64_t value, TarField field, const char* key) {
    if (fits_octal(field, value)) return;
    records[key] = std::to_string(value);
    ustar = false;
  }
};

Plan plan_of(const TarEntry& entry, uint64_t size) {
  Plan plan;
  plan.text(entry.path, kName, "path", true);
  plan.text(entry.link, kLink, "linkpath", false);
  plan.text(entry.user_name, kUserName, "uname", false);
  plan.text(entry.group_name, kGroupName, "gname", false);
  plan.number(static_cast<int64_t>(entry.uid), kUid, "uid");
  plan.number(static_cast<int64_t>(entry.gid), kGid, "gid");
  plan.number(static_cast<int64_t>(size), kSize, "size");
  plan.number(entry.mtime.seconds(), kMtime, "mtime");
  for (const auto& [name, value] : entry.xattrs) {
    plan.records[std::string(kPaxXattrPrefix) + name] = value;
    plan.ustar = false;
  }
  return plan;
}

Result<void> check(const TarEntry& entry) {
  auto refused = [&](std::string why) { return Error{Code::Invalid, "writing tar entry " + entry.path + ": " + std::move(why)}; };
  if (entry.path.empty()) return refused("its path is empty");
  for (const std::string* text : {&entry.path, &entry.link, &entry.user_name, &entry.group_name}) {
    if (text->find('\0') != text->npos) return refused("a NUL in a name");
  }
  for (const auto& [name, value] : entry.xattrs) {
    if (name.empty() || name.find('\0') != name.npos || name.find('=') != name.npos) return refused("the attribute name \"" + name + "\" cannot be written");
  }
  if (entry.type != TarType::Directory && entry.type != TarType::Hardlink && entry.type != TarType::Symlink && entry.path.ends_with('/')) {
    return refused("only a folder's path may end in a slash");
  }
  if (entry.uid > INT64_MAX || entry.gid > INT64_MAX || entry.size > INT64_MAX) return refused("a number is out of range");
  if (!fits_octal(kDevMajor, entry.dev_major) || !fits_octal(kDevMinor, entry.dev_minor)) return refused("the device number does not fit (pax has no record for it)");
  return {};
}

}  // namespace

struct TarWriter::State {
  Sink& out;
  uint64_t written = 0;
  uint64_t left = 0;      // data still to come for `path`
  uint64_t padding = 0;
  std::string path = {};

  Result<void> put(Bytes bytes) {
    TRY(out.write(bytes));
    written += bytes.size();
    return {};
  }
  Result<void> put_zeros(uint64_t count) {  // at most two blocks
    static constexpr std::array<std::byte, 2 * kTarBlockBytes> kZeros{};
    return put(Bytes(kZeros).first(count));
  }
  Result<void> end_entry() {
    if (left > 0) return Error{Code::Invalid, "writing tar entry " + path + ": its data is " + std::to_string(left) + " bytes short"};
    return put_zeros(std::exchange(padding, 0));
  }
  Result<void> put_pax_header(const TarEntry& entry, const PaxRecords& records);
};

Result<void> TarWriter::State::put_pax_header(const TarEntry& entry, const PaxRecords& records) {
  std::string text = write_pax_records(records);
  if (text.size() > kMaxPaxHeaderBytes) {
    return Error{Code::Unsupported, "writing tar entry " + entry.path + ": its names and attributes are over the limit of " + std::to_string(kMaxPaxHeaderBytes) + " bytes"};
  }
  TarBlock block;
  block.set_type('x');
  block.set_text(kName, pax_header_name(entry.path));
  for (TarField field : {kMode, kUid, kGid, kMtime}) block.set_octal(field, 0);
  block.set_octal(kSize, text.size());
  block.seal();
  TRY(put(block.bytes));
  TRY(put(as_bytes(text)));
  return put_zeros(tar_padding(text.size()));
}

TarWriter::TarWriter(Sink& sink) : state_(new State{.out = sink}) {}
TarWriter::~TarWriter() = default;
uint64_t TarWriter::written() const { return state_->written; }

Result<void> TarWriter::begin(const TarEntry& entry) {
  State& s = *state_;
  TRY(s.end_entry());
  TRY(check(entry));
  uint64_t size = entry.type == TarType::Regular ? entry.size : 0;
  Plan plan = plan_of(entry, size);
  if (!plan.ustar) TRY(s.put_pax_header(entry, plan.records));

  TarBlock block;
  block.set_type(flag_of(entry.type));
  std::optional<size_t> split = plan.ustar ? ustar_split(entry.path) : std::nullopt;
  if (split) block.set_text(kPrefix, std::string_view(entry.path).substr(0, *split));
  block.set_text(kName, only_ascii(split ? std::string_view(entry.path).substr(*split + 1) : std::string_view(entry.path)));
  block.set_text(kLink, only_ascii(entry.link));
  block.set_text(kUserName, only_ascii(entry.user_name));
  block.set_text(kGroupName, only_ascii(entry.group_name));
  block.set_octal(kMode, entry.mode & 07777);
  block.set_octal(kUid, entry.uid);
  block.set_octal(kGid, entry.gid);
  block.set_octal(kSize, size);
  block.set_octal(kMtime, static_cast<uint64_t>(entry.mtime.seconds()));  // negative: 0 here, and a record
  block.set_octal(kDevMajor, entry.dev_major);
  block.set_octal(kDevMinor, entry.dev_minor);
  block.seal();
  TRY(s.put(block.bytes));
  s.left = size;
  s.padding = tar_padding(size);
  s.path = entry.path;
  return {};
}

Result<void> TarWriter::data(Bytes bytes) {
  State& s = *state_;
  if (bytes.size() > s.left) return Error{Code::Invalid, "writing tar entry " + s.path + ": its data is longer than its size says"};
  TRY(s.put(bytes));
  s.left -= bytes.size();
  return {};
}

Result<void> TarWriter::add(const TarEntry& entry, Source& data_source) {
  TRY(begin(entry));
  auto buffer = std::make_unique_for_overwrite<std::byte[]>(kCopyBufferBytes);
  for (;;) {
    // One read past the end is what tells a longer source.
    size_t got = TRY(data_source.read({buffer.get(), kCopyBufferBytes}));
    if (got == 0) break;
    TRY(data({buffer.get(), got}));
  }
  if (state_->left > 0) return Error{Code::Invalid, "writing tar entry " + entry.path + ": its data is " + std::to_string(state_->left) + " bytes short"};
  return {};
}

Result<void> TarWriter::finish() {
  TRY(state_->end_entry());
  return state_->put_zeros(2 * kTarBlockBytes);
}

}  // namespace archway
