#include "admission/patch.h"

#include <optional>

#include "base/text.h"

namespace archway::admission {

namespace {

Result<std::string> read_token(std::string_view text) {
  std::string token;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '~') {
      token += text[i];
      continue;
    }
    char next = i + 1 < text.size() ? text[++i] : ' ';
    if (next != '0' && next != '1') return Error{Code::Invalid, "\"" + std::string(text) + "\" is no part of a JSON pointer"};
    token += next == '0' ? '~' : '/';
  }
  return token;
}

Result<std::vector<std::string>> read_pointer(std::string_view pointer) {
  std::vector<std::string> tokens;
  if (pointer.empty()) return tokens;
  if (pointer[0] != '/') return Error{Code::Invalid, "\"" + std::string(pointer) + "\" is no JSON pointer: it does not begin with /"};
  for (const std::string& part : split(pointer.substr(1), '/')) tokens.push_back(TRY(read_token(part)));
  return tokens;
}

// RFC 6901, section 4: digits without leading zeros.
std::optional<size_t> read_index(std::string_view token, size_t limit) {
  if (token.empty() || (token.size() > 1 && token[0] == '0')) return std::nullopt;
  auto number = parse_uint(token);
  if (!number || *number >= limit) return std::nullopt;
  return static_cast<size_t>(*number);
}

Json* step(Json& at, const std::string& token) {
  if (at.is_object()) return at.find(token);
  if (!at.is_array()) return nullptr;
  auto index = read_index(token, at.size());
  return index ? &at.mutable_items()[*index] : nullptr;
}

Json* walk(Json& document, const std::vector<std::string>& tokens, size_t count) {
  Json* at = &document;
  for (size_t i = 0; at && i < count; ++i) at = step(*at, tokens[i]);
  return at;
}

Error no_such_place(const Json& path) { return {Code::Invalid, "there is no " + path.string()}; }

Result<void> add_at(Json& document, const Json& path, Json value) {
  std::vector<std::string> tokens = TRY(read_pointer(path.string()));
  if (tokens.empty()) {
    document = std::move(value);
    return {};
  }
  Json* parent = walk(document, tokens, tokens.size() - 1);
  if (!parent) return no_such_place(path);
  if (parent->is_object()) {
    parent->set(tokens.back(), std::move(value));
    return {};
  }
  if (!parent->is_array()) return no_such_place(path);
  Json::Array& items = parent->mutable_items();
  auto index = tokens.back() == "-" ? std::optional<size_t>(items.size()) : read_index(tokens.back(), items.size() + 1);
  if (!index) return no_such_place(path);
  items.insert(items.begin() + static_cast<std::ptrdiff_t>(*index), std::move(value));
  return {};
}

Result<Json> remove_at(Json& document, const Json& path) {
  std::vector<std::string> tokens = TRY(read_pointer(path.string()));
  Json* found = walk(document, tokens, tokens.size());
  if (!found || tokens.empty()) return no_such_place(path);
  Json value = std::move(*found);
  Json* parent = walk(document, tokens, tokens.size() - 1);
  if (parent->is_object()) {
    parent->erase(tokens.back());
  } else {
    Json::Array& items = parent->mutable_items();
    items.erase(items.begin() + (found - items.data()));
  }
  return value;
}

Result<Json> copy_of(Json& document, const Json& path) {
  std::vector<std::string> tokens = TRY(read_pointer(path.string()));
  Json* found = walk(document, tokens, tokens.size());
  if (!found) return no_such_place(path);
  return *found;
}

Result<void> apply_one(Json& document, const Json& operation) {
  const std::string& op = operation["op"].string();
  const Json& path = operation["path"];
  if (!path.is_string()) return Error{Code::Invalid, "it has no path"};
  bool takes_value = op == "add" || op == "replace" || op == "test";
  if (takes_value && !operation.has("value")) return Error{Code::Invalid, op + " has no value"};
  if (op == "add") return add_at(document, path, operation["value"]);
  if (op == "remove" || op == "replace") {
    if (op == "replace" && path.string().empty()) return add_at(document, path, operation["value"]);
    TRY(remove_at(document, path));
    if (op == "replace") return add_at(document, path, operation["value"]);
    return {};
  }
  if (op == "test") {
    Json value = TRY(copy_of(document, path));
    if (!(value == operation["value"])) return Error{Code::Invalid, path.string() + " has another value"};
    return {};
  }
  if (op == "copy" || op == "move") {
    if (!operation["from"].is_string()) return Error{Code::Invalid, op + " has no from"};
    // A place cannot be moved into itself (section 4.4).
    if (op == "move" && path.string().starts_with(operation["from"].string() + "/")) return Error{Code::Invalid, "it moves a value into itself"};
    Json value = op == "copy" ? TRY(copy_of(document, operation["from"])) : TRY(remove_at(document, operation["from"]));
    return add_at(document, path, std::move(value));
  }
  return Error{Code::Invalid, "\"" + op + "\" is no operation"};
}

}  // namespace

std::string pointer_token(std::string_view name) {
  std::string token;
  for (char c : name) {
    if (c == '~') {
      token += "~0";
    } else if (c == '/') {
      token += "~1";
    } else {
      token += c;
    }
  }
  return token;
}

const Json* value_at(const Json& document, std::string_view pointer) {
  auto tokens = read_pointer(pointer);
  if (!tokens.ok()) return nullptr;
  return walk(const_cast<Json&>(document), *tokens, tokens->size());
}

void PatchWriter::add(std::string pointer, Json value) {
  Json operation = Json::object();
  operation.mutable_members().reserve(3);
  operation.set("op", "add");
  operation.set("path", std::move(pointer));
  operation.set("value", std::move(value));
  operations_.push(std::move(operation));
}

void PatchWriter::put(Json& at, const std::string& pointer, std::initializer_list<std::string_view> path, Json value) {
  Json* place = &at;
  std::string place_pointer = pointer;
  const std::string_view* token = path.begin();
  for (; token + 1 != path.end(); ++token) {
    Json* child = place->find(*token);
    if (!child || !child->is_object()) break;
    place = child;
    place_pointer += "/" + pointer_token(*token);
  }
  for (const std::string_view* inner = path.end(); --inner != token;) {
    Json parent = Json::object();
    parent.set(*inner, std::move(value));
    value = std::move(parent);
  }
  place->set(*token, value);
  add(place_pointer + "/" + pointer_token(*token), std::move(value));
}

void PatchWriter::append(Json& at, const std::string& pointer, std::initializer_list<std::string_view> path, Json item) {
  Json* place = &at;
  std::string place_pointer = pointer;
  for (std::string_view token : path) {
    place = place->find(token);
    if (!place) break;
    place_pointer += "/" + pointer_token(token);
  }
  if (!place || !place->is_array()) {
    Json list = Json::array();
    list.push(std::move(item));
    return put(at, pointer, path, std::move(list));
  }
  place->push(item);
  add(place_pointer + "/-", std::move(item));
}

Result<Json> apply_patch(Json document, const Json& operations) {
  if (!operations.is_array()) return Error{Code::Invalid, "a JSON patch is a list of operations"};
  if (operations.size() > kMaxPatchOperations) return Error{Code::Invalid, "a JSON patch of more than " + std::to_string(kMaxPatchOperations) + " operations"};
  size_t index = 0;
  for (const Json& operation : operations.items()) TRY(apply_one(document, operation).context("operation " + std::to_string(index++)));
  return document;
}

}  // namespace archway::admission
