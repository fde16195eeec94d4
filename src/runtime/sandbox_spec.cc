#include "base/text.h"
#include "format/json.h"
#include "runtime/sandbox.h"

namespace archway {

namespace {

Json mounts_to_json(const std::vector<Mount>& mounts) {
  Json all = Json::array();
  for (const Mount& mount : mounts) {
    all.push(Json::object({{"type", mount.type}, {"source", mount.source}, {"target", mount.target}, {"options", Json(mount.options)}}));
  }
  return all;
}

std::vector<Mount> mounts_from_json(const Json& json) {
  std::vector<Mount> mounts;
  for (const Json& one : json.items()) {
    mounts.push_back({one["type"].string(), one["source"].string(), one["target"].string(), one["options"].strings()});
  }
  return mounts;
}

Json tree_mounts_to_json(const std::vector<TreeMount>& mounts) {
  Json all = Json::array();
  for (const TreeMount& mount : mounts) {
    all.push(Json::object({{"lowerDirs", Json(mount.layers.lower_dirs)},
                           {"upperDir", mount.layers.upper_dir},
                           {"workDir", mount.layers.work_dir},
                           {"folder", mount.folder},
                           {"source", mount.source},
                           {"target", mount.target},
                           {"readOnly", mount.read_only},
                           {"isFolder", mount.source_is_folder}}));
  }
  return all;
}

std::vector<TreeMount> tree_mounts_from_json(const Json& json) {
  std::vector<TreeMount> mounts;
  for (const Json& one : json.items()) {
    TreeMount mount;
    mount.layers = {one["lowerDirs"].strings(), one["upperDir"].string(), one["workDir"].string()};
    mount.folder = one["folder"].string();
    mount.source = one["source"].string();
    mount.target = one["target"].string();
    mount.read_only = one["readOnly"].boolean();
    mount.source_is_folder = one["isFolder"].boolean();
    mounts.push_back(std::move(mount));
  }
  return mounts;
}

Json tmpfs_to_json(const std::vector<TmpfsMount>& mounts) {
  Json all = Json::array();
  for (const TmpfsMount& mount : mounts) all.push(Json::object({{"target", mount.target}, {"mode", mount.mode}, {"size", mount.size_bytes}, {"readOnly", mount.read_only}}));
  return all;
}

std::vector<TmpfsMount> tmpfs_from_json(const Json& json) {
  std::vector<TmpfsMount> mounts;
  for (const Json& one : json.items()) {
    mounts.push_back({one["target"].string(), static_cast<uint32_t>(one["mode"].integer()), static_cast<uint64_t>(one["size"].integer()), one["readOnly"].boolean()});
  }
  return mounts;
}

// Any bytes, which JSON's strings are not.
Json memory_files_to_json(const std::vector<MemoryFile>& files) {
  Json all = Json::array();
  for (const MemoryFile& file : files) {
    all.push(Json::object({{"target", file.target}, {"content", base64_encode(file.content)}, {"mode", file.mode}, {"uid", file.uid}, {"gid", file.gid}}));
  }
  return all;
}

std::vector<MemoryFile> memory_files_from_json(const Json& json) {
  std::vector<MemoryFile> files;
  auto number = [](const Json& value) { return static_cast<uint32_t>(value.integer()); };
  for (const Json& one : json.items()) {
    files.push_back({one["target"].string(), base64_decode(one["content"].string()).value_or(""), number(one["mode"]), number(one["uid"]), number(one["gid"])});
  }
  return files;
}

}  // namespace

std::string encode_sandbox_spec(const SandboxSpec& spec) {
  const RunSpec& run = spec.run;
  Json json = Json::object({
      {"lowerDirs", Json(run.root.lower_dirs)},
      {"upperDir", run.root.upper_dir},
      {"workDir", run.root.work_dir},
      {"arguments", Json(run.arguments)},
      {"environment", Json(run.environment)},
      {"workingDirectory", run.working_directory},
      {"user", run.user},
      {"hostname", run.hostname},
      {"networkNone", run.network == NetworkMode::None},
      {"mounts", mounts_to_json(run.mounts)},
      {"treeMounts", tree_mounts_to_json(run.tree_mounts)},
      {"treeSkeletons", Json(spec.tree_skeletons)},
      {"tmpfsMounts", tmpfs_to_json(run.tmpfs_mounts)},
      {"memoryFiles", memory_files_to_json(run.memory_files)},
      {"held", static_cast<int64_t>(run.held.size())},
      {"readOnlyRoot", run.read_only_root},
      {"terminal", spec.has_terminal},
      {"crun", spec.runtime.kind == RuntimeKind::Crun},
      {"runtime", spec.runtime.program},
      {"privateDir", spec.private_dir},
      {"skeletonDir", spec.skeleton_dir},
      {"parent", spec.parent_pid},
  });
  if (spec.emulator) json.set("emulator", Json::object({{"architecture", spec.emulator->goarch}, {"interpreter", spec.emulator->interpreter}}));
  return to_json(json);
}

Result<SandboxSpec> decode_sandbox_spec(std::string_view text) {
  Json json = TRY(parse_json(text).context("what the container is to run (names, arguments and environment must be UTF-8)"));
  SandboxSpec spec;
  RunSpec& run = spec.run;
  run.root = {json["lowerDirs"].strings(), json["upperDir"].string(), json["workDir"].string()};
  run.arguments = json["arguments"].strings();
  run.environment = json["environment"].strings();
  run.working_directory = json["workingDirectory"].string();
  run.user = json["user"].string();
  run.hostname = json["hostname"].string();
  run.network = json["networkNone"].boolean() ? NetworkMode::None : NetworkMode::Host;
  run.mounts = mounts_from_json(json["mounts"]);
  run.tree_mounts = tree_mounts_from_json(json["treeMounts"]);
  spec.tree_skeletons = json["treeSkeletons"].strings();
  run.tmpfs_mounts = tmpfs_from_json(json["tmpfsMounts"]);
  run.memory_files = memory_files_from_json(json["memoryFiles"]);
  // Numbered anew by who starts the sandbox.
  const int64_t held = json["held"].integer();
  if (held < 0 || held > static_cast<int64_t>(kMaxHeldFds)) return Error{Code::Invalid, "internal-sandbox: more locks than can be held"};
  for (int64_t i = 0; i < held; ++i) run.held.push_back(kSandboxFirstHeldFd + static_cast<int>(i));
  run.read_only_root = json["readOnlyRoot"].boolean();
  spec.has_terminal = json["terminal"].boolean();
  spec.runtime = {json["crun"].boolean() ? RuntimeKind::Crun : RuntimeKind::Runc, json["runtime"].string()};
  spec.private_dir = json["privateDir"].string();
  spec.skeleton_dir = json["skeletonDir"].string();
  spec.parent_pid = static_cast<int>(json["parent"].integer());
  if (const Json* emulator = json.find("emulator")) spec.emulator = PrivateEmulator{(*emulator)["architecture"].string(), (*emulator)["interpreter"].string()};
  if (spec.tree_skeletons.size() != run.tree_mounts.size()) return Error{Code::Invalid, "internal-sandbox: a mount without its skeleton"};
  if (run.root.lower_dirs.empty() || run.arguments.empty() || spec.runtime.program.empty() || spec.private_dir.empty()) {
    return Error{Code::Invalid, "internal-sandbox: incomplete description of what to run"};
  }
  return spec;
}

std::string encode_sandbox_report(const SandboxReport& report) {
  if (!report.error) return to_json(Json::object({{"exitCode", report.exit_code}}));
  return to_json(Json::object({{"code", static_cast<int>(report.error->code)}, {"message", report.error->message}, {"hint", report.error->hint}}));
}

Result<SandboxReport> decode_sandbox_report(std::string_view text) {
  if (text.empty()) return Error{Code::Internal, "the container's process was killed before it could say how the program ended"};
  Json json = TRY(parse_json(text).context("the sandbox's report"));
  if (!json.has("message")) return SandboxReport{{}, static_cast<int>(json["exitCode"].integer())};
  int64_t code = json["code"].integer(static_cast<int>(Code::Internal));
  if (code < 0 || code > static_cast<int>(Code::Internal)) code = static_cast<int>(Code::Internal);
  return SandboxReport{Error{static_cast<Code>(code), json["message"].string(), json["hint"].string()}, 0};
}

}  // namespace archway
