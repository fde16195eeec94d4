#pragma once

#include <map>
#include <set>
#include <string>

#include "base/fd.h"
#include "kustomize/builder.h"

namespace archway::kustomize {

// A folder of small files, built.
class BuiltFolder {
 public:
  explicit BuiltFolder(const std::map<std::string, std::string>& files, BuildOptions options = {}) : folder_(*TempDir::create("/tmp")), builder_(std::move(options)) {
    for (const auto& [name, text] : files) {
      std::string path = folder_ / name;
      (void)make_directories(path.substr(0, path.rfind('/'))).ok();
      (void)write_file_atomic(path, text).ok();
    }
    build = builder_.build(kustomization_in(folder_.path()), named);
  }

  Json object(size_t index = 0) const { return index < build.objects.size() ? json_of_value(*build.objects[index]) : Json(); }
  // Where the value at a JSON pointer's steps stands: "file:line:column text".
  Span where(const Value& value) const { return builder_.locate(value.begin, value.end, value.line, value.column); }
  std::string text_at(const Value& value) const {
    Span span = where(value);
    auto text = read_file(span.source, 1 << 20);
    return text.ok() ? text->substr(span.begin, span.end - span.begin) : "";
  }
  std::string file_of(const Value& value) const {
    std::string source = where(value).source;
    return source.starts_with(folder_.path()) ? source.substr(folder_.path().size() + 1) : source;
  }
  std::string path(const std::string& name) const { return folder_ / name; }

  Build build;
  std::set<std::string> named;

 private:
  TempDir folder_;
  Builder builder_;
};

}  // namespace archway::kustomize
