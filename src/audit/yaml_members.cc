#include "audit/yaml_members.h"

#include <algorithm>

#include "audit/yaml_edit.h"

namespace archway::audit {

namespace {

bool is_blank(char c) { return c == ' ' || c == '\t'; }
bool holds(const std::vector<size_t>& sorted, size_t index) { return std::binary_search(sorted.begin(), sorted.end(), index); }

Error odd(const YamlNode& node, std::string_view what) {
  return {Code::Invalid, "line " + std::to_string(node.line) + ": " + std::string(what) + "; edit it by hand"};
}

}  // namespace

bool YamlMembers::begins_line(size_t at) const {
  return line_begin(text_, at) + leading_blanks(text_, at).size() >= at;
}

// Where "-" of each item stands is not in the tree: it is the first byte of the sequence, or of a line below the item before.
std::vector<YamlMembers::Part> YamlMembers::parts_of(const YamlNode& node) const {
  std::vector<Part> parts;
  if (node.kind == YamlNode::Kind::Mapping) {
    for (size_t i = 0; i + 1 < node.children.size(); i += 2) parts.push_back({node.children[i].begin, node.children[i + 1].end});
    return parts;
  }
  for (const YamlNode& item : node.children) {
    size_t begin = item.begin;
    if (node.style == YamlNode::Style::Block) {
      begin = node.begin;
      if (!parts.empty()) {
        begin = next_line(text_, parts.back().end);
        while (begin < item.begin && text_[begin + leading_blanks(text_, begin).size()] != '-') begin = next_line(text_, begin);
        begin += leading_blanks(text_, begin).size();
      }
    }
    parts.push_back({begin, item.end});
  }
  return parts;
}

Result<void> YamlMembers::remove_members(const YamlNode& mapping, const std::vector<size_t>& removed) {
  remove_parts(mapping, parts_of(mapping), removed);
  return {};
}

Result<void> YamlMembers::remove_items(const YamlNode& sequence, const std::vector<size_t>& removed) {
  remove_parts(sequence, parts_of(sequence), removed);
  return {};
}

void YamlMembers::remove_parts(const YamlNode& node, const std::vector<Part>& parts, const std::vector<size_t>& removed) {
  if (node.style == YamlNode::Style::Flow) {
    remove_between_commas(parts, removed);
  } else {
    remove_lines(parts, removed);
  }
}

void YamlMembers::remove_lines(const std::vector<Part>& parts, const std::vector<size_t>& removed) {
  bool inline_first = !parts.empty() && !begins_line(parts[0].begin);
  for (size_t index : removed) {
    const Part& part = parts[index];
    bool leads = inline_first && holds(removed, 0) && std::find(removed.begin(), removed.end(), index) - removed.begin() == static_cast<ptrdiff_t>(index);
    size_t end = next_line(text_, part.end);
    if (leads) {
      // "- a: 1" and below it "  b: 2" become "- b: 2".
      while (end < text_.size() && (is_blank(text_[end]) || text_[end] == '\n' || text_[end] == '\r')) ++end;
      edits_.push_back({part.begin, end, ""});
      continue;
    }
    size_t begin = line_begin(text_, part.begin);
    // The last line of a file that does not end in a line end takes the one before it along, so that the file still does not.
    if (end == text_.size() && !text_.ends_with('\n') && begin > 0) begin = line_end(text_, begin - 1) < begin ? begin - (begin > 1 && text_[begin - 2] == '\r' ? 2 : 1) : begin;
    edits_.push_back({begin, end, ""});
  }
}

void YamlMembers::remove_between_commas(const std::vector<Part>& parts, const std::vector<size_t>& removed) {
  size_t last = parts.size();
  while (last > 0 && holds(removed, last - 1)) --last;  // behind the last that stays
  for (size_t index : removed) {
    if (index < last) edits_.push_back({parts[index].begin, parts[index + 1].begin, ""});
  }
  if (last > 0 && last < parts.size()) edits_.push_back({parts[last - 1].end, parts.back().end, ""});
}

// The end of the last line of a part, comments below that are indented deeper than the collection included: they are about it.
size_t YamlMembers::behind(const Part& part, size_t indent) const {
  size_t end = line_end(text_, part.end);
  for (size_t line = next_line(text_, part.end); line < text_.size(); line = next_line(text_, line)) {
    size_t blanks = leading_blanks(text_, line).size();
    if (blanks <= indent || line + blanks >= text_.size() || text_[line + blanks] != '#') break;
    end = line_end(text_, line);
  }
  return end;
}

bool YamlMembers::spread(const YamlNode& flow, const std::vector<Part>& parts) const {
  return line_begin(text_, flow.begin) != line_begin(text_, parts[0].begin) && begins_line(parts[0].begin);
}

std::string YamlMembers::json_step() const {
  for (size_t line = next_line(text_, 0); line < text_.size(); line = next_line(text_, line)) {
    std::string_view blanks = leading_blanks(text_, line);
    if (!blanks.empty() && line + blanks.size() < text_.size()) return std::string(blanks);
  }
  return "  ";
}

std::string YamlMembers::flow_value(const YamlNode& flow, const std::vector<Part>& parts, const Json& value, Around around) const {
  if (around != Around::Json) return flow_text(value, around, habit_.quote);
  if (spread(flow, parts)) return json_lines(value, std::string(leading_blanks(text_, parts[0].begin)), json_step(), habit_.eol);
  bool blanks = text_.substr(flow.begin, flow.end - flow.begin).find(": ") != std::string_view::npos;
  return blanks ? flow_text(value, around, habit_.quote) : to_json(value);
}

std::string YamlMembers::member_lines(const JsonMember& member, size_t indent) const {
  auto at = std::find_if(moved.begin(), moved.end(), [&](const Moved& each) { return each.key->text == member.key && same_value(*each.json, member.value) && begins_line(each.key->begin); });
  if (at == moved.end()) return block_text(Json::object({{member.key, member.value}}), indent, false, habit_);
  std::string out;
  size_t old_indent = at->key->column - 1, end = line_end(text_, at->value->end);
  for (size_t line = line_begin(text_, at->key->begin); line < end; line = next_line(text_, line)) {
    std::string_view words = text_.substr(line, line_end(text_, line) - line);
    if (!out.empty()) out += habit_.eol;
    if (leading_blanks(text_, line).size() == words.size()) continue;
    if (leading_blanks(text_, line).size() >= old_indent) words.remove_prefix(old_indent);
    out += std::string(indent, ' ') + std::string(words);
  }
  return out;
}

Result<void> YamlMembers::add_members(const YamlNode& mapping, const std::vector<size_t>& removed, const std::vector<const JsonMember*>& added, Around around) {
  if (added.empty()) return {};
  std::vector<Part> parts = parts_of(mapping);
  size_t last = parts.size();
  while (last > 0 && holds(removed, last - 1)) --last;
  if (last == 0) return odd(mapping, "nothing would stay of a mapping");
  std::string text;
  if (mapping.style != YamlNode::Style::Flow) {
    size_t indent = mapping.column - 1;
    for (const JsonMember* member : added) text += habit_.eol + member_lines(*member, indent);
    size_t at = behind(parts[last - 1], indent);
    edits_.push_back({at, at, std::move(text)});
    return {};
  }
  bool lines = spread(mapping, parts);
  for (const JsonMember* member : added) {
    std::string value = flow_value(mapping, parts, member->value, around);
    bool tight = around == Around::Json && !lines && text_.substr(mapping.begin, mapping.end - mapping.begin).find(": ") == std::string_view::npos;
    text += "," + (lines ? habit_.eol + std::string(leading_blanks(text_, parts[0].begin)) : tight ? "" : " ");
    text += scalar_text(Json(member->key), around, habit_.quote) + (tight ? ":" : ": ") + value;
  }
  edits_.push_back({parts[last - 1].end, parts[last - 1].end, std::move(text)});
  return {};
}

Result<void> YamlMembers::add_items(const YamlNode& sequence, size_t index, const std::vector<const Json*>& items, const std::vector<size_t>& removed, Around around) {
  std::vector<Part> parts = parts_of(sequence);
  size_t last = index;
  while (last > 0 && holds(removed, last - 1)) --last;
  if (last == 0) return odd(sequence, "an item would come before all others");
  std::string text;
  if (sequence.style == YamlNode::Style::Flow) {
    bool lines = spread(sequence, parts);
    bool tight = around == Around::Json && !lines && text_.substr(sequence.begin, sequence.end - sequence.begin).find(", ") == std::string_view::npos && parts.size() > 1;
    for (const Json* item : items) {
      text += "," + (lines ? habit_.eol + std::string(leading_blanks(text_, parts[0].begin)) : tight ? "" : " ");
      text += flow_value(sequence, parts, *item, around);
    }
    edits_.push_back({parts[last - 1].end, parts[last - 1].end, std::move(text)});
    return {};
  }
  size_t indent = sequence.column - 1, gap = 1;
  const YamlNode& first = sequence.children[0];
  if (first.anchor.empty() && first.begin > sequence.begin + 1 && first.line == sequence.line) gap = first.begin - sequence.begin - 1;
  for (const Json* item : items) {
    text += habit_.eol + std::string(indent, ' ') + "-" + std::string(gap, ' ') + block_text(*item, indent + 1 + gap, true, habit_);
  }
  size_t at = behind(parts[last - 1], indent);
  edits_.push_back({at, at, std::move(text)});
  return {};
}

Result<void> YamlMembers::replace_value(const YamlNode& key, const YamlNode& value, const Json& want, bool block) {
  size_t colon = key.end;
  while (colon < text_.size() && is_blank(text_[colon])) ++colon;
  if (colon >= text_.size() || text_[colon] != ':') return odd(key, "a key that is not followed by its colon");
  size_t key_end = line_end(text_, colon), indent = key.column - 1;
  std::string lines;
  if (block) lines = habit_.eol + block_text(want, indent + (want.is_array() ? habit_.sequence_step : habit_.step), false, habit_);
  std::string word = block ? "" : scalar_text(want, Around::Block, habit_.quote);
  if (value.begin > key_end) {  // on lines of its own
    if (!block) edits_.push_back({colon + 1, colon + 1, " " + word});
    edits_.push_back({key_end, line_end(text_, value.end), lines});
    return {};
  }
  bool bare = std::all_of(text_.begin() + static_cast<ptrdiff_t>(colon) + 1, text_.begin() + static_cast<ptrdiff_t>(value.begin), is_blank);
  if (!block) {
    edits_.push_back({value.begin, value.end, (value.begin == value.end ? " " : "") + word});
    return {};
  }
  edits_.push_back({bare ? colon + 1 : value.begin, value.end, ""});
  size_t end = line_end(text_, value.end);
  edits_.push_back({end, end, lines});
  return {};
}

}  // namespace archway::audit
