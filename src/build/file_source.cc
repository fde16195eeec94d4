#include "build/file_source.h"

#include <fcntl.h>

#include "base/hash.h"

namespace archway::build {

Result<std::optional<std::string>> TreeSource::resolve(std::string_view path) { return tree_.resolve(path); }

Result<std::optional<FileSource::File>> TreeSource::stat(const std::string& path) {
  auto found = tree_.lookup(path);
  if (!found) return std::optional<File>();
  File file{*found->entry, {}};
  // The tree resolves a second name to what it names; the layer's own entry says that it is one.
  const TreeEntry* own = tree_.layers()[found->layer]->find(path);
  bool second_name = own && own->type == TarType::Hardlink;
  if (file.entry.type == TarType::Regular) file.link_group = std::to_string(found->layer) + ":" + (second_name ? own->link : path);
  return std::optional(std::move(file));
}

Result<std::vector<std::string>> TreeSource::children(const std::string& path) { return tree_.children(path); }

Result<std::unique_ptr<Source>> TreeSource::open(const std::string& path) {
  auto found = tree_.lookup(path);
  if (!found) return Error{Code::NotFound, "/" + path + ": not found"};
  Fd folder = TRY(open_file(folders_.at(found->layer), O_PATH | O_DIRECTORY));
  Fd file = TRY(open_in_root(folder.get(), path, O_RDONLY | O_NOFOLLOW));
  return std::unique_ptr<Source>(std::make_unique<FdSource>(std::move(file), "/" + path));
}

Result<std::string> TreeSource::content_digest(const std::string& path, const TreeEntry&) {
  auto source = TRY(open(path));
  HashingSink hash(nullptr);
  TRY(archway::copy(*source, hash));
  return hash.hex();
}

// An unpacked layer never changes, and its folder is named by its digest.
Result<std::string> TreeSource::content_identity(const std::string& path, const TreeEntry&) {
  auto found = tree_.lookup(path);
  if (!found) return Error{Code::NotFound, "/" + path + ": not found"};
  return folders_.at(found->layer) + "/" + std::string(found->name);
}

}  // namespace archway::build
