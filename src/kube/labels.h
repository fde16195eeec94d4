#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "format/json.h"

namespace archway::kube {

// Labels of an object, sorted by key, one value per key.
class Labels {
 public:
  using Entry = std::pair<std::string, std::string>;
  Labels() = default;
  explicit Labels(std::vector<Entry> entries);  // sorts; of equal keys the last counts

  const std::string* find(std::string_view key) const;  // null where absent
  void set(std::string_view key, std::string_view value);
  void erase(std::string_view key);
  bool empty() const { return entries_.empty(); }
  size_t size() const { return entries_.size(); }
  auto begin() const { return entries_.begin(); }
  auto end() const { return entries_.end(); }
  bool operator==(const Labels&) const = default;

 private:
  std::vector<Entry> entries_;
};

// The string members of an object; null is no labels. Invalid names the key whose value is no string.
Result<Labels> read_labels(const Json& object);

// Rules of the API for a value (63 characters, letters, digits and -_. inside) and for a key ([DNS name/]name).
bool valid_label_value(std::string_view value);
bool valid_label_key(std::string_view key);

}  // namespace archway::kube
