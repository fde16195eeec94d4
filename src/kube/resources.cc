#include "kube/resources.h"

#include <algorithm>

#include "format/json.h"

namespace archway::kube {

namespace {

auto lower_bound(auto& entries, std::string_view name) {
  return std::lower_bound(entries.begin(), entries.end(), name, [](const auto& entry, std::string_view key) { return entry.first < key; });
}

}  // namespace

const Nanos* ResourceList::find(std::string_view name) const {
  auto at = lower_bound(entries_, name);
  return at != entries_.end() && at->first == name ? &at->second : nullptr;
}

void ResourceList::set(std::string_view name, Nanos amount) {
  auto at = lower_bound(entries_, name);
  if (at != entries_.end() && at->first == name) {
    at->second = amount;
  } else {
    entries_.insert(at, {std::string(name), amount});
  }
}

void ResourceList::add(const ResourceList& other) {
  for (const auto& [name, amount] : other) {
    const Nanos* have = find(name);
    set(name, have ? *have + amount : amount);
  }
}

void ResourceList::raise_to(const ResourceList& other) {
  for (const auto& [name, amount] : other) {
    const Nanos* have = find(name);
    if (!have || *have < amount) set(name, amount);
  }
}

Result<ResourceList> read_resources(const Json& object) {
  ResourceList list;
  if (!object.is_null() && !object.is_object()) return Error{Code::Invalid, "must be a map of quantities"};
  for (const JsonMember& member : object.members()) {
    // The API takes bare numbers too; their text is the quantity.
    std::string text = member.value.is_string() ? member.value.string() : to_json(member.value);
    auto quantity = TRY(Quantity::parse(text).context(member.key));
    list.set(member.key, quantity.nanos());
  }
  return list;
}

int64_t Resources::scalar(std::string_view name) const {
  auto at = lower_bound(scalars, name);
  return at != scalars.end() && at->first == name ? at->second : 0;
}

bool Resources::has_scalar(std::string_view name) const {
  auto at = lower_bound(scalars, name);
  return at != scalars.end() && at->first == name;
}

void Resources::add(const Resources& other, int64_t sign) {
  milli_cpu += sign * other.milli_cpu;
  memory += sign * other.memory;
  ephemeral_storage += sign * other.ephemeral_storage;
  for (const auto& [name, amount] : other.scalars) {
    auto at = lower_bound(scalars, name);
    if (at == scalars.end() || at->first != name) at = scalars.insert(at, {name, 0});
    at->second += sign * amount;
  }
}

bool is_scalar_resource(std::string_view name) {
  if (name.starts_with("hugepages-") || name.starts_with("attachable-volumes-")) return true;
  if (name.find("kubernetes.io/") != std::string_view::npos) return true;
  return name.find('/') != std::string_view::npos && !name.starts_with("requests.");
}

Resources to_resources(const ResourceList& list) {
  Resources resources;
  for (const auto& [name, amount] : list) {
    if (name == "cpu") {
      resources.milli_cpu = milli_units(amount);
    } else if (name == "memory") {
      resources.memory = whole_units(amount);
    } else if (name == "ephemeral-storage") {
      resources.ephemeral_storage = whole_units(amount);
    } else if (name == "pods") {
      resources.pods = whole_units(amount);
    } else if (is_scalar_resource(name)) {
      resources.scalars.emplace_back(name, whole_units(amount));
    }
  }
  return resources;
}

}  // namespace archway::kube
