#include "format/compress.h"

#include <gtest/gtest.h>
#include <zlib.h>


#include "base/fd.h"
#include "base/process.h"


namespace archway {
namespace {

// Compressible text with some noise; the same always.
std::string sample(size_t size, uint64_t seed = 1) {
  std::string text;
  text.reserve(size + 64);
  while (text.size() < size) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    text += "usr/lib/python3/dist-packages/" + std::to_string(seed >> 40) + ((seed >> 33 & 3) != 0 ? ".py\n" : std::string(1, static_cast<char>(seed >> 50)));
  }
  text.resize(size);
  return text;
}
std::string noise(size_t size) {
  std::string text(size, '\0');
  uint64_t seed = 7;
  for (char& c : text) c = static_cast<char>((seed = seed * 6364136223846793005u + 1442695040888963407u) >> 56);
  return text;
}

std::string gzip(std::string_view text, GzipOptions options = {}, size_t piece = 1 << 30) {
  StringSink out;
  GzipSink sink(out, options);
  for (size_t at = 0; at < text.size(); at += piece) EXPECT_TRUE(sink.write(text.substr(at, piece)).ok());
  EXPECT_TRUE(sink.finish().ok());
  return out.text;
}
std::string zstd(std::string_view text, size_t threads = 0) {
  StringSink out;
  ZstdSink sink(out, 3, threads);
  EXPECT_TRUE(sink.write(text).ok());
  EXPECT_TRUE(sink.finish().ok());
  return out.text;
}

// Gives at most `piece` bytes a read.
class SlowSource final : public Source {
 public:
  SlowSource(std::string_view text, size_t piece) : inner_(text), piece_(piece) {}
  Result<size_t> read(std::span<std::byte> into) override { return inner_.read(into.first(std::min(into.size(), piece_))); }

 private:
  MemorySource inner_;
  size_t piece_;
};

Result<std::string> unpack(Codec codec, std::string_view packed, size_t piece = 1 << 30) {
  SlowSource source(packed, piece);
  return read_all(*decompress(codec, source), 1 << 30, "data");
}

// The strictest reader at hand: zlib, one member, nothing after it.
std::string zlib_gunzip(const std::string& packed) {
  z_stream stream{};
  EXPECT_EQ(inflateInit2(&stream, 15 + 16), Z_OK);
  std::string text(1 << 24, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));
  stream.avail_in = static_cast<uInt>(packed.size());
  stream.next_out = reinterpret_cast<Bytef*>(text.data());
  stream.avail_out = static_cast<uInt>(text.size());
  EXPECT_EQ(inflate(&stream, Z_FINISH), Z_STREAM_END);
  EXPECT_EQ(stream.avail_in, 0u);
  text.resize(stream.total_out);
  inflateEnd(&stream);
  return text;
}

constexpr size_t kMiB = 1 << 20;

TEST(Gzip, RoundTripsAtEveryEdge) {
  for (size_t size : {size_t{0}, size_t{1}, size_t{31 << 10}, kMiB - 1, kMiB, kMiB + 1, 2 * kMiB + 12345}) {
    for (int level : {1, 3, 6}) {
      for (const std::string& text : {sample(size), noise(size), std::string(size, '\0')}) {
        std::string packed = gzip(text, {.level = level});
        ASSERT_EQ(zlib_gunzip(packed), text) << size << " level " << level;
        ASSERT_EQ(unpack(Codec::Gzip, packed).value(), text) << size << " level " << level;
      }
    }
  }
}

TEST(Gzip, BytesDependOnNeitherThreadsNorWrites) {
  // Blocks that pack badly beside blocks that pack well: what a recycled buffer was used for before must not show.
  std::string text;
  for (int i = 0; i < 4; i++) text += sample(kMiB + 77, static_cast<uint64_t>(i)) + noise(kMiB / 2 + 4099 * static_cast<size_t>(i));
  text += sample(2 * kMiB) + std::string(kMiB, '\0');
  for (int level : {1, 3, 6}) {
    std::string one = gzip(text, {.level = level, .threads = 1});
    EXPECT_EQ(gzip(text, {.level = level, .threads = 2}, 100'000), one);
    EXPECT_EQ(gzip(text, {.level = level, .threads = 5}, 3 * kMiB), one);
  }
}

TEST(Gzip, HeaderSaysNothingThatChanges) {
  EXPECT_EQ(gzip("x").substr(0, 10), std::string("\x1f\x8b\x08\0\0\0\0\0\0\xff", 10));
}

TEST(Gzip, DictionaryReachesIntoTheBlockBefore) {
  // Noise that repeats at a distance of 16 KiB: without the block before, the first 16 KiB of each block would not pack.
  std::string unit = noise(16 << 10), text;
  while (text.size() < 4 * kMiB) text += unit;
  size_t one_block = gzip(text.substr(0, kMiB)).size();
  EXPECT_LT(gzip(text).size() - one_block, 3 * (one_block - unit.size()) + 3 * 4096);
}

TEST(Gzip, SinkErrorsComeThroughAndNothingHangs) {
  class FullSink final : public Sink {
   public:
    Result<void> write(Bytes) override { return Error{Code::Io, "disk full"}; }
  } full;
  for (size_t threads : {1, 3}) {
    GzipSink sink(full, {.threads = threads});
    Result<void> result;
    for (int i = 0; i < 20 && result.ok(); i++) result = sink.write(sample(kMiB));
    EXPECT_EQ(result.ok() ? Code::Internal : result.error().code, Code::Io);
  }
  StringSink out;
  GzipSink abandoned(out, {.threads = 3});
  EXPECT_TRUE(abandoned.write(sample(3 * kMiB)).ok());
}

TEST(Decompress, ReadsMembersThatFollowOneAnother) {
  std::string a = sample(300'000), b = noise(70'000);
  std::string packed = gzip(a) + gzip("") + gzip(b);
  for (size_t piece : {1, 7, 4096, 1 << 20}) {
    EXPECT_EQ(unpack(Codec::Gzip, packed, piece).value(), a + b) << piece;
    EXPECT_EQ(unpack(Codec::Zstd, zstd(a) + zstd(b), piece).value(), a + b) << piece;
  }
  EXPECT_EQ(unpack(Codec::Gzip, packed + std::string(1000, '\0')).value(), a + b);
  EXPECT_FALSE(unpack(Codec::Gzip, packed + "tail").ok());
  EXPECT_FALSE(unpack(Codec::Gzip, packed + std::string(5, '\0') + gzip("x")).ok());
}

TEST(Decompress, GzipHeadersMayHaveEveryField) {
  std::string packed = gzip("hello");
  std::string header("\x1f\x8b\x08\x1c\0\0\0\0\0\x03" "\x04\0" "abcd" "name\0" "comment\0", 29);
  for (size_t piece : {1, 3, 1000}) EXPECT_EQ(unpack(Codec::Gzip, header + packed.substr(10), piece).value(), "hello") << piece;
}

TEST(Decompress, TruncatedIsInvalidWhereverItIsCut) {
  std::string text = sample(3000);
  for (auto [codec, packed] : {std::pair(Codec::Gzip, gzip(text)), std::pair(Codec::Zstd, zstd(text))}) {
    for (size_t cut = 0; cut < packed.size(); cut++) {
      Result<std::string> got = unpack(codec, packed.substr(0, cut));
      ASSERT_FALSE(got.ok()) << cut;
      EXPECT_EQ(got.error().code, Code::Invalid) << got.error().message;
    }
  }
}

TEST(Decompress, DamageIsFound) {
  std::string packed = gzip(sample(3000));
  std::string crc = packed, length = packed;
  crc[crc.size() - 8] ^= 1;
  length[length.size() - 1] ^= 1;
  for (const std::string& bad : {crc, length}) EXPECT_NE(unpack(Codec::Gzip, bad).error().message.find("checksum does not match"), std::string::npos);
  std::string frame = zstd(sample(3000));
  frame[frame.size() - 1] ^= 1;
  EXPECT_EQ(unpack(Codec::Zstd, frame).error().code, Code::Invalid);
  for (Codec codec : {Codec::Gzip, Codec::Zstd, Codec::Xz, Codec::Bzip2}) {
    EXPECT_EQ(unpack(codec, "this is no such thing").error().code, Code::Invalid);
    EXPECT_EQ(unpack(codec, "").error().code, Code::Invalid);
  }
}

class ZeroSource final : public Source {
 public:
  explicit ZeroSource(uint64_t size) : left_(size) {}
  Result<size_t> read(std::span<std::byte> into) override {
    size_t n = static_cast<size_t>(std::min<uint64_t>(left_, into.size()));
    std::fill_n(into.begin(), n, std::byte{0});
    left_ -= n;
    return n;
  }

 private:
  uint64_t left_;
};

TEST(Decompress, BombsAreRefusedPastTheFreePart) {
  auto unpacked_bytes = [](uint64_t size) -> Result<uint64_t> {
    StringSink packed;
    ZstdSink sink(packed);
    ZeroSource zeros(size);
    TRY(copy(zeros, sink));
    TRY(sink.finish());
    MemorySource source(packed.text);
    NullSink nowhere;
    return copy(*decompress(Codec::Zstd, source), nowhere);
  };
  EXPECT_EQ(unpacked_bytes(64 * kMiB).value(), 64 * kMiB);
  EXPECT_NE(unpacked_bytes(80 * kMiB).error().message.find("bomb"), std::string::npos);
}

TEST(Decompress, TheMostThatDeflateCanDoIsNoBomb) {
  StringSink packed;
  GzipSink sink(packed, {.level = 9});
  ZeroSource zeros(100 * kMiB);
  ASSERT_TRUE(copy(zeros, sink).ok());
  ASSERT_TRUE(sink.finish().ok());
  MemorySource source(packed.text);
  NullSink nowhere;
  EXPECT_EQ(copy(*decompress(Codec::Gzip, source), nowhere).value(), 100 * kMiB);
}

TEST(Decompress, NoneIsThePlainBytes) { EXPECT_EQ(unpack(Codec::None, "plain").value(), "plain"); }

TEST(Zstd, BytesDoNotDependOnThreads) {
  std::string text = sample(6 * kMiB);
  EXPECT_EQ(zstd(text, 0), zstd(text, 2));
  EXPECT_EQ(unpack(Codec::Zstd, zstd(text)).value(), text);
}

TEST(Codec, IsKnownByItsFirstBytes) {
  EXPECT_EQ(detect_codec(as_bytes(gzip("x"))), Codec::Gzip);
  EXPECT_EQ(detect_codec(as_bytes(zstd("x"))), Codec::Zstd);
  EXPECT_EQ(detect_codec(as_bytes("\x51\x2a\x4d\x18")), Codec::Zstd);
  EXPECT_EQ(detect_codec(as_bytes(std::string_view("\xfd" "7zXZ\0", 6))), Codec::Xz);
  EXPECT_EQ(detect_codec(as_bytes("BZh91A")), Codec::Bzip2);
  for (std::string_view text : {"", "\x1f", "BZh", "BZh0..", "tar..."}) EXPECT_EQ(detect_codec(as_bytes(text)), Codec::None);
}

// The programs people pack with, there and back.
TEST(Peers, EachPackerIsReadAlsoConcatenatedAndCut) {
  TempDir dir = TempDir::create("/tmp").value();
  std::string text = sample(400'000);
  ASSERT_TRUE(write_file_atomic(dir / "f", text).ok());
  int found = 0;
  for (auto [program, codec] : {std::pair("gzip", Codec::Gzip), std::pair("igzip", Codec::Gzip), std::pair("zstd", Codec::Zstd), std::pair("xz", Codec::Xz),
                                std::pair("bzip2", Codec::Bzip2)}) {
    SCOPED_TRACE(program);
    if (!find_program(program)) continue;
    found++;
    std::string packed = run_process({program, "-c", dir / "f"}).value().out;
    EXPECT_EQ(detect_codec(as_bytes(packed)), codec);
    for (size_t piece : {13, 1 << 20}) {
      EXPECT_EQ(unpack(codec, packed, piece).value(), text);
      EXPECT_EQ(unpack(codec, packed + packed, piece).value(), text + text);
      EXPECT_EQ(unpack(codec, packed.substr(0, packed.size() - 5), piece).error().code, Code::Invalid);
    }
    EXPECT_FALSE(unpack(codec, packed + "garbage").ok());
  }
  if (found == 0) GTEST_SKIP() << "skipped: none of gzip, igzip, zstd, xz, bzip2";
}

TEST(Peers, EachReadsWhatItPacks) {
  TempDir dir = TempDir::create("/tmp").value();
  std::string text = sample(3 * kMiB + 5);
  ASSERT_TRUE(write_file_atomic(dir / "f.gz", gzip(text, {.threads = 2})).ok());
  ASSERT_TRUE(write_file_atomic(dir / "f.zst", zstd(text)).ok());
  for (auto [program, file] : {std::pair("gzip", "f.gz"), std::pair("igzip", "f.gz"), std::pair("zstd", "f.zst")}) {
    if (!find_program(program)) continue;
    EXPECT_TRUE(run_process({program, "-dc", dir / file}).value().out == text) << program;
  }
}

}  // namespace
}  // namespace archway
