// lookup_bench [IMAGES]: looking up images in a registry that takes its time. Prints: IMAGES (default 2,000) distinct multi-platform images
// cold with 20 ms per answer, and warm in a new run; one cold image with 50 ms per answer on an open connection; 100,000 images from the
// cache, with the memory that they take.
#include <sys/resource.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <thread>

#include "base/fd.h"
#include "image/manifest.h"
#include "net/http_server.h"
#include "registry/image_facts.h"
#include "registry/lookup.h"
#include "registry/lookup_store.h"

namespace {

using namespace archway;
using Clock_ = std::chrono::steady_clock;

double seconds_since(Clock_::time_point begin) { return std::chrono::duration<double>(Clock_::now() - begin).count(); }

double cpu_seconds() {
  rusage usage = {};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) + static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

double resident_mb() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmRSS:")) return std::atof(line.c_str() + 6) / 1000;
  }
  return 0;
}

template <class T>
T must(Result<T> result) {
  if (result.ok()) return std::move(result).value();
  std::fprintf(stderr, "lookup_bench: %s\n", result.error().message.c_str());
  std::exit(2);
}

// As Debian's official image has them, with an attestation for each.
constexpr const char* kPlatforms[] = {"linux/amd64", "linux/arm/v5", "linux/arm/v7", "linux/arm64", "linux/386", "linux/ppc64le", "linux/riscv64", "linux/s390x"};

std::string index_named(const std::string& name) {
  ImageIndex index{std::string(media_type::kOciIndex), {}};
  for (const char* platform : kPlatforms) {
    Descriptor image = descriptor_of(media_type::kOciManifest, name + platform);
    image.platform = must(parse_platform(platform));
    Descriptor attestation = descriptor_of(media_type::kOciManifest, name + platform + "attestation");
    attestation.platform = Platform{"unknown", "unknown"};
    attestation.annotations = {{"vnd.docker.reference.digest", image.digest.str()}, {"vnd.docker.reference.type", "attestation-manifest"}};
    index.manifests.push_back(std::move(image));
    index.manifests.push_back(std::move(attestation));
  }
  return write_index(index);
}

// Says after `latency` what it is asked for: every repository has one index.
class SlowRegistry final : public RequestHandler {
 public:
  SlowRegistry(std::string path, std::chrono::milliseconds latency) : path_(std::move(path)), latency_(latency) {}
  Result<void> body(Bytes) override { return {}; }
  ServerResponse finish(bool) override {
    std::this_thread::sleep_for(latency_);
    ServerResponse response;
    response.body = index_named(path_);
    response.headers.add("Content-Type", std::string(media_type::kOciIndex));
    response.headers.add("Docker-Content-Digest", Digest::of(response.body).str());
    return response;
  }

 private:
  std::string path_;
  std::chrono::milliseconds latency_;
};

std::unique_ptr<HttpServer> serve(std::chrono::milliseconds latency) {
  return must(HttpServer::start({}, [latency](const ServerRequest& request) { return std::make_unique<SlowRegistry>(request.path, latency); }));
}

std::shared_ptr<ImageLookup> open(const std::string& host, const std::string& cache) {
  ImageLookupOptions options;
  options.registry.plain_http.insert(host);
  options.cache_dir = cache;
  return must(ImageLookup::open(std::move(options)));
}

void look_up_many(ImageLookup& lookup, const std::vector<std::string>& names, const char* what) {
  double cpu = cpu_seconds();
  auto begin = Clock_::now();
  for (auto& result : lookup.look_up_all(names)) must(std::move(result));
  std::printf("%-44s %8.3f s, %.3f s of processor (the registry's included), %llu requests\n", what, seconds_since(begin), cpu_seconds() - cpu,
              static_cast<unsigned long long>(lookup.counters().registry_requests));
}

}  // namespace

int main(int argc, char** argv) {
  int count = argc > 1 ? std::atoi(argv[1]) : 2000;
  auto dir = must(TempDir::create("/tmp", "lookup-bench-"));
  auto registry = serve(std::chrono::milliseconds(20));
  std::string host = "127.0.0.1:" + std::to_string(registry->port());
  std::vector<std::string> names;
  for (int i = 0; i < count; ++i) names.push_back(host + "/team/image-" + std::to_string(i) + ":1.0");
  look_up_many(*open(host, dir / "cache"), names, (std::to_string(count) + " images, cold, 20 ms").c_str());
  auto begin = Clock_::now();
  auto warm = open(host, dir / "cache");
  look_up_many(*warm, names, (std::to_string(count) + " images, warm").c_str());
  std::printf("%-44s %8.3f s\n", "  with opening the cache", seconds_since(begin));
  look_up_many(*warm, names, (std::to_string(count) + " images, from memory").c_str());

  auto far = serve(std::chrono::milliseconds(50));
  std::string far_host = "127.0.0.1:" + std::to_string(far->port());
  auto one = open(far_host, "");
  must(one->look_up(far_host + "/other:1"));
  begin = Clock_::now();
  must(one->look_up(far_host + "/cold:1"));
  std::printf("%-44s %8.3f s\n", "one cold index, 50 ms, open connection", seconds_since(begin));

  constexpr int kMany = 100'000;
  {
    auto store = must(LookupStore::open(dir / "many"));
    for (int i = 0; i < kMany; ++i) {
      std::string name = "registry.example.org/team/image-" + std::to_string(i) + ":1.0";
      ImageFacts facts{{.digest = Digest::of(name)}, true};
      for (const char* platform : kPlatforms) facts.images.push_back({must(parse_platform(platform)), Digest::of(name + platform)});
      store->put(name, "", {*facts.truth.digest, system_clock().now()}, pack_facts(facts));
    }
  }
  names.clear();
  for (int i = 0; i < kMany; ++i) names.push_back("registry.example.org/team/image-" + std::to_string(i) + ":1.0");
  double before = resident_mb();
  auto many = open(host, dir / "many");
  begin = Clock_::now();
  for (const std::string& name : names) must(many->look_up(name));
  std::printf("%-44s %8.3f s, %.0f MB in memory for %zu entries\n", "100,000 images of 8 platforms, from disk", seconds_since(begin), resident_mb() - before, many->counters().entries);
}
