#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "dockerfile/instructions.h"
#include "image/config.h"

// How single instructions read and write an image's configuration, spelt as BuildKit spells it (builder.md 3.5, 3.9).
namespace archway::build {

inline constexpr std::string_view kDefaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

// WORKDIR: a relative path continues the old one.
std::string normalize_workdir(std::string_view old, std::string_view path);
// SHELL (or /bin/sh -c) and the text.
std::vector<std::string> with_shell(const ImageConfig& config, std::string text);
std::vector<std::string> command_words(const ImageConfig& config, const dockerfile::CommandLine& command);
// Go's %q of a slice: ["a" "b"].
std::string quoted_list(const std::vector<std::string>& words);
// Go's %+v of the health check: {Test:[CMD x] Interval:30s Timeout:0s ... Retries:0}.
std::string healthcheck_text(const Healthcheck& check);
std::string go_duration(int64_t nanoseconds);
// "80", "8000-8002/udp", "ip:host:container": what is exposed, as "80/tcp".
Result<std::vector<std::string>> parse_exposed_port(std::string_view text);
// A signal's name, with or without SIG, or its number.
bool is_signal(std::string_view text);
// Octal up to 7777, or symbolic as chmod(1) has it ("u=rwX,go=rX").
Result<void> check_chmod(std::string_view text);
// What a file of `mode` has after it; X gives execution to folders and to what is executable by somebody already.
uint32_t apply_chmod(std::string_view text, uint32_t mode, bool folder);
void set_variable(std::vector<std::string>& env, std::string_view name, std::string_view value);
void insert_sorted(std::vector<std::string>& list, const std::string& item);
std::string strip_leading_tabs(std::string_view text);

}  // namespace archway::build
