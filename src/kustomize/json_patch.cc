#include "kustomize/json_patch.h"

#include <optional>
#include <span>
#include <string>

#include "base/text.h"
#include "kustomize/strategic_merge.h"

namespace archway::kustomize {

namespace {

using Steps = std::span<const std::string>;

constexpr size_t kMaxCompared = 100'000;  // values that "test" looks at

Error invalid(std::string what) { return {Code::Invalid, std::move(what)}; }

// RFC 6901. "" is the whole object.
Result<std::vector<std::string>> steps_of(std::string_view pointer) {
  std::vector<std::string> steps;
  if (pointer.empty()) return steps;
  if (pointer[0] != '/') return invalid("the path \"" + std::string(pointer) + "\" does not begin with a slash");
  for (std::string& step : split(pointer.substr(1), '/')) steps.push_back(replace_all(replace_all(std::move(step), "~1", "/"), "~0", "~"));
  return steps;
}

class Patcher {
 public:
  explicit Patcher(Trees& trees) : trees_(trees) {}

  Result<const Value*> apply(const Value& object, const Value& operation) {
    std::string_view op = operation["op"].scalar();
    std::vector<std::string> path = TRY(steps_of(operation["path"].scalar()));
    const Value* value = operation.find("value");
    if (op == "remove") return change(&object, path, Change::Remove, nullptr);
    if (op == "test") return test(object, path, value);
    if (op == "move" || op == "copy") return transfer(object, path, TRY(steps_of(operation["from"].scalar())), op == "move");
    if (op != "add" && op != "replace") return invalid("unknown operation \"" + std::string(op) + "\"");
    // No value is null, for kustomize.
    return change(&object, path, op == "add" ? Change::Add : Change::Replace, value ? value : &nothing());
  }

 private:
  enum class Change { Add, Remove, Replace };

  static const Value& nothing() {
    static const Value null;
    return null;
  }

  // What is not there is null.
  Result<const Value*> test(const Value& object, Steps path, const Value* value) {
    auto found = look(&object, path);
    if (!found.ok() && value && !value->is_null()) return found;
    if (json_of_value(found.ok() ? **found : nothing(), kMaxCompared) == json_of_value(value ? *value : nothing(), kMaxCompared)) return &object;
    return invalid("another value is there");
  }

  Result<const Value*> transfer(const Value& object, Steps path, Steps from, bool move) {
    auto found = look(&object, from);
    // A member that is not there is copied as null.
    bool absent = !found.ok() && !move && !from.empty();
    if (absent) {
      const Value* parent = TRY(look(&object, from.first(from.size() - 1)));
      absent = parent->is_mapping();
    }
    if (!found.ok() && !absent) return found;
    const Value* value = absent ? &nothing() : *found;
    const Value* base = &object;
    if (move) base = TRY(change(base, from, Change::Remove, nullptr));
    return change(base, path, Change::Add, value);
  }

  // Of a list's item. `add`: where it is inserted, "-" behind the last.
  static Result<size_t> index_of(const std::string& step, size_t size, bool add) {
    if (add && step == "-") return size;
    auto number = parse_int(step);
    if (!number) return invalid("\"" + step + "\" is no index of a list");
    int64_t count = static_cast<int64_t>(size) + (add ? 1 : 0);
    int64_t index = *number < 0 ? *number + count : *number;
    if (index < 0 || index >= count) return Error{Code::NotFound, "the list has " + std::to_string(size) + " items, and no index " + step};
    return static_cast<size_t>(index);
  }

  Result<const Value*> look(const Value* at, Steps path) {
    for (const std::string& step : path) {
      const Value* next = at->is_mapping() ? at->find(step) : nullptr;
      if (at->is_sequence()) {
        std::vector<const Value*> items = Trees::items(*at);
        next = items[TRY(index_of(step, items.size(), false))];
      }
      if (!next) return Error{Code::NotFound, "there is no \"" + step + "\""};
      at = next;
    }
    return at;
  }

  // Depth is bound by the path, which was a text.
  Result<const Value*> change(const Value* at, Steps path, Change how, const Value* value) {
    if (path.empty()) {
      if (how == Change::Remove) return invalid("the whole object cannot be removed");
      return value;
    }
    if (!trees_.spend()) return invalid("too many values");
    if (at->is_sequence()) return change_item(*at, path, how, value);
    if (!at->is_mapping()) return Error{Code::NotFound, "there is no \"" + path[0] + "\""};
    return change_member(*at, path, how, value);
  }

  Result<const Value*> change_item(const Value& at, Steps path, Change how, const Value* value) {
    std::vector<const Value*> items = Trees::items(at);
    bool insert = path.size() == 1 && how == Change::Add;
    size_t index = TRY(index_of(path[0], items.size(), insert));
    auto place = items.begin() + static_cast<ptrdiff_t>(index);
    if (insert) {
      items.insert(place, value);
    } else if (path.size() == 1 && how == Change::Remove) {
      items.erase(place);
    } else {
      *place = TRY(change(*place, path.subspan(1), how, value));
    }
    return trees_.sequence(&at, items);
  }

  Result<const Value*> change_member(const Value& at, Steps path, Change how, const Value* value) {
    const std::string& name = path[0];
    const Value* old = at.find(name);
    bool last = path.size() == 1;
    if (!old && (!last || how == Change::Remove)) return Error{Code::NotFound, "there is no \"" + name + "\""};
    const Value* made = nullptr;
    if (!last) {
      made = TRY(change(old, path.subspan(1), how, value));
    } else if (how != Change::Remove) {
      made = value;
    }
    // A member that comes from the patch stands there as a whole, its key too.
    const Value* base = last && made && old ? trees_.with(at, name, nullptr) : &at;
    const Value* changed = trees_.with(*base, name, made);
    return is_placement_member(name) ? trees_.blurred(*changed) : changed;
  }

  Trees& trees_;
};

}  // namespace

bool is_json_patch(const Value& patch) { return patch.is_sequence() || (patch.is_mapping() && patch.find("op") && patch.find("path")); }

Result<const Value*> json_patch(const Value& object, const Value& patch, Trees& trees) {
  trees.begin_change();
  Patcher patcher(trees);
  const Value* made = &object;
  for (const Value* operation : Trees::items(patch)) {
    auto next = patcher.apply(*made, *operation);
    if (!next.ok()) {
      std::string what = std::string((*operation)["op"].scalar()) + " " + std::string((*operation)["path"].scalar());
      return std::move(next).error().within(what);
    }
    made = *next;
  }
  return made;
}

}  // namespace archway::kustomize
