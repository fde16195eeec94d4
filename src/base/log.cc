#include "base/log.h"

#include <unistd.h>

#include <atomic>
#include <string>

namespace archway {

namespace {
std::atomic<LogLevel> least_level = LogLevel::Info;
}

void set_log_level(LogLevel least) { least_level = least; }

void log_line(LogLevel level, std::string_view text) {
  if (level < least_level.load()) return;
  std::string line = level == LogLevel::Warn ? "warning: " : level == LogLevel::Debug ? "debug: " : "";
  line += text;
  line += '\n';
  // One write, so that lines of several threads do not mix.
  (void)!::write(2, line.data(), line.size());
}

}  // namespace archway
