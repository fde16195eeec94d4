#include "kube/selector.h"

#include <algorithm>

#include "base/text.h"

namespace archway::kube {

namespace {

constexpr std::string_view kOperatorNames[] = {"In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"};

std::optional<int64_t> whole_number(std::string_view text) {
  if (!text.empty() && text[0] == '+') text.remove_prefix(1);
  return parse_int(text);
}

Result<Requirement> read_requirement(const Json& object) {
  Requirement requirement;
  requirement.key = object["key"].string();
  const std::string& op = object["operator"].string();
  bool known = false;
  for (SelectorOperator each : {SelectorOperator::In, SelectorOperator::NotIn, SelectorOperator::Exists, SelectorOperator::DoesNotExist}) {
    if (operator_name(each) != op) continue;
    requirement.op = each;
    known = true;
  }
  if (!known) return Error{Code::Invalid, "operator: \"" + op + "\" is not one of In, NotIn, Exists, DoesNotExist"};
  requirement.values = object["values"].strings();
  std::sort(requirement.values.begin(), requirement.values.end());
  if (auto why = requirement_error(requirement)) return Error{Code::Invalid, *why};
  return requirement;
}

// "in (a, b)" after its first word; `rest` begins at the parenthesis.
Result<std::vector<std::string>> parse_value_list(std::string_view text) {
  text = trim(text);
  if (text.size() < 2 || text.front() != '(' || text.back() != ')') return Error{Code::Invalid, "values must stand in parentheses"};
  std::vector<std::string> values;
  for (const std::string& part : split(text.substr(1, text.size() - 2), ',')) values.emplace_back(trim(part));
  std::sort(values.begin(), values.end());
  return values;
}

Result<Requirement> parse_requirement(std::string_view text) {
  text = trim(text);
  Requirement requirement;
  auto set = [&](std::string_view key, SelectorOperator op, std::vector<std::string> values) {
    requirement = {std::string(trim(key)), op, std::move(values)};
  };
  auto value_after = [&](size_t at, size_t length) { return std::vector<std::string>{std::string(trim(text.substr(at + length)))}; };
  size_t at = 0;
  if ((at = text.find(" notin ")) != std::string_view::npos || (at = text.find(" notin(")) != std::string_view::npos) {
    set(text.substr(0, at), SelectorOperator::NotIn, TRY(parse_value_list(text.substr(at + 6))));
  } else if ((at = text.find(" in ")) != std::string_view::npos || (at = text.find(" in(")) != std::string_view::npos) {
    set(text.substr(0, at), SelectorOperator::In, TRY(parse_value_list(text.substr(at + 3))));
  } else if ((at = text.find("!=")) != std::string_view::npos) {
    set(text.substr(0, at), SelectorOperator::NotIn, value_after(at, 2));
  } else if ((at = text.find("==")) != std::string_view::npos) {
    set(text.substr(0, at), SelectorOperator::In, value_after(at, 2));
  } else if ((at = text.find('=')) != std::string_view::npos) {
    set(text.substr(0, at), SelectorOperator::In, value_after(at, 1));
  } else if (text.starts_with('!')) {
    set(text.substr(1), SelectorOperator::DoesNotExist, {});
  } else {
    set(text, SelectorOperator::Exists, {});
  }
  if (auto why = requirement_error(requirement)) return Error{Code::Invalid, *why};
  return requirement;
}

// Commas outside of parentheses separate.
std::vector<std::string_view> split_requirements(std::string_view text) {
  std::vector<std::string_view> parts;
  size_t begin = 0, depth = 0;
  for (size_t i = 0; i <= text.size(); ++i) {
    if (i == text.size() || (text[i] == ',' && depth == 0)) {
      parts.push_back(text.substr(begin, i - begin));
      begin = i + 1;
    } else if (text[i] == '(') {
      ++depth;
    } else if (text[i] == ')' && depth > 0) {
      --depth;
    }
  }
  return parts;
}

}  // namespace

std::string_view operator_name(SelectorOperator op) { return kOperatorNames[static_cast<size_t>(op)]; }

bool Requirement::matches(const Labels& labels) const {
  const std::string* value = labels.find(key);
  auto listed = [&] { return std::binary_search(values.begin(), values.end(), *value); };
  switch (op) {
    case SelectorOperator::In: return value && listed();
    case SelectorOperator::NotIn: return !value || !listed();
    case SelectorOperator::Exists: return value != nullptr;
    case SelectorOperator::DoesNotExist: return value == nullptr;
    case SelectorOperator::Gt:
    case SelectorOperator::Lt: {
      if (!value || values.size() != 1) return false;
      auto have = whole_number(*value), bound = whole_number(values[0]);
      if (!have || !bound) return false;
      return op == SelectorOperator::Gt ? *have > *bound : *have < *bound;
    }
  }
  return false;
}

Selector Selector::nothing() {
  Selector selector;
  selector.nothing_ = true;
  return selector;
}

Selector Selector::from_labels(const Labels& labels) {
  Selector selector;
  for (const auto& [key, value] : labels) selector.add({key, SelectorOperator::In, {value}});
  return selector;
}

bool Selector::matches(const Labels& labels) const {
  if (nothing_) return false;
  return std::all_of(requirements_.begin(), requirements_.end(), [&](const Requirement& each) { return each.matches(labels); });
}

std::optional<std::string> requirement_error(const Requirement& requirement) {
  std::string about = "\"" + requirement.key + "\" " + std::string(operator_name(requirement.op));
  if (!valid_label_key(requirement.key)) return "key: \"" + requirement.key + "\" is no label key";
  for (const std::string& value : requirement.values) {
    if (!valid_label_value(value)) return about + ": \"" + value + "\" is no label value";
  }
  switch (requirement.op) {
    case SelectorOperator::In:
    case SelectorOperator::NotIn:
      if (requirement.values.empty()) return about + ": values must not be empty";
      break;
    case SelectorOperator::Exists:
    case SelectorOperator::DoesNotExist:
      if (!requirement.values.empty()) return about + ": values must be empty";
      break;
    case SelectorOperator::Gt:
    case SelectorOperator::Lt:
      if (requirement.values.size() != 1 || !whole_number(requirement.values[0])) return about + ": needs one whole number";
      break;
  }
  return std::nullopt;
}

Result<Selector> read_label_selector(const Json& object) {
  if (object.is_null()) return Selector::nothing();
  if (!object.is_object()) return Error{Code::Invalid, "must be an object with matchLabels or matchExpressions"};
  auto labels = TRY(read_labels(object["matchLabels"]).context("matchLabels"));
  for (const auto& [key, value] : labels) {
    if (auto why = requirement_error({key, SelectorOperator::In, {value}})) return Error{Code::Invalid, "matchLabels: " + *why};
  }
  Selector selector = Selector::from_labels(labels);
  size_t index = 0;
  for (const Json& item : object["matchExpressions"].items()) {
    selector.add(TRY(read_requirement(item).context("matchExpressions[" + std::to_string(index++) + "]")));
  }
  return selector;
}

Result<Selector> parse_selector(std::string_view text) {
  Selector selector;
  if (trim(text).empty()) return selector;
  for (std::string_view part : split_requirements(text)) {
    selector.add(TRY(parse_requirement(part).context("selector \"" + std::string(text) + "\"")));
  }
  return selector;
}

}  // namespace archway::kube
