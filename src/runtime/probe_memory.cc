#include "runtime/probe_memory.h"

#include <sys/stat.h>
#include <sys/utsname.h>

#include "base/fd.h"
#include "base/text.h"
#include "format/json.h"

namespace archway {

namespace {

constexpr uint64_t kMaxMemoryBytes = 1 << 20;

Json load(const std::string& file) {
  auto text = read_file(file, kMaxMemoryBytes);
  if (!text.ok()) return Json::object();
  auto json = parse_json(*text);
  return json.ok() && json->is_object() ? *json : Json::object();
}

}  // namespace

std::optional<std::string> ProbeMemory::get(const std::string& key) const {
  Json json = load(file_);
  const Json* value = json.find(key);
  if (!value || !value->is_string()) return std::nullopt;
  return value->string();
}

void ProbeMemory::put(const std::string& key, const std::string& value) const {
  Json json = load(file_);
  json.erase(key);
  json.set(key, value);
  auto& members = json.mutable_members();
  if (members.size() > kMaxProbeMemoryEntries) members.erase(members.begin(), members.end() - static_cast<long>(kMaxProbeMemoryEntries));
  (void)write_file_atomic(file_, to_json(json, {.indent = 2}), 0600).ok();
}

std::string program_stamp(const std::string& path) {
  struct stat st = {};
  if (::stat(path.c_str(), &st) != 0) return path + " absent";
  return path + " " + std::to_string(st.st_size) + " " + std::to_string(st.st_mtim.tv_sec) + "." + std::to_string(st.st_mtim.tv_nsec);
}

std::string machine_stamp() {
  utsname names = {};
  ::uname(&names);
  auto map = read_file("/proc/self/uid_map", kMaxMemoryBytes);
  std::string ids;
  for (const std::string& word : split(map.ok() ? *map : "", ' ')) {
    std::string_view trimmed = trim(word);
    if (!trimmed.empty()) ids += (ids.empty() ? "" : " ") + std::string(trimmed);
  }
  return std::string(names.release) + "; ids " + ids;
}

}  // namespace archway
