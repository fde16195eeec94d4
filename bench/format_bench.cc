#include <benchmark/benchmark.h>
#include <isa-l/igzip_lib.h>

#include "base/check.h"
#include "base/hash.h"
#include "format/compress.h"
#include "format/tar.h"

// How fast layers move. MB/s are of unpacked bytes; `inflate_limit` is ISA-L over whole buffers in memory, which
// a stream can only approach.
namespace archway {
namespace {

constexpr size_t kSampleBytes = 64 << 20;

// Packs about as well as a layer does (3 : 1): words out of a small vocabulary, with numbers between.
const std::string& sample() {
  static const std::string text = [] {
    std::string made;
    made.reserve(kSampleBytes + 64);
    uint64_t seed = 1;
    while (made.size() < kSampleBytes) {
      seed = seed * 6364136223846793005u + 1442695040888963407u;
      static constexpr const char* kWords[] = {"usr/lib/", "python3", "_ZN4llvm", "return ", "#include <", "ELF", "struct ", "node_modules/"};
      made += kWords[seed >> 61];
      if ((seed >> 40 & 1) != 0) made += static_cast<char>(seed >> 33);
      else made += std::to_string(seed >> 48);
    }
    made.resize(kSampleBytes);
    return made;
  }();
  return text;
}

std::string pack(const GzipOptions& options) {
  StringSink out;
  GzipSink sink(out, options);
  CHECK(sink.write(sample()).ok() && sink.finish().ok());
  return std::move(out.text);
}

void report(benchmark::State& state, size_t bytes) { state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * bytes)); }

void inflate(benchmark::State& state) {
  std::string packed = pack({.level = static_cast<int>(state.range(0))});
  for (auto _ : state) {
    MemorySource source(packed);
    NullSink nowhere;
    CHECK(copy(*decompress(Codec::Gzip, source), nowhere).ok());
  }
  report(state, kSampleBytes);
}
BENCHMARK(inflate)->Arg(1)->Arg(6)->Unit(benchmark::kMillisecond);

void inflate_limit(benchmark::State& state) {
  std::string packed = pack({.level = static_cast<int>(state.range(0))});
  std::string out(kSampleBytes + 1, '\0');
  auto inflater = std::make_unique<inflate_state>();
  for (auto _ : state) {
    isal_inflate_init(inflater.get());
    inflater->crc_flag = ISAL_GZIP;
    inflater->next_in = reinterpret_cast<uint8_t*>(packed.data());
    inflater->avail_in = static_cast<uint32_t>(packed.size());
    inflater->next_out = reinterpret_cast<uint8_t*>(out.data());
    inflater->avail_out = static_cast<uint32_t>(out.size());
    CHECK(isal_inflate_stateless(inflater.get()) == ISAL_DECOMP_OK);
  }
  report(state, kSampleBytes);
}
BENCHMARK(inflate_limit)->Arg(1)->Arg(6)->Unit(benchmark::kMillisecond);

void gzip(benchmark::State& state) {
  size_t packed = 0;
  for (auto _ : state) packed = pack({.level = static_cast<int>(state.range(0)), .threads = static_cast<size_t>(state.range(1))}).size();
  report(state, kSampleBytes);
  state.counters["ratio"] = static_cast<double>(kSampleBytes) / static_cast<double>(packed);
}
BENCHMARK(gzip)->ArgsProduct({{1, 3, 6}, {1, 2}})->Unit(benchmark::kMillisecond)->UseRealTime();

void tar_scan(benchmark::State& state) {
  StringSink archive;
  TarWriter writer(archive);
  size_t size = static_cast<size_t>(state.range(0));
  size_t count = kSampleBytes / (size + 512);
  for (size_t i = 0; i < count; i++) {
    MemorySource data(std::string_view(sample()).substr(i % 4096, size));
    CHECK(writer.add({.path = "usr/share/files/" + std::to_string(i), .mode = 0644, .size = size}, data).ok());
  }
  CHECK(writer.finish().ok());
  for (auto _ : state) {
    MemorySource source(archive.text);
    TarReader reader(source);
    while (reader.next().value()) {}
  }
  report(state, archive.text.size());
  state.counters["entries/s"] = benchmark::Counter(static_cast<double>(state.iterations() * count), benchmark::Counter::kIsRate);
}
BENCHMARK(tar_scan)->Arg(1000)->Arg(100'000)->Unit(benchmark::kMillisecond);

void sha256(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(sha256_hex(sample()));
  report(state, kSampleBytes);
}
BENCHMARK(sha256)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace archway
