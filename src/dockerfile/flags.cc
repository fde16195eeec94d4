#include "dockerfile/flags.h"

#include <algorithm>

#include "base/text.h"

namespace archway::dockerfile {
namespace {

Error unknown_flag(const std::string& flag, std::initializer_list<FlagSpec> known) {
  std::vector<std::string> names;
  for (const FlagSpec& spec : known) names.push_back("--" + std::string(spec.name));
  std::string message = "unknown flag: " + flag;
  if (auto guess = nearest(flag, names)) message += " (did you mean " + *guess + "?)";
  return Error{Code::Invalid, std::move(message)};
}

}  // namespace

Result<Flags> Flags::read(const std::vector<std::string>& words, std::initializer_list<FlagSpec> known, std::string& culprit) {
  Flags flags;
  for (const std::string& word : words) {
    culprit = word;
    const auto [flag_view, value] = cut(word, '=');
    const std::string flag(flag_view);
    const std::string name = flag.substr(2);  // the parser takes only words that start with `--`
    const auto spec = std::find_if(known.begin(), known.end(), [&](const FlagSpec& candidate) { return candidate.name == name; });
    if (spec == known.end()) return unknown_flag(flag, known);
    std::vector<std::string>& values = flags.values_[name];
    if (!values.empty() && spec->kind != FlagKind::List) return Error{Code::Invalid, "duplicate flag specified: " + flag};
    if (spec->kind != FlagKind::Bool) {
      if (!value) return Error{Code::Invalid, "missing a value on flag: " + flag};
      values.emplace_back(*value);
      continue;
    }
    const std::string truth = value ? to_lower(*value) : "true";
    if (truth.empty()) return Error{Code::Invalid, "missing a value on flag: " + flag};
    if (truth != "true" && truth != "false") {
      return Error{Code::Invalid, "expecting boolean value for flag " + flag + ", not: " + std::string(*value)};
    }
    values.push_back(truth);
  }
  culprit.clear();
  return flags;
}

std::string Flags::text(std::string_view name) const {
  auto found = values_.find(name);
  return found == values_.end() ? "" : found->second.front();
}

std::optional<bool> Flags::boolean(std::string_view name) const {
  auto found = values_.find(name);
  if (found == values_.end()) return std::nullopt;
  return found->second.front() == "true";
}

std::vector<std::string> Flags::list(std::string_view name) const {
  auto found = values_.find(name);
  return found == values_.end() ? std::vector<std::string>{} : found->second;
}

}  // namespace archway::dockerfile
