#include <array>

#include "admission/crash_watch.h"
#include "base/text.h"

namespace archway::admission {
namespace {

inline constexpr size_t kLogLines = 5;     // from the end
inline constexpr size_t kMaxLogLine = 1000;

bool has(std::string_view text, std::string_view words) { return text.find(words) != std::string_view::npos; }

// What runtimes say where an index has nothing for the node. "no match for platform in manifest" is containerd's, "no matching manifest for"
// docker's, the other two are of containers/image (CRI-O).
constexpr std::array<std::string_view, 4> kNoMatch = {"no match for platform", "no matching manifest for", "no image found in manifest list for architecture",
                                                      "no image found in image index for architecture"};

// Whose words it is when execve() says ENOEXEC:
//   exec /app: exec format error                                          runc, crun (and containers' own entry points in Go)
//   standard_init_linux.go:228: exec user process caused: exec format error   runc before 1.1
//   [FATAL tini (7)] exec /app failed: Exec format error                  tini
//   /entry.sh: line 3: /app: cannot execute binary file: Exec format error    bash
//   sh: 1: /app: Exec format error, /entry.sh: exec: line 2: /app: Exec format error   dash, busybox
bool is_line_of_starter(std::string_view line) {
  std::string lower = to_lower(line);
  if (!lower.ends_with("exec format error") && !lower.ends_with("exec format error\"")) return false;
  if (lower.starts_with("exec ") || has(lower, "exec user process caused") || has(lower, "[fatal tini") || has(lower, "cannot execute binary file")) return true;
  auto parts = split(lower, ':');
  // NAME: LINE: PROGRAM: exec format error, as shells number their lines
  for (size_t i = 1; i + 1 < parts.size(); i++) {
    std::string_view part = trim(parts[i]);
    if (part.starts_with("line ")) part = trim(part.substr(5));
    if (parse_uint(part)) return true;
  }
  return false;
}

}  // namespace

std::string_view crash_kind_name(CrashKind kind) { return kind == CrashKind::ExecFormat ? "exec-format-error" : "no-match-for-platform"; }

std::optional<CrashSign> sign_in_message(std::string_view message) {
  std::string lower = to_lower(message.substr(0, 16 * 1024));
  if (has(lower, "exec format error")) return CrashSign{CrashKind::ExecFormat, Certainty::Certain};
  for (std::string_view words : kNoMatch) {
    if (has(lower, words)) return CrashSign{CrashKind::NoMatch, Certainty::Certain};
  }
  return std::nullopt;
}

std::optional<CrashSign> sign_in_log(std::string_view log) {
  bool likely = false;
  size_t lines = 0;
  while (!log.empty() && lines < kLogLines) {
    log = trim(log);
    size_t begin = log.rfind('\n');
    std::string_view line = trim(begin == std::string_view::npos ? log : log.substr(begin + 1));
    log = begin == std::string_view::npos ? std::string_view() : log.substr(0, begin);
    if (line.empty()) continue;
    // Only a program that ended with these words ended because of them.
    if (lines++ == 0 && line.size() <= kMaxLogLine && is_line_of_starter(line)) return CrashSign{CrashKind::ExecFormat, Certainty::Certain};
    likely |= has(to_lower(line.substr(0, kMaxLogLine)), "exec format error");
  }
  if (likely) return CrashSign{CrashKind::ExecFormat, Certainty::Likely};
  return std::nullopt;
}

std::string owner_of(const Json& pod) {
  const Json& metadata = pod["metadata"];
  for (const Json& owner : metadata["ownerReferences"].items()) {
    if (!owner["controller"].boolean()) continue;
    std::string kind = owner["kind"].string(), name = owner["name"].string();
    // A Deployment's ReplicaSet is named after it and the hash of its template.
    const std::string& hash = metadata["labels"]["pod-template-hash"].string();
    if (kind == "ReplicaSet" && !hash.empty() && name.size() > hash.size() + 1 && name.ends_with("-" + hash)) {
      kind = "Deployment";
      name.resize(name.size() - hash.size() - 1);
    }
    return kind + " " + metadata["namespace"].string() + "/" + name;
  }
  return {};
}

}  // namespace archway::admission
