#include "build/context_source.h"

#include <fcntl.h>

#include <cstdlib>
#include <memory>
#include <optional>

#include "base/hash.h"
#include "build/context.h"

namespace archway::build {
namespace {

constexpr uint64_t kMaxIgnoreFileBytes = 1 << 20;

// The ignore file's text, nullopt where there is none. `dir` may not be left where the file is the context's own.
Result<std::optional<std::string>> read_ignore_file(Result<Fd> file, const std::string& name) {
  if (!file.ok()) {
    if (file.error().code == Code::NotFound) return std::optional<std::string>();
    return std::move(file).error();
  }
  FdSource source(std::move(*file), name);
  return std::optional(TRY(read_all(source, kMaxIgnoreFileBytes, name)));
}

// `<Dockerfile>.dockerignore` beside the Dockerfile goes before `.dockerignore` in the context; only one of them counts.
Result<dockerfile::IgnoreMatcher> read_ignore_rules(const std::string& folder, const std::string& dockerfile_path) {
  std::optional<std::string> text;
  std::string name = dockerfile_path + ".dockerignore";
  if (!dockerfile_path.empty()) text = TRY(read_ignore_file(open_file(name, O_RDONLY), name));
  if (!text) {
    name = ".dockerignore";
    Fd root = TRY(open_file(folder, O_PATH | O_DIRECTORY).context("opening the build context"));
    text = TRY(read_ignore_file(open_in_root(root.get(), name, O_RDONLY), name));
  }
  if (!text) return dockerfile::IgnoreMatcher();
  return dockerfile::IgnoreMatcher::create(dockerfile::parse_ignore_file(*text)).context("reading " + name);
}

// One cache file for each folder, by its real path, so that builds of different contexts do not wait for or drop each other's.
Result<std::string> cache_file_of(const std::string& folder, const std::string& cache_folder) {
  std::unique_ptr<char, void (*)(void*)> real(::realpath(folder.c_str(), nullptr), &std::free);
  if (!real) return errno_error("opening the build context " + folder);
  TRY(make_directories(cache_folder, 0700));
  return cache_folder + "/" + sha256_hex(real.get()).substr(0, 32);
}

}  // namespace

Result<std::shared_ptr<FileSource>> open_context_source(const std::string& folder, const std::string& dockerfile_path, const std::string& cache_folder,
                                                        std::stop_token stop) {
  BuildContext::Options options;
  options.ignore = TRY(read_ignore_rules(folder, dockerfile_path));
  options.cache_file = TRY(cache_file_of(folder, cache_folder));
  options.stop = std::move(stop);
  return std::shared_ptr<FileSource>(TRY(BuildContext::open(folder, std::move(options))));
}

}  // namespace archway::build
