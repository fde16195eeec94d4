#include <benchmark/benchmark.h>

#include <cstdlib>
#include <random>

#include "base/fd.h"
#include "format/compress.h"
#include "snapshot/layer_store.h"

// One layer of a root file system: ARCHWAY_BENCH_LAYER names a .tar.gz, else 10,000 files of 195 MB together are made up.
namespace archway {
namespace {

struct Layer final : Provider {
  std::string bytes;
  uint64_t unpacked_bytes = 0;
  Digest diff_id = Digest::of("");
  Descriptor blob{.media_type = "", .digest = Digest::of("")};
  Result<std::unique_ptr<Source>> open(const Descriptor&) override { return std::unique_ptr<Source>(std::make_unique<MemorySource>(std::string_view(bytes))); }
};

std::string made_up_layer() {
  StringSink packed;
  GzipSink gzip(packed, {.level = 6, .threads = 2});
  TarWriter tar(gzip);
  std::mt19937 random(1);
  std::string words;
  for (int i = 0; i < 4'000'000; i++) words += "etaoin shrdlucmfwypvbgkqjxz"[std::min(random() % 27, random() % 27)];
  for (int folder = 0; folder < 500; folder++) {
    std::string name = "usr/lib/p" + std::to_string(folder);
    TarEntry entry{.path = name + "/", .type = TarType::Directory, .mode = 0755};
    (void)tar.begin(entry).ok();
    for (int i = 0; i < 20; i++) {
      entry = {.path = name + "/f" + std::to_string(i), .mode = 0644, .size = i == 0 ? 300'000 : random() % 9500};
      (void)tar.begin(entry).ok();
      (void)tar.data(as_bytes(std::string_view(words).substr(random() % 3'000'000, entry.size))).ok();
    }
  }
  (void)tar.finish().ok();
  (void)gzip.finish().ok();
  return packed.text;
}

Layer& layer() {
  static Layer* made = [] {
    auto* out = new Layer;
    const char* path = std::getenv("ARCHWAY_BENCH_LAYER");
    out->bytes = path ? read_file(path, 4ull << 30).value() : made_up_layer();
    out->blob = descriptor_of(media_type::kOciLayerGzip, out->bytes);
    MemorySource packed{std::string_view(out->bytes)};
    auto inflated = decompress(Codec::Gzip, packed);
    HashingSink hash(nullptr);
    out->unpacked_bytes = copy(*inflated, hash).value();
    out->diff_id = Digest::from_hex(HashAlgorithm::Sha256, hash.hex());
    return out;
  }();
  return *made;
}

void run(benchmark::State& state, bool unpack) {
  TempDir dir = TempDir::create("/tmp", "snapshot-bench-").value();
  auto store = LayerStore::open(dir / "store").value();
  Layer& one = layer();
  for (auto _ : state) {
    auto done = unpack ? store->unpacked(one.diff_id, one.blob, one, nullptr, {}).context("") : Result<std::string>("");
    if (!unpack) (void)store->index(one.diff_id, one.blob, one, nullptr, {}).value();
    if (!done.ok()) return state.SkipWithError(done.error().message.c_str());
    state.PauseTiming();
    (void)store->remove(one.diff_id).ok();
    state.ResumeTiming();
  }
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * one.unpacked_bytes));
}
void Unpack(benchmark::State& state) { run(state, true); }
void IndexOnly(benchmark::State& state) { run(state, false); }
BENCHMARK(Unpack)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(IndexOnly)->UseRealTime()->Unit(benchmark::kMillisecond);

void InflateAndHash(benchmark::State& state) {  // the floor, on one thread
  Layer& one = layer();
  for (auto _ : state) {
    MemorySource packed{std::string_view(one.bytes)};
    auto inflated = decompress(Codec::Gzip, packed);
    HashingSink hash(nullptr);
    benchmark::DoNotOptimize(copy(*inflated, hash).value());
  }
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * one.unpacked_bytes));
}
BENCHMARK(InflateAndHash)->UseRealTime()->Unit(benchmark::kMillisecond);

LayerIndex fifty_thousand() {
  LayerIndex index;
  for (int i = 0; i < 50'000; i++) {
    char path[80];
    std::snprintf(path, sizeof path, "usr/lib/python3/dist-packages/p%03d/module%05d.py", i / 100, i);
    index.entries.push_back({path, {.mode = 0644, .size = static_cast<uint64_t>(i), .mtime = Time::from_seconds(1'700'000'000 + i)}});
  }
  return index;
}

void LoadIndexOf50k(benchmark::State& state) {
  std::string bytes = write_layer_index(fifty_thousand());
  for (auto _ : state) benchmark::DoNotOptimize(read_layer_index(bytes).value());
}
BENCHMARK(LoadIndexOf50k)->Unit(benchmark::kMillisecond);

void LookupIn20Layers(benchmark::State& state) {
  auto index = std::make_shared<const LayerIndex>(fifty_thousand());
  Tree tree;
  for (int i = 0; i < 20; i++) tree = tree.with(index);
  size_t i = 0;
  for (auto _ : state) benchmark::DoNotOptimize(tree.lookup(index->entries[i++ * 7919 % 50'000].first));
}
BENCHMARK(LookupIn20Layers);

}  // namespace
}  // namespace archway
