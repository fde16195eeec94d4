#pragma once

#include <string_view>

namespace archway {

// Diagnostics for people, on standard error. Libraries log rarely and return errors instead.
enum class LogLevel { Debug, Info, Warn };
void set_log_level(LogLevel least);
void log_line(LogLevel level, std::string_view text);
inline void log_debug(std::string_view text) { log_line(LogLevel::Debug, text); }
inline void log_info(std::string_view text) { log_line(LogLevel::Info, text); }
inline void log_warn(std::string_view text) { log_line(LogLevel::Warn, text); }

}  // namespace archway
