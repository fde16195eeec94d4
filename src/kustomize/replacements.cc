#include "kustomize/replacements.h"

#include <algorithm>
#include <functional>
#include <optional>
#include <span>

#include "base/text.h"
#include "kustomize/transformers.h"

namespace archway::kustomize {

namespace {

using Steps = std::span<const std::string>;

constexpr std::string_view kDefaultPath = "metadata.name";
constexpr size_t kMaxExpandedBytes = 1 << 20;

Error invalid(std::string what) { return {Code::Invalid, std::move(what)}; }

// "[name=web]": the items whose member is that; "[=x]": items that are x themselves.
struct ItemMatch {
  std::string member;
  Pattern value;
};
std::optional<ItemMatch> item_match(const std::string& step) {
  size_t equals = step.find('=');
  if (!step.starts_with('[') || !step.ends_with(']') || equals == step.npos) return std::nullopt;
  // Anywhere in the text, as kustomize has it.
  auto pattern = Pattern::parse("(?s:.*)(?:" + step.substr(equals + 1, step.size() - equals - 2) + ")(?s:.*)");
  if (!pattern.ok()) return std::nullopt;
  return ItemMatch{step.substr(1, equals - 1), std::move(*pattern)};
}

bool matches(const Value& item, const ItemMatch& match) {
  if (match.member.empty()) return item.is_scalar() && match.value.matches(item.scalar());
  const Value* member = item.find(match.member);
  return member && match.value.matches(member->scalar());
}

const Value* look(const Value* at, Steps path) {
  for (const std::string& step : path) {
    if (at->is_mapping()) {
      at = at->find(step);
    } else if (at->is_sequence()) {
      std::vector<const Value*> items = Trees::items(*at);
      auto index = parse_uint(step);
      auto match = item_match(step);
      auto found = items.end();
      if (match) found = std::find_if(items.begin(), items.end(), [&](const Value* item) { return matches(*item, *match); });
      if (index && *index < items.size()) found = items.begin() + static_cast<ptrdiff_t>(*index);
      at = found == items.end() ? nullptr : *found;
    } else {
      at = nullptr;
    }
    if (!at) return nullptr;
  }
  return at;
}

// What is to be written, and how it is joined with what is there.
class Writer {
 public:
  Writer(const Value& value, const Value& options, Trees& trees)
      : value_(value), trees_(trees), delimiter_(options["delimiter"].scalar()), index_(parse_int(options["index"].scalar()).value_or(0)), create_(options["create"].scalar() == "true") {}

  size_t written = 0;

  // Null where nothing changes.
  Result<const Value*> at(const Value& here, Steps path, size_t depth = 0) {
    if (depth > kMaxDepthMet || !trees_.spend()) return invalid("too many values");
    if (path.empty()) return put(here);
    if (here.is_sequence()) return items(here, path, depth);
    if (!here.is_mapping()) return nullptr;
    const Value* member = here.find(path[0]);
    if (!member && !create_) return nullptr;
    const Value* made = nullptr;
    if (member) {
      made = TRY(at(*member, path.subspan(1), depth + 1));
    } else {
      made = TRY(created(path.subspan(1), depth + 1));
    }
    return made ? trees_.with(here, path[0], made) : nullptr;
  }

 private:
  Result<const Value*> items(const Value& here, Steps path, size_t depth) {
    std::vector<const Value*> all = Trees::items(here);
    auto index = parse_uint(path[0]);
    auto match = item_match(path[0]);
    bool changed = false;
    for (size_t i = 0; i < all.size(); ++i) {
      bool chosen = path[0] == "*" || (index && *index == i) || (match && matches(*all[i], *match));
      if (!chosen) continue;
      const Value* made = TRY(at(*all[i], path.subspan(1), depth + 1));
      if (made) all[i] = made, changed = true;
    }
    return changed ? trees_.sequence(&here, all) : nullptr;
  }

  Result<const Value*> created(Steps path, size_t depth) {
    if (depth > kMaxDepthMet) return invalid("nested too deeply");
    if (path.empty()) {
      ++written;
      return &value_;
    }
    const Value* inner = TRY(created(path.subspan(1), depth + 1));
    if (path[0].starts_with('[') || path[0] == "*" || parse_uint(path[0])) return nullptr;
    return inner ? trees_.mapping(nullptr, {{trees_.string(path[0], nullptr), inner}}) : nullptr;
  }

  Result<const Value*> put(const Value& here) {
    ++written;
    if (!here.is_scalar()) return &value_;
    if (!value_.is_scalar()) return invalid("a value that is no text cannot take a text's place");
    if (delimiter_.empty()) return trees_.string(value_.scalar(), value_.line ? &value_.followed() : nullptr);
    std::vector<std::string> parts = split_by(here.scalar());
    std::string text(value_.scalar());
    if (index_ < 0) {
      parts.insert(parts.begin(), text);
    } else if (index_ >= static_cast<int64_t>(parts.size())) {
      parts.push_back(text);
    } else {
      parts[static_cast<size_t>(index_)] = text;
    }
    // Half of it stands here, half there.
    return trees_.blurred(*trees_.string(join(parts, delimiter_), &here.followed()));
  }

  std::vector<std::string> split_by(std::string_view text) const {
    std::vector<std::string> parts;
    for (size_t at = text.find(delimiter_); at != text.npos; at = text.find(delimiter_)) {
      parts.emplace_back(text.substr(0, at));
      text.remove_prefix(at + delimiter_.size());
    }
    parts.emplace_back(text);
    return parts;
  }

  const Value& value_;
  Trees& trees_;
  std::string delimiter_;
  int64_t index_;
  bool create_;
};

// Without regular expressions: what is given must be equal.
bool selects_exactly(const Value& selector, const ObjectId& id) {
  auto same = [&](std::string_view key, std::string_view have) { return selector[key].scalar().empty() || selector[key].scalar() == have; };
  ObjectId wanted = id;
  wanted.name_space = std::string(selector["namespace"].scalar());
  bool space = selector["namespace"].scalar().empty() || wanted.effective_namespace() == id.effective_namespace();
  return space && same("group", id.group) && same("version", id.version) && same("kind", id.kind) && same("name", id.name);
}

template <class F>
bool any_id(const Resource& resource, const F& test) {
  return test(resource.now) || std::any_of(resource.previous.begin(), resource.previous.end(), test);
}

Result<const Value*> source_value(const Value& replacement, const std::vector<Resource>& resources, Trees& trees) {
  if (const Value* constant = replacement.find("sourceValue")) return constant;
  const Value& source = replacement["source"];
  const Resource* found = nullptr;
  for (const Resource& resource : resources) {
    if (!any_id(resource, [&](const ObjectId& id) { return selects_exactly(source, id); })) continue;
    if (found) return invalid("the source selects " + found->now.str() + " and " + resource.now.str());
    found = &resource;
  }
  if (!found) return Error{Code::NotFound, "the source " + std::string(source["kind"].scalar()) + " " + std::string(source["name"].scalar()) + " is not there"};
  std::string_view path = source["fieldPath"].scalar();
  const Value* value = look(found->object, split_field_path(path.empty() ? kDefaultPath : path));
  if (!value || value->is_null()) return Error{Code::NotFound, "the source " + found->now.str() + " has no " + std::string(path)};
  const Value& options = source["options"];
  std::string_view delimiter = options["delimiter"].scalar();
  if (delimiter.empty()) return value;
  std::string_view rest = value->scalar();
  for (int64_t i = parse_int(options["index"].scalar()).value_or(0); i > 0; --i) {
    size_t at = rest.find(delimiter);
    if (at == rest.npos) return invalid("the source has not so many parts");
    rest.remove_prefix(at + delimiter.size());
  }
  return trees.blurred(*trees.string(rest.substr(0, rest.find(delimiter)), &value->followed()));
}

Result<void> write_to(const Value& target, const Value& value, std::vector<Resource>& resources, Trees& trees) {
  Target select = TRY(Target::read(target["select"]));
  std::vector<Target> rejects;
  for (const Value* each : Trees::items(target["reject"])) rejects.push_back(TRY(Target::read(*each)));
  std::vector<std::vector<std::string>> paths;
  for (const Value* each : Trees::items(target["fieldPaths"])) paths.push_back(split_field_path(each->scalar()));
  if (paths.empty()) paths.push_back(split_field_path(kDefaultPath));
  for (Resource& resource : resources) {
    if (!select.matches_labels(*resource.object) || !any_id(resource, [&](const ObjectId& id) { return select.matches_id(id); })) continue;
    bool rejected = std::any_of(rejects.begin(), rejects.end(), [&](const Target& reject) {
      bool by_id = reject.names_id() && any_id(resource, [&](const ObjectId& id) { return reject.matches_id(id); });
      return by_id || (!reject.names_id() && reject.matches_labels(*resource.object));
    });
    if (rejected) continue;
    for (const std::vector<std::string>& path : paths) {
      trees.begin_change();
      Writer writer(value, target["options"], trees);
      const Value* made = TRY(writer.at(*resource.object, path));
      if (writer.written == 0) return Error{Code::NotFound, resource.now.str() + " has no " + join(path, ".")};
      if (made) resource.set(made);
    }
  }
  return {};
}

std::string expanded(std::string_view text, const std::vector<Variable>& variables) {
  std::string out;
  for (size_t at = 0; at < text.size() && out.size() < kMaxExpandedBytes;) {
    size_t close = text.substr(at).starts_with("$(") ? text.find(')', at) : text.npos;
    auto found = variables.end();
    if (close != text.npos) {
      std::string_view name = text.substr(at + 2, close - at - 2);
      found = std::find_if(variables.begin(), variables.end(), [&](const Variable& each) { return each.name == name; });
    }
    if (found == variables.end()) {
      out += text[at++];
    } else {
      out += found->value;
      at = close + 1;
    }
  }
  return out;
}

}  // namespace

std::vector<std::string> split_field_path(std::string_view path) {
  std::vector<std::string> steps;
  std::string step;
  bool bracket = false;
  if (path.starts_with('.')) path.remove_prefix(1);
  auto finish = [&] {
    bool key = step.size() > 1 && step.front() == '[' && step.back() == ']' && step.find('=') == step.npos;
    steps.push_back(key ? step.substr(1, step.size() - 2) : step);
    step.clear();
  };
  for (size_t i = 0; i < path.size(); ++i) {
    char c = path[i];
    if (c == '\\' && i + 1 < path.size() && path[i + 1] == '.') {
      step += '.';
      ++i;
      continue;
    }
    if (c == '[' && step.empty()) bracket = true;
    if (c == ']' && (i + 1 == path.size() || path[i + 1] == '.')) bracket = false;
    if (c == '.' && !bracket) {
      finish();
      continue;
    }
    step += c;
  }
  finish();
  return steps;
}

Result<void> replace_fields(const Value& replacement, std::vector<Resource>& resources, Trees& trees) {
  const Value* value = TRY(source_value(replacement, resources, trees));
  std::vector<Resource> changed = resources;
  for (const Value* target : Trees::items(replacement["targets"])) TRY(write_to(*target, *value, changed, trees));
  resources = std::move(changed);
  return {};
}

Result<Variable> read_variable(const Value& entry, const std::vector<Resource>& resources) {
  Variable variable;
  variable.name = std::string(entry["name"].scalar());
  const Value& wanted = entry["objref"];
  std::string_view version = wanted["apiVersion"].scalar();
  for (const Resource& resource : resources) {
    bool named = any_id(resource, [&](const ObjectId& id) {
      bool space = wanted["namespace"].scalar().empty() || wanted["namespace"].scalar() == id.name_space;
      return space && id.kind == wanted["kind"].scalar() && id.name == wanted["name"].scalar() && (version.empty() || version == id.api_version());
    });
    if (!named) continue;
    std::string_view path = entry["fieldref"]["fieldpath"].scalar();
    if (path.empty()) path = entry["fieldref"]["fieldPath"].scalar();
    // Indexes are written as in a program: containers[0].image.
    std::string plain = replace_all(replace_all(std::string(path.empty() ? kDefaultPath : path), "[", "."), "]", "");
    const Value* value = look(resource.object, split_field_path(plain));
    if (!value || !value->is_scalar()) return Error{Code::NotFound, "the variable " + variable.name + ": " + resource.now.str() + " has no " + std::string(path)};
    variable.value = std::string(value->scalar());
    return variable;
  }
  return Error{Code::NotFound, "the variable " + variable.name + ": its object is not there"};
}

void expand_variables(const std::vector<Variable>& variables, const std::vector<FieldSpec>& fields, std::vector<Resource>& resources, Trees& trees) {
  if (variables.empty()) return;
  std::vector<FieldSpec> all = fields;
  for (std::string_view spec : {"spec/", "spec/template/spec/", "spec/jobTemplate/spec/template/spec/"}) {
    for (std::string_view list : {"containers", "initContainers"}) {
      for (std::string_view field : {"/args", "/command", "/env/value"}) all.push_back({"", "", "", std::string(spec) + std::string(list) + std::string(field)});
    }
  }
  for (Resource& resource : resources) {
    for (const FieldSpec& field : all) {
      if (!field.selects(resource.now)) continue;
      trees.begin_change();
      const Value* made = change_field(*resource.object, field.path, trees, [&](const Value& at) -> const Value* {
        if (!at.is_scalar() || at.scalar().find("$(") == std::string_view::npos) return nullptr;
        std::string text = expanded(at.scalar(), variables);
        return text == at.scalar() ? nullptr : trees.blurred(*trees.string(text, &at.followed()));
      });
      if (made) resource.set(made);
    }
  }
}

}  // namespace archway::kustomize
