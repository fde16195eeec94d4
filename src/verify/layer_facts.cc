#include "verify/layer_facts.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/hash.h"
#include "format/compress.h"
#include "format/tar.h"
#include "image/copy.h"

namespace archway {

namespace {

constexpr size_t kWindowBytes = 256 * 1024;  // the unpackers write this much straight into it, and it stays in the processor's cache
constexpr size_t kFirstLookBytes = 64;

// The packed bytes: counted for those who watch, and cut off when somebody asks to stop.
class WatchedSource final : public Source {
 public:
  WatchedSource(Source& inner, ProgressTask* progress, std::stop_token stop) : inner_(inner), progress_(progress), stop_(std::move(stop)) {}
  Result<size_t> read(std::span<std::byte> into) override {
    if (stop_.stop_requested()) return Error{Code::Cancelled, "stopped"};
    size_t got = TRY(inner_.read(into));
    if (progress_) progress_->advance(got);
    return got;
  }

 private:
  Source& inner_;
  ProgressTask* progress_;
  std::stop_token stop_;
};

// Gives back the bytes that were looked at first.
class PeekedSource final : public Source {
 public:
  explicit PeekedSource(Source& inner) : inner_(inner) {}
  Result<Bytes> peek() {
    size_ = TRY(read_full(inner_, head_));
    return Bytes(head_.data(), size_);
  }
  Result<size_t> read(std::span<std::byte> into) override {
    if (given_ == size_) return inner_.read(into);
    size_t n = std::min(into.size(), size_ - given_);
    std::memcpy(into.data(), head_.data() + given_, n);
    given_ += n;
    return n;
  }

 private:
  Source& inner_;
  std::array<std::byte, 6> head_{};
  size_t size_ = 0, given_ = 0;
};

// The unpacked bytes through one window, so that passing over a file's data moves a number and copies nothing.
class WindowSource final : public Source {
 public:
  WindowSource(Source& inner, Hasher* hasher) : inner_(inner), hasher_(hasher), window_(std::make_unique_for_overwrite<std::byte[]>(kWindowBytes)) {}

  Result<size_t> read(std::span<std::byte> into) override {
    TRY(refill());
    size_t n = std::min(into.size(), end_ - begin_);
    std::memcpy(into.data(), window_.get() + begin_, n);
    begin_ += n;
    return n;
  }
  Result<uint64_t> skip(uint64_t count) override {
    uint64_t done = 0;
    while (done < count) {
      TRY(refill());
      if (begin_ == end_) break;
      size_t n = static_cast<size_t>(std::min<uint64_t>(count - done, end_ - begin_));
      begin_ += n;
      done += n;
    }
    return done;
  }

 private:
  Result<void> refill() {
    if (begin_ < end_) return {};
    begin_ = end_ = 0;
    end_ = TRY(inner_.read({window_.get(), kWindowBytes}));
    if (hasher_) hasher_->update(Bytes(window_.get(), end_));
    return {};
  }

  Source& inner_;
  Hasher* hasher_;
  std::unique_ptr<std::byte[]> window_;
  size_t begin_ = 0, end_ = 0;
};

uint32_t word_at(std::string_view bytes, size_t offset) {
  uint32_t value = 0;
  for (size_t i = 0; i < 4 && offset + i < bytes.size(); ++i) value = value << 8 | static_cast<uint8_t>(bytes[offset + i]);
  return value;
}

// Java classes begin like fat Mach-O files; those have fewer processors in them than classes have a version number.
bool is_mach_o(std::string_view head) {
  if (head.size() < 8) return false;
  uint32_t magic = word_at(head, 0);
  return magic == 0xcffaedfe || magic == 0xcefaedfe || (magic == 0xcafebabe && word_at(head, 4) < 40);
}

// The first bytes of the entry's data, in `prefix`: all that its kind of file needs.
Result<Bytes> first_bytes(Source& data, std::span<std::byte, kProgramPrefixBytes> prefix) {
  size_t got = TRY(read_full(data, prefix.first(kFirstLookBytes)));
  std::string_view head = as_text(prefix.first(got));
  size_t want = head.starts_with("\x7f" "ELF") ? kProgramPrefixBytes : head.starts_with("#!") ? kScriptPrefixBytes : got;
  if (want > got && got == kFirstLookBytes) got += TRY(read_full(data, prefix.subspan(got, want - got)));
  return Bytes(prefix.data(), got);
}

std::unique_ptr<const Program> program_of(Bytes bytes) {
  std::string_view head = as_text(bytes);
  if (auto elf = read_elf_header(bytes)) {
    return std::make_unique<Program>(Program{.elf = *elf, .interpreter = read_elf_interpreter(*elf, bytes).value_or("")});
  }
  if (auto script = parse_script(head)) return std::make_unique<Program>(Program{.format = Program::Format::Script, .script = std::move(*script)});
  if (head.starts_with("MZ")) return std::make_unique<Program>(Program{.format = Program::Format::WindowsPe});
  if (is_mach_o(head)) return std::make_unique<Program>(Program{.format = Program::Format::MachO});
  return nullptr;
}

LayerEntry::Kind kind_of(TarType type) {
  switch (type) {
    case TarType::Regular: return LayerEntry::Kind::File;
    case TarType::Directory: return LayerEntry::Kind::Folder;
    case TarType::Symlink: return LayerEntry::Kind::Symlink;
    case TarType::Hardlink: return LayerEntry::Kind::Hardlink;
    default: return LayerEntry::Kind::Other;
  }
}

class LayerScanner {
 public:
  Result<LayerFacts> scan(Source& unpacked) {
    TarReader tar(unpacked);
    while (std::optional<TarEntry> entry = TRY(tar.next())) {
      if (++entries_ > kMaxLayerEntries) return Error{Code::Invalid, "it has more than " + std::to_string(kMaxLayerEntries) + " entries"};
      TRY(take(*entry, tar.data()));
      if (name_bytes_ > kMaxLayerNameBytes) return Error{Code::Invalid, "its names are longer than " + std::to_string(kMaxLayerNameBytes) + " bytes together"};
    }
    return std::move(facts_);
  }

 private:
  Result<void> take(TarEntry& from, Source& data) {
    std::string path = TRY(canonical_layer_path(from.path));
    name_bytes_ += path.size() + from.link.size();
    if (TRY(take_whiteout(from, path)) || path.empty()) return {};
    LayerEntry entry{.kind = kind_of(from.type), .executable = (from.mode & 0111) != 0, .path = std::move(path), .link = std::move(from.link)};
    if (entry.kind == LayerEntry::Kind::Hardlink) entry.link = TRY(canonical_layer_path(entry.link));
    if (entry.kind == LayerEntry::Kind::File && from.size > 0) {
      entry.program = program_of(TRY(first_bytes(data, prefix_)));
      if (entry.program) name_bytes_ += entry.program->interpreter.size() + entry.program->script.interpreter.size() + sizeof(Program);
    }
    facts_.entries.push_back(std::move(entry));
    return {};
  }

  // image-spec, layer.md "Whiteouts"; and overlayfs's own, which some tools leave in layers.
  Result<bool> take_whiteout(const TarEntry& from, const std::string& path) {
    size_t slash = path.rfind('/');
    std::string folder = slash == path.npos ? "" : path.substr(0, slash);
    std::string name = path.substr(slash == path.npos ? 0 : slash + 1);
    if (from.type == TarType::CharDevice && from.dev_major == 0 && from.dev_minor == 0) {
      facts_.whiteouts.push_back(path);
      return true;
    }
    if (!name.starts_with(".wh.")) return false;
    if (name == ".wh..wh..opq") {
      facts_.opaque.push_back(folder);
    } else if (!name.starts_with(".wh..wh.")) {  // AUFS's own bookkeeping
      std::string hidden = name.substr(4);
      if (hidden.empty() || hidden == "." || hidden == "..") return Error{Code::Invalid, "the whiteout " + path + " names no file"};
      facts_.whiteouts.push_back(folder.empty() ? hidden : folder + "/" + hidden);
    }
    return true;
  }

  LayerFacts facts_;
  size_t entries_ = 0;
  uint64_t name_bytes_ = 0;
  std::array<std::byte, kProgramPrefixBytes> prefix_;
};

Result<LayerFacts> read_facts(Provider& provider, const Descriptor& layer, DiffId diff_id, ProgressTask* progress, std::stop_token stop) {
  auto blob = TRY(open_blob(provider, layer));
  WatchedSource watched(*blob, progress, std::move(stop));
  PeekedSource packed(watched);
  // By its bytes, as the runtimes do: media types say gzip for layers that are plain or zstd.
  Codec codec = detect_codec(TRY(packed.peek()));
  std::unique_ptr<Source> unpacked = decompress(codec, packed);
  Hasher hasher;
  WindowSource window(*unpacked, diff_id == DiffId::Compute ? &hasher : nullptr);
  LayerFacts facts = TRY(LayerScanner().scan(window));
  // What follows the archive's end belongs to the blob, and to its digest.
  TRY(window.skip(UINT64_MAX));
  TRY(packed.skip(UINT64_MAX));
  if (diff_id == DiffId::Compute) facts.diff_id = Digest::from_hex(HashAlgorithm::Sha256, hasher.hex());
  else if (codec == Codec::None) facts.diff_id = layer.digest;  // has been checked
  return facts;
}

}  // namespace

Result<std::string> canonical_layer_path(std::string_view path) {
  if (path.find('\0') != path.npos) return Error{Code::Invalid, "a path with a NUL byte in it"};
  std::string out;
  while (!path.empty()) {
    size_t slash = std::min(path.find('/'), path.size());
    std::string_view part = path.substr(0, slash);
    path.remove_prefix(std::min(slash + 1, path.size()));
    if (part.empty() || part == ".") continue;
    if (part == "..") {
      if (out.empty()) return Error{Code::Invalid, "a path leads out of the image with \"..\""};
      size_t last = out.rfind('/');
      out.resize(last == out.npos ? 0 : last);
      continue;
    }
    if (!out.empty()) out += '/';
    out += part;
  }
  if (out.size() > kMaxLayerPathBytes) return Error{Code::Invalid, "a path of " + std::to_string(out.size()) + " bytes is over the limit of " + std::to_string(kMaxLayerPathBytes)};
  return out;
}

Result<LayerFacts> read_layer_facts(Provider& provider, const Descriptor& layer, DiffId diff_id, ProgressTask* progress, std::stop_token stop) {
  if (is_foreign_layer(layer.media_type)) return Error{Code::Unsupported, "layer " + layer.digest.str() + " may not be distributed, and is not where the image is"};
  if (!layer_compression(layer.media_type)) return Error{Code::Unsupported, "layer " + layer.digest.str() + " is a " + layer.media_type + ", which cannot be read"};
  return read_facts(provider, layer, diff_id, progress, std::move(stop)).context("layer " + layer.digest.str());
}

}  // namespace archway
