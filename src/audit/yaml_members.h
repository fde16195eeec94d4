#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "audit/edit.h"
#include "audit/yaml_write.h"
#include "format/yaml_tree.h"

namespace archway::audit {

// Members of mappings and items of sequences that come and go, in block and flow style: what whitespace, commas and comments do then.
// All of it becomes edits of the text; nothing here looks at values.
class YamlMembers {
 public:
  YamlMembers(std::string_view text, const YamlHabit& habit, std::vector<Edit>& edits) : text_(text), habit_(habit), edits_(edits) {}

  // By index, in order; never all of them. A member goes with its lines and the comment at their ends; comments above stay.
  Result<void> remove_members(const YamlNode& mapping, const std::vector<size_t>& removed);
  Result<void> remove_items(const YamlNode& sequence, const std::vector<size_t>& removed);
  // Behind the last member that stays.
  Result<void> add_members(const YamlNode& mapping, const std::vector<size_t>& removed, const std::vector<const JsonMember*>& added, Around around);
  // Behind the first `index` items.
  Result<void> add_items(const YamlNode& sequence, size_t index, const std::vector<const Json*>& items, const std::vector<size_t>& removed, Around around);
  // All of a block mapping's value; `block`: as lines below the key.
  Result<void> replace_value(const YamlNode& key, const YamlNode& value, const Json& want, bool block);

  // A member that goes from where it is, to be added elsewhere with the same value: its lines go along, comments and all.
  struct Moved {
    const YamlNode* key;
    const YamlNode* value;
    const Json* json;
  };
  std::vector<Moved> moved;

  std::string json_step() const;  // what a level of JSON lines is indented by

 private:
  struct Part { size_t begin, end; };  // of a member from its key, of an item from its dash (block) or first byte (flow)
  std::vector<Part> parts_of(const YamlNode& node) const;
  void remove_parts(const YamlNode& node, const std::vector<Part>& parts, const std::vector<size_t>& removed);
  void remove_lines(const std::vector<Part>& parts, const std::vector<size_t>& removed);
  void remove_between_commas(const std::vector<Part>& parts, const std::vector<size_t>& removed);
  std::string member_lines(const JsonMember& member, size_t indent) const;
  size_t behind(const Part& part, size_t indent) const;
  bool begins_line(size_t at) const;
  bool spread(const YamlNode& flow, const std::vector<Part>& parts) const;
  std::string flow_value(const YamlNode& flow, const std::vector<Part>& parts, const Json& value, Around around) const;

  std::string_view text_;
  const YamlHabit& habit_;
  std::vector<Edit>& edits_;
};

}  // namespace archway::audit
