#include "cli/parse.h"

#include <CLI/CLI.hpp>
#include <algorithm>

#include "base/text.h"

namespace archway::cli {

Error usage_error(std::string message) {
  // The hint marks it: main turns a usage error into exit status 64.
  return Error{Code::Invalid, std::move(message), std::string(kUsageHint)};
}

bool Arguments::has(std::string_view flag) const {
  auto found = values_.find(flag);
  return found != values_.end() && !(found->second.size() == 1 && found->second[0] == "false");
}
std::optional<std::string> Arguments::one(std::string_view flag) const {
  auto found = values_.find(flag);
  if (found == values_.end() || found->second.empty()) return std::nullopt;
  return found->second.back();
}
std::string Arguments::one_or(std::string_view flag, std::string_view fallback) const { return one(flag).value_or(std::string(fallback)); }
std::vector<std::string> Arguments::many(std::string_view flag) const {
  auto found = values_.find(flag);
  return found == values_.end() ? std::vector<std::string>{} : found->second;
}

namespace {

std::string spelling(const Flag& flag) {
  return flag.letter ? std::string("-") + flag.letter + ",--" + flag.name : "--" + flag.name;
}

// CLI11 says "--platform: 1 required PLATFORMS missing".
std::string parse_problem(const Command& command, const std::string& said) {
  for (const Flag& flag : command.flags) {
    if (said.starts_with("--" + flag.name + ":")) return "--" + flag.name + " wants " + (flag.value_name.empty() ? "no value" : flag.value_name);
  }
  return said;
}

// As in --push=false: the words that docker and kubectl take.
std::optional<bool> parse_switch(const std::string& word) {
  for (const char* yes : {"1", "t", "T", "TRUE", "true", "True"}) {
    if (word == yes) return true;
  }
  for (const char* no : {"0", "f", "F", "FALSE", "false", "False"}) {
    if (word == no) return false;
  }
  return std::nullopt;
}

// CLI11 says "The following argument was not expected: --foo"; people want to know which flag they meant.
Error unknown_flag(const Command& command, const std::string& word) {
  if (word.empty() || word[0] != '-') return usage_error("archway " + command.name + ": too many arguments: \"" + word + "\"");
  std::string name = word.substr(word.find_first_not_of('-') == std::string::npos ? word.size() : word.find_first_not_of('-'));
  name = std::string(cut(name, '=').first);
  std::vector<std::string> known;
  for (const Flag& flag : command.flags) known.push_back(flag.name);
  auto near = nearest(name, known);
  return usage_error("archway " + command.name + ": unknown flag " + word + (near ? " (did you mean --" + *near + "?)" : ""));
}

}  // namespace

Result<Arguments> parse_arguments(const Command& command, const std::vector<std::string>& words) {
  Arguments arguments;
  CLI::App app;
  app.set_help_flag();
  app.allow_extras();
  if (command.stop_at_positional) app.prefix_command();
  std::vector<std::pair<const Flag*, CLI::Option*>> options;
  CLI::Option* help = app.add_flag("-h,--help");
  for (const Flag& flag : command.flags) {
    CLI::Option* option = nullptr;
    if (flag.kind == Flag::Kind::Bool) {
      option = app.add_flag(spelling(flag));
    } else {
      option = app.add_option(spelling(flag))->expected(1)->allow_extra_args(false);
    }
    option->multi_option_policy(flag.kind == Flag::Kind::Many ? CLI::MultiOptionPolicy::TakeAll : CLI::MultiOptionPolicy::TakeLast);
    options.emplace_back(&flag, option);
  }
  try {
    std::vector<std::string> reversed(words.rbegin(), words.rend());
    app.parse(reversed);
  } catch (const CLI::ParseError& error) {
    return usage_error("archway " + command.name + ": " + parse_problem(command, error.what()));
  }
  if (help->count() > 0) {
    arguments.values_["help"] = {"true"};
    return arguments;
  }
  for (auto [flag, option] : options) {
    if (option->count() == 0) continue;
    std::vector<std::string> values = option->results();
    if (flag->kind == Flag::Kind::Bool) {
      auto on = parse_switch(values.back());
      if (!on) return usage_error("archway " + command.name + ": --" + flag->name + "=" + values.back() + ": expected true or false");
      values = {*on ? "true" : "false"};
    }
    arguments.values_[flag->name] = std::move(values);
  }
  arguments.positional_ = app.remaining();
  if (!arguments.positional_.empty() && arguments.positional_.front() == "--") arguments.positional_.erase(arguments.positional_.begin());
  // What looks like a flag among the rest is one that we do not have; after "--", or where the rest is another program's, it is not.
  bool ours = !command.stop_at_positional && std::find(words.begin(), words.end(), "--") == words.end();
  for (const std::string& word : arguments.positional_) {
    if (ours && word.size() > 1 && word[0] == '-') return unknown_flag(command, word);
    if (command.stop_at_positional) {
      if (word.size() > 1 && word[0] == '-') return unknown_flag(command, word);
      break;
    }
  }
  size_t count = arguments.positional_.size();
  if (count < command.min_positional) return usage_error("archway " + command.name + ": too few arguments; usage: " + command.usage);
  if (!command.stop_at_positional && count > command.max_positional) {
    return usage_error("archway " + command.name + ": too many arguments: \"" + arguments.positional_[command.max_positional] +
                       "\"; usage: " + command.usage);
  }
  return arguments;
}

std::string help_text(const Command& command) {
  std::string text = "Usage: " + command.usage + "\n\n" + command.summary + "\n";
  if (!command.description.empty()) text += "\n" + command.description + (command.description.back() == '\n' ? "" : "\n");
  text += "\nFlags:\n";
  std::vector<std::pair<std::string, std::string>> rows;
  for (const Flag& flag : command.flags) {
    std::string left = flag.letter ? std::string("  -") + flag.letter + ", --" + flag.name : "      --" + flag.name;
    if (flag.kind != Flag::Kind::Bool) left += " " + flag.value_name;
    rows.emplace_back(left, flag.help + (flag.kind == Flag::Kind::Many ? " (may be repeated)" : ""));
  }
  rows.emplace_back("  -h, --help", "show this text");
  size_t width = 0;
  for (const auto& row : rows) width = std::max(width, row.first.size());
  width = std::min<size_t>(width, 40);
  for (const auto& [left, right] : rows) {
    text += left;
    text += left.size() > width ? "\n" + std::string(width + 2, ' ') : std::string(width + 2 - left.size(), ' ');
    text += right + "\n";
  }
  return text;
}

}  // namespace archway::cli
