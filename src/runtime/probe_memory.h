#pragma once

#include <optional>
#include <string>

namespace archway {

// What was found out about this machine by trying, so that it is tried once: a small JSON file. A key names all that the
// answer depends on (programs and their times, kernel, ids), so that a change asks anew. Unreadable is empty; never an error.
class ProbeMemory {
 public:
  explicit ProbeMemory(std::string file) : file_(std::move(file)) {}
  std::optional<std::string> get(const std::string& key) const;
  void put(const std::string& key, const std::string& value) const;

 private:
  std::string file_;
};
inline constexpr size_t kMaxProbeMemoryEntries = 64;  // older ones are forgotten

// "path size mtime" of a program, or "path absent".
std::string program_stamp(const std::string& path);
// Kernel release and the ids that are mapped here.
std::string machine_stamp();

}  // namespace archway
