#include "audit/yaml_edit.h"

#include <algorithm>
#include <map>
#include <optional>

#include "audit/yaml_members.h"
#include "audit/yaml_write.h"
#include "base/text.h"

namespace archway::audit {

bool same_value(const Json& a, const Json& b) {
  if (a.is_object() && b.is_object()) {
    if (a.size() != b.size()) return false;
    for (size_t i = 0; i < a.size(); ++i) {
      const JsonMember& member = a.members()[i];
      const JsonMember& beside = b.members()[i];  // most are in one order
      const Json* other = beside.key == member.key ? &beside.value : b.find(member.key);
      if (!other || !same_value(member.value, *other)) return false;
    }
    return true;
  }
  if (a.is_array() && b.is_array()) {
    return std::equal(a.items().begin(), a.items().end(), b.items().begin(), b.items().end(), [](const Json& x, const Json& y) { return same_value(x, y); });
  }
  return a == b;
}

namespace {

// Where a value stands: behind a block mapping's key, or elsewhere (an item, the root, in a flow collection).
struct Slot {
  const YamlNode* key = nullptr;
  Around around = Around::Block;
};

class Editor {
 public:
  Editor(std::string_view text, const YamlTreeDocument& document) : text_(text), habit_(habit_of(text, document.root)), members_(text, habit_, edits_) {
    const YamlNode& root = document.root;
    bool json = root.style == YamlNode::Style::Flow && (root.kind == YamlNode::Kind::Sequence || root.children.empty() || root.children[0].style == YamlNode::Style::DoubleQuoted);
    flow_ = json ? Around::Json : Around::Flow;
  }

  // Members that go, in block style: they may come back elsewhere.
  void note_moved(const YamlNode& node, const Json& have, const Json& want) {
    if (same_value(have, want)) return;
    if (node.kind == YamlNode::Kind::Sequence && have.size() == want.size() && have.size() == node.children.size()) {
      for (size_t i = 0; i < node.children.size(); ++i) note_moved(node.children[i], have.items()[i], want.items().empty() ? have.items()[i] : want.items()[i]);
    }
    if (node.kind != YamlNode::Kind::Mapping || node.style != YamlNode::Style::Block) return;
    for (const JsonMember& member : have.members()) {
      const YamlNode* key = node.key_of(member.key);
      const Json* wanted = want.find(member.key);
      if (key && wanted) note_moved(key[1], member.value, *wanted);
      if (key && !wanted) members_.moved.push_back({key, key + 1, &member.value});
    }
  }

  Result<void> value(const YamlNode& node, const Json& have, const Json& want, Slot slot) {
    if (node.kind == YamlNode::Kind::Alias) return alias(node, have, want);
    if (!node.anchor.empty()) anchors_[node.anchor] = &want;
    if (same_value(have, want)) return {};
    if (node.style == YamlNode::Style::Flow) slot.around = flow_around(node);
    bool filled = want.size() > 0 && !node.children.empty();
    if (filled && node.kind == YamlNode::Kind::Mapping && have.is_object() && want.is_object()) return mapping(node, have, want, slot);
    if (filled && node.kind == YamlNode::Kind::Sequence && have.is_array() && want.is_array()) return sequence(node, have, want, slot);
    bool scalars = node.kind == YamlNode::Kind::Scalar && !want.is_array() && !want.is_object() && !want.is_null();
    if (scalars && !(node.begin == node.end)) return scalar(node, have, want, slot);
    return replace(node, want, slot);
  }

  // What is added behind a line that goes is added behind the line before: both are in the collection that it is added to.
  std::vector<Edit> take() {
    std::map<size_t, size_t> removed;  // whole lines: begin to end
    for (const Edit& edit : edits_) {
      if (edit.replacement.empty() && edit.begin < edit.end && line_begin(text_, edit.begin) == edit.begin) removed[edit.begin] = edit.end;
    }
    for (Edit& edit : edits_) {
      while (edit.begin == edit.end) {
        auto at = removed.lower_bound(edit.begin);
        if (at == removed.begin() || (--at)->second <= edit.begin || at->first == 0) break;
        edit.begin = edit.end = line_end(text_, line_begin(text_, at->first - 1));
      }
    }
    return std::move(edits_);
  }

 private:
  Error cannot(const YamlNode& node, const std::string& what) const {
    return {Code::Invalid, "line " + std::to_string(node.line) + ": " + what};
  }

  Around flow_around(const YamlNode& node) const {
    if (flow_ == Around::Json) return flow_;
    bool quoted = node.kind == YamlNode::Kind::Mapping && !node.children.empty() && node.children[0].style == YamlNode::Style::DoubleQuoted;
    return quoted ? Around::Json : Around::Flow;
  }

  // What stands behind the anchor may be about to change the same way; then nothing is left to do here.
  Result<void> alias(const YamlNode& node, const Json& have, const Json& want) {
    auto anchor = anchors_.find(node.text);
    if (same_value(anchor == anchors_.end() ? have : *anchor->second, want)) return {};
    return cannot(node, "*" + node.text + " stands for what is written at its anchor &" + node.text + ", which others may share; edit it by hand");
  }

  Result<void> scalar(const YamlNode& node, const Json& have, const Json& want, Slot slot) {
    bool several_lines = text_.substr(node.begin, node.end - node.begin).find('\n') != std::string_view::npos;
    if (have.is_string() && want.is_string()) {
      if (auto edit = within(node, have.string(), want.string(), several_lines)) {
        edits_.push_back(std::move(*edit));
        return {};
      }
      if (several_lines) return cannot(node, "what would change is spread over several lines of text; edit it by hand");
    }
    char quote = node.style == YamlNode::Style::SingleQuoted ? '\'' : node.style == YamlNode::Style::DoubleQuoted ? '"' : habit_.quote;
    bool quoted = want.is_string() && (node.style == YamlNode::Style::SingleQuoted || node.style == YamlNode::Style::DoubleQuoted);
    std::string text = quoted ? quoted_text(want.string(), quote) : scalar_text(want, slot.around, quote);
    edits_.push_back({node.begin, node.end, std::move(text)});
    return {};
  }

  // The words that change, where they stand as they are in a text of several lines or in a longer one (an argument, a script, a ConfigMap).
  std::optional<Edit> within(const YamlNode& node, std::string_view have, std::string_view want, bool several_lines) const {
    size_t front = 0, back = 0, most = std::min(have.size(), want.size());
    while (front < most && have[front] == want[front]) ++front;
    while (back < most - front && have[have.size() - 1 - back] == want[want.size() - 1 - back]) ++back;
    auto is_word = [](char c) { return c != ' ' && c != '\n' && c != '\t'; };
    while (front > 0 && is_word(have[front - 1])) --front;
    while (back > 0 && is_word(have[have.size() - back])) --back;
    std::string_view old_words = have.substr(front, have.size() - front - back), new_words = want.substr(front, want.size() - front - back);
    if ((!several_lines && old_words.size() == have.size()) || old_words.empty() || old_words.find('\n') != old_words.npos || new_words.find('\n') != new_words.npos) return std::nullopt;
    // The same words may stand there more than once: it is the same one, counted from the front.
    size_t which = 0;
    for (size_t at = have.find(old_words); at != have.npos && at < front; at = have.find(old_words, at + 1)) ++which;
    std::string_view span = text_.substr(node.begin, node.end - node.begin);
    size_t at = span.find(old_words);
    while (at != span.npos && which-- > 0) at = span.find(old_words, at + 1);
    if (at == span.npos) return std::nullopt;
    // In quotes and plain text what is new may need an escape: whoever compares would refuse it, so it is left to the whole scalar.
    bool plain = new_words.find_first_of("\"'\\#:{}[],&*%") == new_words.npos || node.style == YamlNode::Style::Literal || node.style == YamlNode::Style::Folded;
    if (!plain && !several_lines && new_words.find_first_of("\"'\\#") != new_words.npos) return std::nullopt;
    return Edit{node.begin + at, node.begin + at + old_words.size(), std::string(new_words)};
  }

  static std::string key_name(const YamlNode& key) { return key.kind == YamlNode::Kind::Scalar ? key.text : std::string(); }

  Result<void> mapping(const YamlNode& node, const Json& have, const Json& want, Slot slot) {
    std::vector<size_t> removed;
    std::map<std::string, size_t> written;  // the last of equal keys counts
    for (size_t i = 0; i < node.size(); ++i) written[key_name(node.children[2 * i])] = i;
    std::vector<const JsonMember*> added;
    for (const JsonMember& member : want.members()) {
      if (!have.find(member.key)) added.push_back(&member);
    }
    for (const JsonMember& member : have.members()) {
      auto at = written.find(member.key);
      const Json* wanted = want.find(member.key);
      if (at == written.end()) {
        // From a merge, or a key that is no string. A member of the mapping's own would count instead of a merged one.
        if (!wanted) return cannot(node, member.key + " comes from elsewhere by <<; edit it by hand");
        if (!same_value(member.value, *wanted)) return cannot(node, member.key + " comes from elsewhere by <<, where others may share it; edit it by hand");
        continue;
      }
      const YamlNode& key = node.children[2 * at->second];
      const YamlNode& below = node.children[2 * at->second + 1];
      if (wanted) {
        Slot inner{node.style == YamlNode::Style::Block ? &key : nullptr, slot.around};
        TRY(value(below, member.value, *wanted, inner));
      } else if (!rename(key, member.value, added, slot)) {
        for (size_t i = 0; i < node.size(); ++i) {
          if (key_name(node.children[2 * i]) == member.key) removed.push_back(i);
        }
      }
    }
    if (removed.size() == node.size()) return replace(node, want, slot);
    std::sort(removed.begin(), removed.end());
    TRY(members_.remove_members(node, removed));
    return members_.add_members(node, removed, added, slot.around);
  }

  // A member that goes while another comes with the same value has got a new name.
  bool rename(const YamlNode& key, const Json& value, std::vector<const JsonMember*>& added, Slot slot) {
    for (size_t i = 0; i < added.size(); ++i) {
      if (!same_value(added[i]->value, value)) continue;
      char quote = key.style == YamlNode::Style::SingleQuoted ? '\'' : '"';
      bool quoted = key.style != YamlNode::Style::Plain;
      edits_.push_back({key.begin, key.end, quoted ? quoted_text(added[i]->key, quote) : scalar_text(Json(added[i]->key), slot.around, quote)});
      added.erase(added.begin() + static_cast<ptrdiff_t>(i));
      return true;
    }
    return false;
  }

  // Items that are the same thing, perhaps changed.
  static bool kin(const Json& a, const Json& b) {
    for (std::string_view name : {"name", "key"}) {
      if (a[name].is_string() && a[name] == b[name]) return true;
    }
    return same_value(a, b);
  }

  Result<void> sequence(const YamlNode& node, const Json& have, const Json& want, Slot slot) {
    const auto& old_items = have.items();
    const auto& new_items = want.items();
    if (old_items.size() != node.children.size()) return cannot(node, "a list that is not what it seems");
    size_t front = 0, back = 0, most = std::min(old_items.size(), new_items.size());
    while (front < most && same_value(old_items[front], new_items[front])) ++front;
    while (back < most - front && same_value(old_items[old_items.size() - 1 - back], new_items[new_items.size() - 1 - back])) ++back;
    size_t old_end = old_items.size() - back, new_end = new_items.size() - back;
    std::vector<size_t> removed;
    std::map<size_t, std::vector<const Json*>> added;  // behind the first so many items
    size_t o = front, n = front;
    bool equal_lengths = old_end == new_end;
    // Anchors in items that stay the same are met, so that aliases behind them find what they stand for.
    for (size_t i = 0; i < front; ++i) TRY(value(node.children[i], old_items[i], new_items[i], {nullptr, slot.around}));
    while (o < old_end || n < new_end) {
      if (o < old_end && n < new_end && (equal_lengths || kin(old_items[o], new_items[n]))) {
        TRY(value(node.children[o], old_items[o], new_items[n], {nullptr, slot.around}));
        ++o, ++n;
      } else if (o < old_end && (n == new_end || std::none_of(new_items.begin() + static_cast<ptrdiff_t>(n), new_items.begin() + static_cast<ptrdiff_t>(new_end),
                                                             [&](const Json& item) { return kin(old_items[o], item); }))) {
        removed.push_back(o++);
      } else {
        added[o].push_back(&new_items[n++]);
      }
    }
    for (size_t i = 0; i < back; ++i) TRY(value(node.children[old_end + i], old_items[old_end + i], new_items[new_end + i], {nullptr, slot.around}));
    if (removed.size() == node.size()) return replace(node, want, slot);
    TRY(members_.remove_items(node, removed));
    for (const auto& [index, items] : added) TRY(members_.add_items(node, index, items, removed, slot.around));
    return {};
  }

  // A value of another kind, or one that had nothing in it, or has nothing left.
  Result<void> replace(const YamlNode& node, const Json& want, Slot slot) {
    bool block = want.size() > 0 && slot.around == Around::Block && node.style != YamlNode::Style::Flow;
    bool empty_flow = node.style == YamlNode::Style::Flow && node.children.empty();
    if (!slot.key || (node.style == YamlNode::Style::Flow && !empty_flow)) {
      if (node.style == YamlNode::Style::Block) {
        edits_.push_back({node.begin, node.end, block_text(want, node.column - 1, true, habit_)});
        return {};
      }
      if (flow_ == Around::Json && line_number(text_, node.begin) != line_number(text_, text_.size() - 1)) {
        std::string step = members_.json_step();
        edits_.push_back({node.begin, node.end, json_lines(want, std::string(leading_blanks(text_, node.begin)), step, habit_.eol)});
        return {};
      }
      std::string text = flow_text(want, slot.around == Around::Block ? flow_ : slot.around, habit_.quote);
      edits_.push_back({node.begin, node.end, (node.begin == node.end ? " " : "") + text});
      return {};
    }
    return members_.replace_value(*slot.key, node, want, block || (empty_flow && want.size() > 0));
  }

  std::string_view text_;
  YamlHabit habit_;
  std::vector<Edit> edits_;
  YamlMembers members_;
  Around flow_;
  std::map<std::string, const Json*, std::less<>> anchors_;
};

}  // namespace

Result<std::vector<Edit>> edit_yaml(std::string_view text, const YamlTreeDocument& document, const Json& have, const Json& want) {
  Editor editor(text, document);
  editor.note_moved(document.root, have, want);
  TRY(editor.value(document.root, have, want, {}));
  return editor.take();
}

}  // namespace archway::audit
