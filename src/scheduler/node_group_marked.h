#pragma once

#include <string_view>
#include <utility>

#include "format/yaml.h"
#include "scheduler/node_group_tags.h"

namespace archway::scheduler {

// A value with the line it stands on, where that is known. As forgiving as Json: what is absent reads as null. Borrows both.
class Marked {
 public:
  Marked(const Json& value, const YamlMarks* marks, std::string_view file) : value_(&value), marks_(marks), file_(file) {}

  const Json& json() const { return *value_; }
  const Json* operator->() const { return value_; }
  SourcePlace place() const { return {std::string(file_), marks_ ? static_cast<uint32_t>(marks_->line) : 0}; }

  size_t column() const { return marks_ ? marks_->column : 0; }

  Marked operator[](std::string_view key) const {
    const Json::Object& members = value_->members();
    for (size_t i = 0; i < members.size(); ++i) {
      if (members[i].key == key) return {members[i].value, child(i), file_};
    }
    return {(*value_)[key], marks_, file_};  // null, about where it should be
  }
  size_t size() const { return value_->size(); }
  Marked item(size_t i) const { return {value_->items()[i], child(i), file_}; }
  std::pair<const std::string&, Marked> member(size_t i) const {
    const JsonMember& at = value_->members()[i];
    return {at.key, Marked(at.value, child(i), file_)};
  }

 private:
  const YamlMarks* child(size_t i) const { return marks_ && i < marks_->children.size() ? &marks_->children[i] : nullptr; }

  const Json* value_;
  const YamlMarks* marks_;
  std::string_view file_;
};

}  // namespace archway::scheduler
