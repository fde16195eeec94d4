#include "cli/cluster_files.h"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>

#include "base/fd.h"
#include "base/text.h"
#include "format/yaml.h"
#include "scheduler/profile_reader.h"

namespace archway::cli {

namespace {

// White space before a document that is looked at to tell what it is.
constexpr size_t kMaxLeadingSpace = 1 << 20;

bool is_manifest(const std::string& path) { return path.ends_with(".json") || path.ends_with(".yaml") || path.ends_with(".yml"); }

Result<std::vector<std::string>> files_of(const std::string& path) {
  std::error_code error;
  if (!std::filesystem::is_directory(path, error)) return std::vector<std::string>{path};
  std::vector<std::string> files;
  for (auto at = std::filesystem::recursive_directory_iterator(path, error); !error && at != std::filesystem::recursive_directory_iterator(); at.increment(error)) {
    if (is_manifest(at->path().string()) && at->is_regular_file(error)) files.push_back(at->path().string());
  }
  if (error) return Error{Code::Io, "listing " + path + ": " + error.message()};
  std::sort(files.begin(), files.end());
  if (files.empty()) return Error{Code::NotFound, "no .json, .yaml or .yml file below " + path};
  return files;
}

Result<std::vector<Json>> load_file(const std::string& path) {
  std::string text = TRY(read_file(path, kMaxClusterFileBytes));
  std::vector<Json> objects;
  std::string_view begin = trim(text);
  if (begin.starts_with('{') || begin.starts_with('[')) {
    objects.push_back(TRY(parse_json(text).context(path)));
    return objects;
  }
  for (YamlDocument& document : TRY(parse_yaml_documents(text).context(path))) objects.push_back(std::move(document.value));
  return objects;
}

}  // namespace

Result<std::vector<Json>> load_objects(const std::string& path) {
  std::vector<Json> objects;
  for (const std::string& file : TRY(files_of(path))) {
    for (Json& object : TRY(load_file(file))) objects.push_back(std::move(object));
  }
  return objects;
}

namespace {

// What was read already to see what it is, then the rest: a pipe cannot be read twice.
class ResumedSource final : public Source {
 public:
  ResumedSource(std::string begin, Source& rest) : begin_(std::move(begin)), rest_(rest) {}
  Result<size_t> read(std::span<std::byte> into) override {
    if (at_ == begin_.size()) return rest_.read(into);
    size_t count = std::min(into.size(), begin_.size() - at_);
    std::memcpy(into.data(), begin_.data() + at_, count);
    at_ += count;
    return count;
  }

 private:
  std::string begin_;
  size_t at_ = 0;
  Source& rest_;
};

// The first byte that is no white space tells JSON from YAML.
Result<std::string> read_begin(Source& source) {
  std::string begin;
  while (trim(begin).empty() && begin.size() < kMaxLeadingSpace) {
    std::array<std::byte, 4096> part;
    size_t count = TRY(source.read(part));
    if (count == 0) break;
    begin += as_text(Bytes(part).first(count));
  }
  return begin;
}

Result<std::string> read_rest(std::string begin, Source& source) {
  std::array<std::byte, 65536> part;
  while (true) {
    size_t count = TRY(source.read(part));
    if (count == 0) return begin;
    begin += as_text(Bytes(part).first(count));
    if (begin.size() > kMaxClusterFileBytes) return Error{Code::Invalid, "more than " + std::to_string(kMaxClusterFileBytes) + " bytes"};
  }
}

Result<void> add_file(scheduler::Inventory& inventory, const std::string& file) {
  Fd fd = TRY(open_file(file, O_RDONLY));
  FdSource source(std::move(fd), file);
  std::string begin = TRY(read_begin(source));
  std::string_view first = trim(begin);
  if (!first.starts_with('{') && !first.starts_with('[')) {
    std::string text = TRY(read_rest(std::move(begin), source).context(file));
    for (const YamlDocument& document : TRY(parse_yaml_documents(text).context(file))) inventory.add(document.value);
    return {};
  }
  ResumedSource whole(std::move(begin), source);
  auto added = scheduler::add_json(inventory, whole);
  if (added.ok()) return {};
  // A dump that was cut off still tells of a cluster.
  bool meaningful = added.error().code == Code::Mismatch && !(inventory.nodes.empty() && inventory.pods.empty());
  if (!meaningful) return std::move(added).context(file);
  inventory.problems.push_back({"file " + file, added.error().message + "; what came before it counts"});
  return {};
}

}  // namespace

Result<scheduler::Inventory> load_inventory(const std::vector<std::string>& paths) {
  scheduler::Inventory inventory;
  for (const std::string& path : paths) {
    for (const std::string& file : TRY(files_of(path))) TRY(add_file(inventory, file));
  }
  inventory.settle();
  return inventory;
}

std::vector<Flag> placement_flags() {
  return {
      {"scheduler-version", 0, Flag::Kind::One, "VERSION", "whose rules count: 1.34 (default) to 1.36"},
      {"scheduler-config", 0, Flag::Kind::One, "FILE", "a KubeSchedulerConfiguration"},
      {"images", 0, Flag::Kind::One, "FILE", "what is known of images' platforms"},
      {"assume", 0, Flag::Kind::Many, "PLATFORMS", "platforms of images that nothing is known of, as linux/amd64"},
      {"json", 0, Flag::Kind::Bool, "", "print JSON"},
  };
}

Result<scheduler::Profile> placement_profile(const Arguments& arguments) {
  scheduler::Profile profile;
  if (auto file = arguments.one("scheduler-config")) {
    auto objects = TRY(load_objects(*file));
    if (objects.size() != 1) return Error{Code::Invalid, *file + ": expected one KubeSchedulerConfiguration"};
    auto profiles = TRY(scheduler::read_profiles(objects[0]).context(*file));
    profile = profiles[0];
    for (const scheduler::Profile& each : profiles) {
      if (each.scheduler_name == "default-scheduler") profile = each;
    }
  }
  profile.version_minor = TRY(scheduler::parse_scheduler_version(arguments.one_or("scheduler-version", "1.34")));
  return profile;
}

Result<scheduler::ImageKnowledge> placement_images(const Arguments& arguments) {
  scheduler::ImageKnowledge images;
  if (auto file = arguments.one("images")) {
    std::string text = TRY(read_file(*file, kMaxTruthBytes));
    images.truths = TRY(parse_truths(text).context(*file));
  }
  if (arguments.has("assume")) images.assumed = TRY(parse_platforms(arguments.many("assume")));
  return images;
}

}  // namespace archway::cli
