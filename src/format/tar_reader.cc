#include "format/tar.h"

#include <algorithm>
#include <cstring>

#include "base/text.h"
#include "format/tar_block.h"
#include "format/tar_pax.h"

namespace archway {

using namespace tar_field;

namespace {

// What the blocks before an entry said about it.
struct Extensions {
  std::optional<PaxRecords> pax;            // 'x'
  std::optional<std::string> path, link;    // 'L', 'K'
};

std::optional<TarType> type_of(char flag) {
  switch (flag) {
    case '\0': case '0': case '7': return TarType::Regular;
    case '1': return TarType::Hardlink;
    case '2': return TarType::Symlink;
    case '3': return TarType::CharDevice;
    case '4': return TarType::BlockDevice;
    case '5': case 'D': return TarType::Directory;  // D: GNU's, with a list of names as its data
    case '6': return TarType::Fifo;
    default: return std::nullopt;
  }
}

constexpr std::string_view kSpecialTypes = "xgLKSMVNX";

std::string ustar_path(const TarBlock& block) {
  std::string name(block.text(kName));
  std::string_view prefix;
  if (block.dialect() == TarDialect::Ustar) prefix = block.text(kPrefix);
  if (block.dialect() == TarDialect::Star) prefix = block.text(kStarPrefix);
  return prefix.empty() ? name : std::string(prefix) + "/" + name;
}

std::string printable(char flag) {
  if (flag >= 0x20 && flag < 0x7f) return std::string("'") + flag + "'";
  return std::to_string(static_cast<unsigned char>(flag));
}

}  // namespace

struct TarReader::State final : Source {
  explicit State(Source& source) : in(source) {}

  Source& in;
  uint64_t offset = 0;        // of the next byte of `in`
  uint64_t header_offset = 0;
  uint64_t data_begin = 0;
  uint64_t left = 0;          // of the current entry's data
  uint64_t padding = 0;       // after it
  bool ended = false;
  PaxRecords global;
  size_t global_bytes = 0;

  Error at(uint64_t where, std::string message, Code code = Code::Invalid) const {
    return {code, "tar: at byte " + std::to_string(where) + ": " + std::move(message)};
  }
  Error here(std::string message, Code code = Code::Invalid) const { return at(header_offset, std::move(message), code); }

  // The data of the current entry, as a Source.
  Result<size_t> read(std::span<std::byte> into) override {
    if (left == 0) return size_t{0};
    size_t got = TRY(in.read(into.first(static_cast<size_t>(std::min<uint64_t>(into.size(), left)))));
    if (got == 0) return at(offset, "the archive ends inside an entry's data");
    offset += got;
    left -= got;
    return got;
  }
  Result<uint64_t> skip(uint64_t count) override {
    count = std::min(count, left);
    if (count == 0) return uint64_t{0};
    uint64_t done = TRY(in.skip(count));
    offset += done;
    left -= done;
    if (done < count) return at(offset, "the archive ends inside an entry's data");
    return done;
  }

  Result<void> pass_over_data();
  Result<bool> read_block(TarBlock& block);  // false: the end of input
  Result<bool> read_header(TarBlock& block);
  Result<std::string> read_special(const TarBlock& block);
  Result<uint64_t> number(const TarBlock& block, TarField field, std::string_view what) const;
  Result<bool> take_extension(const TarBlock& block, Extensions& extensions);
  Result<TarEntry> entry_of(const TarBlock& block, const Extensions& extensions);
  Result<void> apply_pax(const PaxRecords& records, TarEntry& entry, uint64_t& size) const;
  Result<void> check_names(const TarEntry& entry) const;
};

Result<void> TarReader::State::pass_over_data() {
  uint64_t count = left + padding;
  left = padding = 0;
  if (count == 0) return {};
  uint64_t done = TRY(in.skip(count));
  offset += done;
  if (done < count) return at(offset, "the archive ends inside an entry's data");
  return {};
}

Result<bool> TarReader::State::read_block(TarBlock& block) {
  header_offset = offset;
  size_t got = TRY(read_full(in, block.bytes));
  offset += got;
  if (got == 0) return false;
  if (got < kTarBlockBytes) return at(offset, "the archive ends inside a header");
  return true;
}

// False at the end of the archive. A lone block of zeros followed by more is where readers disagree (GNU tar stops, others
// go on), and layers that read differently in two places are a trap: refused, as Go does.
Result<bool> TarReader::State::read_header(TarBlock& block) {
  if (!TRY(read_block(block))) return false;
  if (block.is_zero()) {
    TarBlock second;
    if (!TRY(read_block(second))) return false;
    if (!second.is_zero()) return here("a header follows a lone block of zeros");
    return false;
  }
  if (!block.checksum_matches()) return here("not a tar header (its checksum is wrong)");
  return true;
}

// The data of an extended header, whole.
Result<std::string> TarReader::State::read_special(const TarBlock& block) {
  uint64_t size = TRY(number(block, kSize, "size"));
  if (size > kMaxPaxHeaderBytes) return here("an extended header of " + std::to_string(size) + " bytes is over the limit of " + std::to_string(kMaxPaxHeaderBytes));
  left = size;
  padding = tar_padding(size);
  std::string text(size, '\0');
  size_t got = TRY(read_full(*this, std::as_writable_bytes(std::span(text))));
  text.resize(got);
  TRY(pass_over_data());
  return text;
}

Result<uint64_t> TarReader::State::number(const TarBlock& block, TarField field, std::string_view what) const {
  std::optional<int64_t> value = block.number(field);
  if (!value || *value < 0) return here("the " + std::string(what) + " is not a number");
  return static_cast<uint64_t>(*value);
}

// True where the block spoke about a later entry.
Result<bool> TarReader::State::take_extension(const TarBlock& block, Extensions& extensions) {
  uint64_t begin = header_offset;
  auto placed = [&](Error error) { return at(begin, std::move(error.message), error.code); };
  switch (block.type()) {
    case 'x':
    case 'X': {  // X: Solaris, before POSIX had it
      std::string text = TRY(read_special(block));
      extensions.pax.emplace();
      if (auto parsed = parse_pax_records(text, *extensions.pax); !parsed.ok()) return placed(std::move(parsed).error());
      return true;
    }
    case 'g': {
      std::string text = TRY(read_special(block));
      if (auto parsed = parse_pax_records(text, global); !parsed.ok()) return placed(std::move(parsed).error());
      global_bytes = 0;
      for (const auto& [key, value] : global) global_bytes += key.size() + value.size();
      if (global_bytes > kMaxPaxHeaderBytes) return here("the global pax headers are over the limit of " + std::to_string(kMaxPaxHeaderBytes) + " bytes");
      return true;
    }
    case 'L':
    case 'K': {
      std::string text = TRY(read_special(block));
      text.resize(std::min(text.find('\0'), text.size()));
      (block.type() == 'L' ? extensions.path : extensions.link) = std::move(text);
      return true;
    }
    case 'V':  // a label for the tape; no file
      left = TRY(number(block, kSize, "size"));
      padding = tar_padding(left);
      TRY(pass_over_data());
      extensions = {};
      return true;
    default: return false;
  }
}

Result<void> TarReader::State::apply_pax(const PaxRecords& records, TarEntry& entry, uint64_t& size) const {
  auto id = [&](std::string_view key, const std::string& value, uint64_t& into) -> Result<void> {
    std::optional<int64_t> number = parse_int(value);
    if (!number || *number < 0) return here("pax " + std::string(key) + " \"" + value.substr(0, 40) + "\" is not a number");
    into = static_cast<uint64_t>(*number);
    return {};
  };
  for (const auto& [key, value] : records) {
    if (key.starts_with(kPaxXattrPrefix)) {
      if (key.size() > kPaxXattrPrefix.size()) entry.xattrs.emplace_back(key.substr(kPaxXattrPrefix.size()), value);
      continue;
    }
    if (value.empty()) continue;  // POSIX: an empty value takes a record back; what the header block says holds
    if (key.starts_with("GNU.sparse.")) return here("sparse file " + entry.path + " is not supported; write the archive without --sparse", Code::Unsupported);
    if (key == "path") entry.path = value;
    else if (key == "linkpath") entry.link = value;
    else if (key == "uname") entry.user_name = value;
    else if (key == "gname") entry.group_name = value;
    else if (key == "uid") TRY(id(key, value, entry.uid));
    else if (key == "gid") TRY(id(key, value, entry.gid));
    else if (key == "size") TRY(id(key, value, size));
    else if (key == "mtime") {
      std::optional<Time> time = parse_pax_time(value);
      if (!time) return here("pax mtime \"" + value.substr(0, 40) + "\" is not a time");
      entry.mtime = *time;
    }
  }
  return {};
}

Result<void> TarReader::State::check_names(const TarEntry& entry) const {
  for (const std::string* name : {&entry.path, &entry.link}) {
    if (name->size() > kMaxTarPathBytes) return here("a path of " + std::to_string(name->size()) + " bytes is over the limit of " + std::to_string(kMaxTarPathBytes));
  }
  return {};
}

Result<TarEntry> TarReader::State::entry_of(const TarBlock& block, const Extensions& extensions) {
  TarEntry entry{.path = ustar_path(block)};
  if (extensions.path) entry.path = *extensions.path;
  std::optional<TarType> type = type_of(block.type());
  if (block.type() == 'S') return here("sparse file " + entry.path + " is not supported; write the archive without --sparse", Code::Unsupported);
  if (!type) return here(entry.path + ": entries of type " + printable(block.type()) + " are not supported", Code::Unsupported);
  entry.type = *type;
  entry.mode = static_cast<uint32_t>(TRY(number(block, kMode, "mode")) & 07777);
  entry.uid = TRY(number(block, kUid, "uid"));
  entry.gid = TRY(number(block, kGid, "gid"));
  std::optional<int64_t> mtime = block.number(kMtime);
  if (!mtime) return here("the time is not a number");
  entry.mtime = time_of_seconds(*mtime);
  entry.link = block.text(kLink);
  uint64_t size = TRY(number(block, kSize, "size"));
  if (block.dialect() != TarDialect::V7) {
    entry.user_name = block.text(kUserName);
    entry.group_name = block.text(kGroupName);
  }
  if (entry.type == TarType::CharDevice || entry.type == TarType::BlockDevice) {
    entry.dev_major = static_cast<uint32_t>(TRY(number(block, kDevMajor, "device number")));
    entry.dev_minor = static_cast<uint32_t>(TRY(number(block, kDevMinor, "device number")));
  }
  PaxRecords records = global;
  if (extensions.pax) {
    for (const auto& [key, value] : *extensions.pax) records.insert_or_assign(key, value);
  }
  TRY(apply_pax(records, entry, size));
  if (extensions.path) entry.path = *extensions.path;
  if (extensions.link) entry.link = *extensions.link;
  TRY(check_names(entry));
  if (size > INT64_MAX - kTarBlockBytes) return here("the size is not a number");

  // Old tars have no type for folders, only the slash. Whether data follows such a "file" is where readers disagree.
  if (entry.type == TarType::Regular && entry.path.ends_with('/')) {
    if (size != 0) return here("the folder " + entry.path + " has data");
    entry.type = TarType::Directory;
  }
  // As Go and Python do: links, folders and devices have no data, whatever their size says. GNU's 'D' has.
  bool has_data = entry.type == TarType::Regular || block.type() == 'D';
  left = has_data ? size : 0;
  padding = tar_padding(left);
  entry.size = entry.type == TarType::Regular ? size : 0;
  if (entry.type != TarType::Hardlink && entry.type != TarType::Symlink) entry.link.clear();
  return entry;
}

TarReader::TarReader(Source& source) : state_(std::make_unique<State>(source)) {}
TarReader::~TarReader() = default;
Source& TarReader::data() { return *state_; }
uint64_t TarReader::data_offset() const { return state_->data_begin; }

Result<std::optional<TarEntry>> TarReader::next() {
  State& s = *state_;
  if (s.ended) return std::optional<TarEntry>();
  TRY(s.pass_over_data());
  Extensions extensions;
  TarBlock block;
  for (;;) {
    if (!TRY(s.read_header(block))) {
      s.ended = true;
      if (extensions.pax || extensions.path || extensions.link) return s.here("the archive ends after an extended header");
      return std::optional<TarEntry>();
    }
    if (!TRY(s.take_extension(block, extensions))) break;
  }
  TarEntry entry = TRY(s.entry_of(block, extensions));
  s.data_begin = s.offset;
  return std::optional<TarEntry>(std::move(entry));
}

bool looks_like_tar(Bytes first_512) {
  if (first_512.size() < kTarBlockBytes) return false;
  TarBlock block;
  std::memcpy(block.bytes.data(), first_512.data(), kTarBlockBytes);
  bool known = type_of(block.type()) || kSpecialTypes.find(block.type()) != kSpecialTypes.npos;
  return known && block.checksum_matches();
}

}  // namespace archway
