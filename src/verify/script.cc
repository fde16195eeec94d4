#include "verify/script.h"

#include <algorithm>
#include <array>

namespace archway {

namespace {

constexpr std::string_view kBlanks = " \t";
constexpr size_t kMaxLaunchWords = 256;  // a launcher's program stands near the front; an image may name millions of words

std::string_view base_name(std::string_view path) { return path.substr(path.rfind('/') + 1); }

template <size_t N>
bool is_one_of(std::string_view word, const std::array<std::string_view, N>& list) {
  return std::find(list.begin(), list.end(), word) != list.end();
}

std::vector<std::string> blank_separated(std::string_view text) {
  std::vector<std::string> words;
  while (true) {
    size_t begin = text.find_first_not_of(" \t\n");
    if (begin == text.npos) return words;
    text.remove_prefix(begin);
    size_t end = std::min(text.find_first_of(" \t\n"), text.size());
    words.emplace_back(text.substr(0, end));
    text.remove_prefix(end);
  }
}

// NAME=value
bool is_assignment(std::string_view word) {
  size_t equals = word.find('=');
  if (equals == word.npos || equals == 0 || (word[0] >= '0' && word[0] <= '9')) return false;
  return std::all_of(word.begin(), word.begin() + static_cast<long>(equals), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  });
}

std::vector<std::string> rest_from(const std::vector<std::string>& words, size_t begin) {
  if (begin >= words.size()) return {};
  return {words.begin() + static_cast<long>(begin), words.end()};
}

// coreutils env(1). -S splits one word into many, with quotes and escapes that are not undone here.
std::vector<std::string> started_by_env(std::vector<std::string> words) {
  for (size_t i = 1; i < words.size(); ++i) {
    const std::string word = words[i];
    bool split = word.starts_with("-S") || word.starts_with("--split-string=") || word == "-vS";
    if (split) {
      std::string text = word.starts_with("--") ? word.substr(15) : word == "-vS" ? "" : word.substr(2);
      if (text.empty() && !word.starts_with("--")) {
        if (i + 1 >= words.size()) return {};
        text = words[i + 1];
        words.erase(words.begin() + static_cast<long>(i) + 1);
      }
      if (text.find_first_of("'\"\\$#") != text.npos) return {};
      std::vector<std::string> parts = blank_separated(text);
      words.erase(words.begin() + static_cast<long>(i));
      words.insert(words.begin() + static_cast<long>(i), parts.begin(), parts.end());
      --i;  // what stands there now has not been looked at; -S within -S only ever gets shorter
      continue;
    }
    if (word == "--") return rest_from(words, i + 1);
    if (word == "-u" || word == "-C") {  // with an argument
      ++i;
      continue;
    }
    if (word.starts_with("-") || is_assignment(word)) continue;
    return rest_from(words, i);
  }
  return {};
}

// tini, dumb-init, catatonit: options, then the program.
std::vector<std::string> started_by_init(const std::vector<std::string>& words) {
  for (size_t i = 1; i < words.size(); ++i) {
    if (words[i] == "--") return rest_from(words, i + 1);
    if (!words[i].starts_with("-")) return rest_from(words, i);
    if (words[i] == "-p" || words[i] == "-e" || words[i] == "-r" || words[i] == "--rewrite") ++i;
  }
  return {};
}

// The first command of `sh -c TEXT`, where it is a plain word.
std::vector<std::string> started_by_shell(const std::vector<std::string>& words) {
  static constexpr std::array<std::string_view, 34> kShellWords = {
      "if", "for", "while", "until", "case", "function", "then", "else", "do", "{", "!", "cd", "echo", "printf", "export", "set", "unset",
      "source", ".", ":", "eval", "trap", "test", "[", "[[", "umask", "ulimit", "read", "wait", "exit", "true", "false", "shift", "command"};
  for (size_t i = 1; i + 1 < words.size(); ++i) {
    const std::string& option = words[i];
    if (!option.starts_with("-") || option.starts_with("--")) return {};
    if (option.find('c') == option.npos) continue;
    std::vector<std::string> command = blank_separated(words[i + 1]);
    size_t first = 0;
    while (first < command.size() && (command[first] == "exec" || is_assignment(command[first]))) ++first;
    if (first >= command.size() || is_one_of(command[first], kShellWords)) return {};
    for (const std::string& word : command) {
      if (word.find_first_of("'\"\\$`*?[]{}()<>|&;~#") == word.npos) continue;
      // The program's own name must be plain; words after it only matter to launchers.
      if (&word <= &command[first]) return {};
      return {command[first]};
    }
    return rest_from(command, first);
  }
  return {};
}

}  // namespace

std::optional<Script> parse_script(std::string_view first_bytes) {
  if (!first_bytes.starts_with("#!")) return std::nullopt;
  std::string_view line = first_bytes.substr(2, kScriptPrefixBytes - 2);
  size_t end = line.find_first_of(std::string_view("\n\0", 2));
  bool cut = end == line.npos && first_bytes.size() >= kScriptPrefixBytes;
  line = line.substr(0, end);
  size_t begin = line.find_first_not_of(kBlanks);
  if (begin == line.npos) return std::nullopt;
  line = line.substr(begin, line.find_last_not_of(kBlanks) + 1 - begin);
  size_t blank = line.find_first_of(kBlanks);
  if (blank == line.npos) {
    if (cut) return std::nullopt;  // the kernel does not run half a path
    return Script{std::string(line)};
  }
  std::string_view argument = line.substr(blank);
  argument.remove_prefix(argument.find_first_not_of(kBlanks));
  return Script{std::string(line.substr(0, blank)), std::string(argument)};
}

Launch launched_by(const std::vector<std::string>& words) {
  static constexpr std::array<std::string_view, 5> kInits = {"tini", "tini-static", "docker-init", "dumb-init", "catatonit"};
  static constexpr std::array<std::string_view, 6> kShells = {"sh", "bash", "dash", "ash", "zsh", "ksh"};
  if (words.empty()) return {};
  if (words.size() > kMaxLaunchWords) return launched_by({words.begin(), words.begin() + kMaxLaunchWords});
  std::string_view name = base_name(words[0]);
  if (name == "env") return {started_by_env(words)};
  if (is_one_of(name, kInits)) return {started_by_init(words)};
  if (is_one_of(name, kShells)) return {started_by_shell(words), true};
  return {};
}

}  // namespace archway
