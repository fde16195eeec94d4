// verify_bench DIR [ROUNDS]: how long verifying the image in an OCI layout takes, against `igzip -dc` of the same layers, two at a
// time. Best of the rounds, which take turns, so that a busy machine is equally unkind to all.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <set>

#include "base/process.h"
#include "base/thread_pool.h"
#include "image/layout.h"
#include "verify/verify.h"

namespace {

using namespace archway;

double seconds_of(const std::function<void()>& work) {
  auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

template <class T>
T must(Result<T> result) {
  if (result.ok()) return std::move(result).value();
  std::fprintf(stderr, "verify_bench: %s\n", result.error().message.c_str());
  std::exit(2);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: verify_bench LAYOUT [ROUNDS]\n");
    return 64;
  }
  int rounds = argc > 2 ? std::atoi(argv[2]) : 10;
  auto layout = must(Layout::open(argv[1]));
  Root root = must(layout->resolve(""));
  std::set<std::string> files;
  uint64_t bytes = 0;
  auto seen = walk(*layout, root, [&](const Descriptor& blob, std::string_view) -> Result<void> {
    if (layer_compression(blob.media_type) && files.insert(layout->blobs().path_of(blob.digest)).second) bytes += blob.size;
    return {};
  });
  if (!seen.ok()) return 2;
  std::vector<std::string> layers(files.begin(), files.end());
  bool peer = find_program("igzip").has_value();
  double with = 1e9, without = 1e9, igzip = 1e9;
  for (int round = 0; round < rounds; ++round) {
    with = std::min(with, seconds_of([&] { must(verify_image(*layout, root, {.diff_ids = true})); }));
    without = std::min(without, seconds_of([&] { must(verify_image(*layout, root, {})); }));
    if (!peer) continue;
    igzip = std::min(igzip, seconds_of([&] {
      auto done = parallel_for(layers.size(), 2, [&](size_t i) -> Result<void> {
        auto run = run_process({"sh", "-c", "igzip -dc \"$1\" >/dev/null", "sh", layers[i]});
        if (!run.ok() || run->exit_code != 0) return Error{Code::Internal, "igzip failed"};
        return {};
      });
      if (!done.ok()) std::exit(2);
    }));
  }
  std::printf("%zu layers, %.1f MB packed, %zu processors\n", layers.size(), static_cast<double>(bytes) / 1e6, processor_count());
  std::printf("verify                    %.1f ms\nverify --diff-ids         %.1f ms\n", without * 1e3, with * 1e3);
  if (peer) std::printf("igzip -dc, two at a time  %.1f ms\nratio                     %.2f (--diff-ids %.2f)\n", igzip * 1e3, without / igzip, with / igzip);
  else std::printf("peer absent: igzip\n");
}
