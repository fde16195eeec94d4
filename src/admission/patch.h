#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

#include "format/json.h"

// JSON Patch (RFC 6902): making small ones, and applying any.
namespace archway::admission {

// "~" and "/" as a JSON Pointer writes them (RFC 6901, section 3).
std::string pointer_token(std::string_view name);
// The value at a pointer, or null.
const Json* value_at(const Json& document, std::string_view pointer);

// A list of operations that only add, and what the document is like after them.
class PatchWriter {
 public:
  // Adds `value` as the member that `path` names, seen from `at` (which stands at `pointer` of the document, and is changed likewise).
  // Parents that are missing, or null, come with it, in the same operation.
  void put(Json& at, const std::string& pointer, std::initializer_list<std::string_view> path, Json value);
  // Adds an item behind the others of the list at `path`; the list is made where it is missing.
  void append(Json& at, const std::string& pointer, std::initializer_list<std::string_view> path, Json item);

  bool empty() const { return operations_.items().empty(); }
  const Json& operations() const { return operations_; }
  Json take() && { return std::move(operations_); }

 private:
  void add(std::string pointer, Json value);
  Json operations_ = Json::array();
};

inline constexpr size_t kMaxPatchOperations = 100'000;
// The document after all operations (add, remove, replace, move, copy, test). Invalid names the operation that does not apply.
Result<Json> apply_patch(Json document, const Json& operations);

}  // namespace archway::admission
