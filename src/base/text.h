#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

// Small things about text, as free functions.
namespace archway {

std::string_view trim(std::string_view text);                        // blanks, tabs, \r, \n at both ends
std::string to_lower(std::string_view text);                         // ASCII only
std::vector<std::string> split(std::string_view text, char separator);  // keeps empty parts; "" is one empty part
std::string join(const std::vector<std::string>& parts, std::string_view separator);
// Around the first separator; the second is nullopt where there is none.
std::pair<std::string_view, std::optional<std::string_view>> cut(std::string_view text, char separator);
std::string replace_all(std::string text, std::string_view from, std::string_view to);

std::string to_hex(std::string_view bytes);
std::string base64_encode(std::string_view bytes);
std::optional<std::string> base64_decode(std::string_view text);     // standard alphabet, padding optional

std::optional<uint64_t> parse_uint(std::string_view text, int base = 10);  // the whole text, no sign, no blanks
std::optional<int64_t> parse_int(std::string_view text);

std::string human_bytes(uint64_t bytes);        // "1.4 GB" (decimal units, as docker prints them)
std::string human_duration(double seconds);     // "0.3s", "1m04s"
// The nearest of `known` for "did you mean", or nullopt when none is near (Levenshtein distance of 3 or more, or over half the word).
std::optional<std::string> nearest(std::string_view word, const std::vector<std::string>& known);

}  // namespace archway
