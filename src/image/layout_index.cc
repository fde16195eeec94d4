#include "image/layout_index.h"

#include <fcntl.h>
#include <sys/file.h>

#include <algorithm>
#include <cerrno>

#include "base/fd.h"
#include "base/text.h"

namespace archway {

namespace {

Result<Json> parse_index_json(std::string_view raw) {
  Json json = TRY(parse_json(raw).context("reading index.json"));
  const Json& manifests = json["manifests"];
  if (!json.is_object() || json["schemaVersion"].integer() != 2 || (!manifests.is_array() && !manifests.is_null())) {
    return Error{Code::Invalid, "index.json is not the index of an OCI image layout"};
  }
  return json;
}

bool replaces(const Descriptor& entry, const Descriptor& old) {
  std::string full = entry.annotation(kContainerdName), old_full = old.annotation(kContainerdName);
  if (!full.empty() && !old_full.empty()) return full == old_full;
  std::string name = entry.annotation(kRefName), old_name = old.annotation(kRefName);
  if (name == old_name) return !name.empty() || entry.digest == old.digest;
  return old_name.empty() && old_full.empty() && entry.digest == old.digest;  // it has a name now
}

std::string names_of(const std::vector<Descriptor>& entries) {
  constexpr size_t kMostNames = 10;
  std::vector<std::string> names;
  for (const Descriptor& entry : entries) {
    std::string name = entry.annotation(kRefName);
    if (name.empty()) name = entry.digest.str();
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(std::move(name));
  }
  size_t all = names.size();
  names.resize(std::min(all, kMostNames));
  return join(names, ", ") + (all > kMostNames ? ", ..." : "");
}

Result<Fd> lock_folder(const std::string& root) {
  // The folder itself is what is locked: nothing is left behind, and the lock ends with its holder.
  Fd folder = TRY(open_file(root, O_RDONLY | O_DIRECTORY));
  while (::flock(folder.get(), LOCK_EX) != 0) {
    if (errno != EINTR) return errno_error("locking " + root);
  }
  return folder;
}

}  // namespace

Result<std::vector<Descriptor>> parse_layout_index(std::string_view raw) {
  Json json = TRY(parse_index_json(raw));
  std::vector<Descriptor> entries;
  for (const Json& item : json["manifests"].items()) entries.push_back(TRY(parse_descriptor(item).context("reading index.json")));
  return entries;
}

Descriptor layout_entry(const Descriptor& root, std::string_view name) {
  Descriptor entry = root;
  std::erase_if(entry.annotations, [](const auto& a) { return a.first == kRefName || a.first == kContainerdName; });
  if (!name.empty()) entry.annotations.emplace_back(kRefName, name);
  return entry;
}

Descriptor layout_entry(const Descriptor& root, const Reference& name) {
  Descriptor entry = layout_entry(root, name.tag().value_or(""));
  entry.annotations.emplace_back(kContainerdName, name.str());
  return entry;
}

Result<std::string> add_to_layout_index(std::string_view raw, const Descriptor& entry) {
  Json json = Json::object({{"schemaVersion", 2}, {"mediaType", media_type::kOciIndex}, {"manifests", Json::array()}});
  if (!raw.empty()) json = TRY(parse_index_json(raw));
  Json* found = json.find("manifests");
  Json::Array& items = (found ? *found : json.set("manifests", Json::array())).mutable_items();
  std::erase_if(items, [&](const Json& item) {
    auto old = parse_descriptor(item);
    return old.ok() && replaces(entry, *old);
  });
  items.push_back(descriptor_json(entry));
  return to_json(json, {.indent = 2, .go_escapes = true}) + "\n";
}

Result<Descriptor> find_in_layout(const std::vector<Descriptor>& entries, std::string_view name, std::string_view shown_place) {
  if (entries.empty()) return Error{Code::NotFound, std::string(shown_place) + " holds no image"};
  if (name.empty()) {
    bool one = std::all_of(entries.begin(), entries.end(), [&](const Descriptor& e) { return e.digest == entries[0].digest; });
    if (one) return entries[0];
    return Error{Code::Invalid, std::string(shown_place) + " holds " + std::to_string(entries.size()) + " images: say which one",
                 "add :NAME; there are " + names_of(entries)};
  }
  // Of equal names the last was added last.
  auto named = [&](auto test) { return std::find_if(entries.rbegin(), entries.rend(), test); };
  auto found = named([&](const Descriptor& e) { return e.annotation(kRefName) == name; });
  if (found == entries.rend()) found = named([&](const Descriptor& e) { return e.annotation(kContainerdName) == name || e.digest.str() == name; });
  if (found == entries.rend()) {
    if (auto reference = Reference::parse(name); reference.ok()) {
      found = named([&](const Descriptor& e) { return e.annotation(kContainerdName) == reference->str(); });
    }
  }
  if (found != entries.rend()) return *found;
  return Error{Code::NotFound, std::string(shown_place) + " holds no image called " + std::string(name), "there are " + names_of(entries)};
}

Result<std::vector<Descriptor>> read_layout_index(const std::string& root) {
  std::string raw = TRY(read_file(root + "/index.json", kMaxLayoutIndexBytes));
  return parse_layout_index(raw).context(root);
}

Result<void> update_layout_index(const std::string& root, const std::function<Result<std::string>(std::string_view)>& change) {
  Fd lock = TRY(lock_folder(root));
  std::string path = root + "/index.json";
  auto raw = read_file(path, kMaxLayoutIndexBytes);
  if (!raw.ok() && raw.error().code != Code::NotFound) return std::move(raw).error();
  std::string changed = TRY(change(raw.ok() ? *raw : std::string()).context(path));
  if (changed.size() > kMaxLayoutIndexBytes) return Error{Code::Invalid, path + " would have " + std::to_string(changed.size()) + " bytes, more than " + std::to_string(kMaxLayoutIndexBytes)};
  return write_file_atomic(path, changed);
}

}  // namespace archway
