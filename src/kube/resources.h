#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kube/quantity.h"

namespace archway { class Json; }

namespace archway::kube {

// Amounts by resource name, sorted by name. What is missing is different from what is zero.
class ResourceList {
 public:
  using Entry = std::pair<std::string, Nanos>;
  const Nanos* find(std::string_view name) const;
  void set(std::string_view name, Nanos amount);
  void add(const ResourceList& other);
  void raise_to(const ResourceList& other);  // the larger of both, per name
  bool empty() const { return entries_.empty(); }
  auto begin() const { return entries_.begin(); }
  auto end() const { return entries_.end(); }
  bool operator==(const ResourceList&) const = default;

 private:
  std::vector<Entry> entries_;
};

Result<ResourceList> read_resources(const Json& object);

// What the scheduler counts: cpu in thousandths, all else in whole units, and of the rest only extended
// resources, huge pages and attachable volumes.
struct Resources {
  int64_t milli_cpu = 0, memory = 0, ephemeral_storage = 0, pods = 0;
  std::vector<std::pair<std::string, int64_t>> scalars;  // sorted by name

  int64_t scalar(std::string_view name) const;
  bool has_scalar(std::string_view name) const;
  void add(const Resources& other, int64_t sign);  // all but pods
  bool operator==(const Resources&) const = default;
};
Resources to_resources(const ResourceList& list);
bool is_scalar_resource(std::string_view name);

}  // namespace archway::kube
