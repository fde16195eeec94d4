// Runs a fuzz target without libFuzzer, by two of its flags: `name_fuzz -runs=N -max_total_time=SECONDS CORPUS_DIR...` (or single
// files). First every input as it is, then N mutations of them from a fixed seed (without -runs: as many as fit in the time), so
// that the same N finds the same things on every machine. What it looks for are sanitizer reports and failed CHECKs.
// The input being tried is in ./<program>.crash when one happens.
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

constexpr size_t kMaxInputBytes = 1 << 20;
constexpr size_t kMaxPool = 512;

std::string current;
std::string crash_path;

// What led to the crash, for the next debugger. Called while dying: only plain writes.
void save_current() {
  if (FILE* file = std::fopen(crash_path.c_str(), "wb")) {
    std::fwrite(current.data(), 1, current.size(), file);
    std::fclose(file);
  }
  std::fprintf(stderr, "fuzz: the input is in %s\n", crash_path.c_str());
}
void on_abort(int) {
  save_current();
  signal(SIGABRT, SIG_DFL);
  raise(SIGABRT);
}

void run(const std::string& input) {
  current = input;
  // Its own allocation of exactly that size: a read past the end is a read past the end.
  std::vector<uint8_t> exact(input.begin(), input.end());
  LLVMFuzzerTestOneInput(exact.data(), exact.size());
}

std::vector<std::string> load(const std::vector<std::string>& places) {
  std::vector<std::string> files, inputs;
  for (const std::string& place : places) {
    if (!std::filesystem::is_directory(place)) {
      files.push_back(place);
      continue;
    }
    for (const auto& item : std::filesystem::recursive_directory_iterator(place)) {
      if (item.is_regular_file()) files.push_back(item.path().string());
    }
  }
  std::sort(files.begin(), files.end());
  for (const std::string& file : files) {
    std::ifstream in(file, std::ios::binary);
    inputs.emplace_back(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
  }
  return inputs;
}

class Mutator {
 public:
  explicit Mutator(uint64_t seed) : random_(seed) {}
  size_t below(size_t limit) { return limit == 0 ? 0 : random_() % limit; }

  std::string mutate(std::string text, const std::string& other) {
    for (size_t i = 0, steps = 1 + below(6); i < steps; i++) step(text, other);
    if (text.size() > kMaxInputBytes) text.resize(kMaxInputBytes);
    return text;
  }

 private:
  void step(std::string& text, const std::string& other) {
    size_t at = below(text.size() + 1);
    switch (below(8)) {
      case 0:
        if (!text.empty()) text[below(text.size())] ^= static_cast<char>(1 << below(8));
        break;
      case 1:
        if (!text.empty()) text[below(text.size())] = interesting();
        break;
      case 2: text.insert(at, 1 + below(4), interesting()); break;
      case 3: text.erase(at, 1 + below(16)); break;
      case 4: text.resize(at); break;
      case 5: {  // splice
        size_t from = below(other.size() + 1);
        text = text.substr(0, at) + other.substr(from);
        break;
      }
      case 6: {  // a piece of the other in the middle
        size_t from = below(other.size() + 1);
        text.insert(at, other.substr(from, below(64)));
        break;
      }
      default: {  // a piece twice
        std::string piece = text.substr(at, below(128));
        text.insert(below(text.size() + 1), piece);
      }
    }
  }
  char interesting() {
    static constexpr char kBytes[] = {0, 1, 127, -128, -1, '0', '7', '9', ' ', '\n', '"', '\\', '/', '=', '{', '}', '[', ']', ':', '-', '$', '#', '.'};
    return below(2) == 0 ? kBytes[below(sizeof kBytes)] : static_cast<char>(below(256));
  }
  std::mt19937_64 random_;
};

}  // namespace

int main(int argc, char** argv) {
  double seconds = 0;
  uint64_t runs = 0;
  std::vector<std::string> places;
  for (int i = 1; i < argc; i++) {
    if (std::sscanf(argv[i], "-max_total_time=%lf", &seconds) == 1) continue;
    unsigned long long number = 0;
    if (std::sscanf(argv[i], "-runs=%llu", &number) == 1) runs = number;
    else places.emplace_back(argv[i]);
  }
  crash_path = std::filesystem::path(argv[0]).filename().string() + ".crash";
  signal(SIGABRT, on_abort);
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_set_death_callback(save_current);
#endif

  std::vector<std::string> pool = load(places);
  run("");
  for (const std::string& input : pool) run(input);
  if (pool.empty()) pool.emplace_back();

  using Clock = std::chrono::steady_clock;
  Mutator mutator(1);
  uint64_t tries = 0;
  size_t seeds = pool.size();
  Clock::time_point end = Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
  auto goes_on = [&] { return (runs == 0 || tries < runs) && (seconds == 0 ? runs != 0 : Clock::now() < end); };
  for (; goes_on(); tries++) {
    std::string input = mutator.mutate(pool[mutator.below(pool.size())], pool[mutator.below(pool.size())]);
    run(input);
    // Some mutants are mutated further, so that it does not stay beside its seeds.
    if (tries % 16 == 0) {
      if (pool.size() < kMaxPool) pool.push_back(std::move(input));
      else if (seeds < kMaxPool) pool[seeds + mutator.below(kMaxPool - seeds)] = std::move(input);
    }
  }
  std::printf("fuzz: %zu seeds, %llu mutants, nothing found\n", seeds, static_cast<unsigned long long>(tries));
  return 0;
}
