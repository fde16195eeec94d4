#include "build/lower_mounts.h"

#include <algorithm>

#include "base/text.h"
#include "dockerfile/ignore.h"

namespace archway::build {

using dockerfile::clean_path;
using dockerfile::MountType;
using dockerfile::RunMount;

namespace {

constexpr uint32_t kCacheMode = 0755, kSecretMode = 0400, kSocketMode = 0600;
constexpr uint32_t kPermissions = 07777, kFilePermissions = 0777;
constexpr const char* kDefaultAgent = "default";

std::string base_name(const std::string& path) { return path.substr(path.rfind('/') + 1); }

class MountLowering {
 public:
  explicit MountLowering(const LowerMountsInput& input) : input_(input) {}

  Result<LoweredMounts> run() {
    for (const std::string& text : input_.texts) {
      RunMount mount = TRY(dockerfile::parse_run_mount(text, input_.expand));
      ExecMount lowered = TRY(lower(mount));
      out_.mounts.push_back(std::move(lowered));
    }
    // A parent's target is the shorter text, so it comes before what lies in it; of equal ones the last is on top.
    std::stable_sort(out_.mounts.begin(), out_.mounts.end(), [](const ExecMount& a, const ExecMount& b) { return a.target < b.target; });
    return std::move(out_);
  }

 private:
  Result<ExecMount> lower(const RunMount& from) {
    ExecMount to;
    to.type = from.type;
    to.read_only = from.read_only;
    switch (from.type) {
      case MountType::Bind: TRY(lower_bind(from, to)); break;
      case MountType::Cache: TRY(lower_cache(from, to)); break;
      case MountType::Tmpfs: TRY(lower_tmpfs(from, to)); break;
      case MountType::Secret: TRY(lower_secret(from, to)); break;
      case MountType::Ssh: TRY(lower_ssh(from, to)); break;
    }
    return to;
  }

  Result<std::string> target_of(const std::string& written) const {
    std::string path = clean_path(written.starts_with('/') ? written : input_.working_directory + "/" + written);
    if (path == "/") return Error{Code::Invalid, "invalid mount target \"" + (written.empty() ? path : written) + "\": nothing can be mounted over the root itself", "give it a folder: target=/DIR"};
    return path;
  }

  // "a//b/../c" and "/a/c" are "a/c"; nothing leads above what is mounted.
  static std::string clean_source(const std::string& written) { return clean_path("/" + written).substr(1); }

  Result<size_t> add_input(const std::string& from, const std::string& target) {
    NodeId node = TRY(input_.source(from, target));
    auto known = std::find(out_.inputs.begin(), out_.inputs.end(), node);
    if (known == out_.inputs.end()) known = out_.inputs.insert(known, node);
    return static_cast<size_t>(known - out_.inputs.begin());
  }

  Result<void> lower_bind(const RunMount& from, ExecMount& to) {
    to.target = TRY(target_of(from.target));
    to.source = clean_source(from.source);
    to.input = TRY(add_input(from.from, to.target));
    return {};
  }

  Result<void> lower_cache(const RunMount& from, ExecMount& to) {
    to.target = TRY(target_of(from.target));
    to.source = clean_source(from.source);
    if (!from.from.empty()) to.input = TRY(add_input(from.from, to.target));
    // By default a cache is known by its target as written: relative, it is the same one in each working directory.
    to.id = input_.cache_namespace + "/" + (from.id.empty() ? clean_path(from.target) : from.id);
    to.sharing = from.sharing.value_or(dockerfile::CacheSharing::Shared);
    to.mode = from.mode.value_or(kCacheMode) & kPermissions;
    to.uid = from.uid.value_or(0);
    to.gid = from.gid.value_or(0);
    return {};
  }

  Result<void> lower_tmpfs(const RunMount& from, ExecMount& to) {
    to.target = TRY(target_of(from.target));
    if (from.size_bytes < 0) return Error{Code::Invalid, "invalid value for size: " + std::to_string(from.size_bytes)};
    to.size_bytes = static_cast<uint64_t>(from.size_bytes);
    return {};
  }

  Result<void> lower_secret(const RunMount& from, ExecMount& to) {
    to.id = !from.source.empty() ? from.source : !from.id.empty() ? from.id : base_name(clean_path(from.target));
    std::string written = from.target;
    if (from.env) {
      // "" stands for the name that the secret has.
      to.env = from.env->empty() ? base_name(to.id) : *from.env;
      if (to.env.find('=') != std::string::npos) return Error{Code::Invalid, "a variable cannot be named \"" + to.env + "\""};
    } else if (written.empty()) {
      written = "/run/secrets/" + base_name(to.id);
    }
    if (!written.empty()) to.target = TRY(target_of(written));
    to.mode = from.mode.value_or(kSecretMode) & kFilePermissions;
    to.uid = from.uid.value_or(0);
    to.gid = from.gid.value_or(0);
    to.required = from.required;
    to.read_only = true;
    return {};
  }

  Result<void> lower_ssh(const RunMount& from, ExecMount& to) {
    if (!from.source.empty()) return Error{Code::Invalid, "ssh does not support source"};
    to.id = from.id.empty() ? kDefaultAgent : from.id;
    to.target = TRY(target_of(from.target.empty() ? "/run/buildkit/ssh_agent." + std::to_string(agents_) : from.target));
    if (agents_++ == 0) out_.ssh_socket = to.target;
    to.mode = from.mode.value_or(kSocketMode) & kFilePermissions;
    to.uid = from.uid.value_or(0);
    to.gid = from.gid.value_or(0);
    to.required = from.required;
    return {};
  }

  const LowerMountsInput& input_;
  LoweredMounts out_;
  size_t agents_ = 0;
};

}  // namespace

Result<LoweredMounts> lower_mounts(const LowerMountsInput& input) { return MountLowering(input).run(); }

}  // namespace archway::build
