#include "ci/template.h"

#include <algorithm>
#include <vector>

#include "base/check.h"
#include "base/text.h"
#include "format/json.h"

namespace archway::ci {

namespace {

constexpr std::string_view kOpen = "<%", kClose = "%>";

std::string filtered(std::string_view filter, const std::string& text) {
  if (filter.empty()) return text;
  if (filter == "yaml") return yaml_quoted(text);
  if (filter == "sh") return shell_word(text);
  if (filter == "sh3") return groovy_inside(shell_word(text));
  if (filter == "groovy") return groovy_quoted(text);
  CHECK(filter == "groovy3");
  return groovy_inside(text);
}

class Filler {
 public:
  Filler(std::string_view text, const TemplateValues& values) : text_(text), values_(values) {}

  std::string fill() {
    for (size_t at = 0; at < text_.size();) {
      size_t open = text_.find(kOpen, at);
      if (open == text_.npos) {
        emit(text_.substr(at));
        break;
      }
      emit(text_.substr(at, open - at));
      size_t close = text_.find(kClose, open);
      CHECK(close != text_.npos);
      at = tag(trim(text_.substr(open + 2, close - open - 2)), open, close + 2);
    }
    CHECK(blocks_.empty());
    return std::move(out_);
  }

 private:
  struct Block { bool outer, holds; };  // whether what encloses it is written; whether its condition holds

  bool active() const { return blocks_.empty() || (blocks_.back().outer && blocks_.back().holds); }
  void emit(std::string_view text) {
    if (active()) out_ += text;
  }

  // Where the text goes on.
  size_t tag(std::string_view words, size_t open, size_t after) {
    bool control = words == "else" || words == "end" || words.starts_with("if ");
    if (!control) {
      value(words, open);
      return after;
    }
    bool alone = alone_on_line(open, after);
    if (alone && active()) out_.resize(out_.size() - indent_before(open));
    if (words.starts_with("if ")) {
      blocks_.push_back({active(), condition(words.substr(3))});
    } else {
      CHECK(!blocks_.empty());
      if (words == "end") blocks_.pop_back();
      else blocks_.back().holds = !blocks_.back().holds;
    }
    return alone ? after + 1 : after;
  }

  void value(std::string_view words, size_t open) {
    if (!active()) return;
    auto [name, filter] = cut(words, '|');
    auto found = values_.texts.find(name);
    CHECK(found != values_.texts.end());
    std::string text = filtered(filter.value_or(""), found->second);
    size_t indent = indent_before(open);
    out_ += indent > 0 ? replace_all(text, "\n", "\n" + std::string(indent, ' ')) : text;
  }

  // Blanks between the start of the line and here; 0 where there is something else.
  size_t indent_before(size_t at) const {
    size_t begin = at;
    while (begin > 0 && text_[begin - 1] == ' ') --begin;
    return begin == 0 || text_[begin - 1] == '\n' ? at - begin : 0;
  }
  bool alone_on_line(size_t open, size_t after) const {
    size_t begin = open - indent_before(open);
    return (begin == 0 || text_[begin - 1] == '\n') && after < text_.size() && text_[after] == '\n';
  }

  bool condition(std::string_view words) const {
    bool all = true;
    for (std::string_view rest = words; !rest.empty();) {
      size_t and_at = rest.find(" and ");
      std::string_view term = trim(rest.substr(0, and_at));
      rest = and_at == rest.npos ? std::string_view() : rest.substr(and_at + 5);
      bool negated = term.starts_with("not ");
      auto flag = values_.flags.find(negated ? trim(term.substr(4)) : term);
      CHECK(flag != values_.flags.end());
      all = all && flag->second != negated;
    }
    return all;
  }

  std::string_view text_;
  const TemplateValues& values_;
  std::vector<Block> blocks_;
  std::string out_;
};

}  // namespace

std::string fill_template(std::string_view text, const TemplateValues& values) { return Filler(text, values).fill(); }

// JSON's strings are YAML's double-quoted ones.
std::string yaml_quoted(std::string_view text) { return json_quote(text); }

std::string shell_word(std::string_view text) {
  auto plain = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || std::string_view("-_./:=@+,").find(c) != std::string_view::npos; };
  if (!text.empty() && std::all_of(text.begin(), text.end(), plain)) return std::string(text);
  return "'" + replace_all(std::string(text), "'", "'\\''") + "'";
}

std::string groovy_inside(std::string_view text) { return replace_all(replace_all(std::string(text), "\\", "\\\\"), "'", "\\'"); }

std::string groovy_quoted(std::string_view text) { return "'" + groovy_inside(text) + "'"; }

}  // namespace archway::ci
