#include "admission/template_merge.h"

#include <algorithm>
#include <vector>

#include "base/text.h"

namespace archway::admission {
namespace {

using Lines = std::vector<std::string>;

Lines lines_of(std::string_view text) {
  if (text.empty()) return {};
  if (text.ends_with('\n')) text.remove_suffix(1);
  return split(text, '\n');
}

// Both texts side by side: lines that are in both, and between them what only one of them has.
struct Stretch {
  bool common = false;
  Lines without, with;  // the same where common
};

// By the longest common subsequence; texts are a few hundred lines.
std::vector<Stretch> align(const Lines& a, const Lines& b) {
  std::vector<std::vector<int>> longest(a.size() + 1, std::vector<int>(b.size() + 1));
  for (size_t i = a.size(); i-- > 0;) {
    for (size_t j = b.size(); j-- > 0;) longest[i][j] = a[i] == b[j] ? longest[i + 1][j + 1] + 1 : std::max(longest[i + 1][j], longest[i][j + 1]);
  }
  std::vector<Stretch> stretches;
  auto last = [&](bool common) -> Stretch& {
    if (stretches.empty() || stretches.back().common != common) stretches.push_back({common, {}, {}});
    return stretches.back();
  };
  size_t i = 0, j = 0;
  while (i < a.size() || j < b.size()) {
    if (i < a.size() && j < b.size() && a[i] == b[j]) {
      Stretch& both = last(true);
      both.without.push_back(a[i++]);
      both.with.push_back(b[j++]);
    } else if (j == b.size() || (i < a.size() && longest[i + 1][j] >= longest[i][j + 1])) {
      last(false).without.push_back(a[i++]);
    } else {
      last(false).with.push_back(b[j++]);
    }
  }
  return stretches;
}

// Every begin has its end among these lines, and no else stands alone.
bool balanced(const Lines& lines) {
  int depth = 0;
  for (const std::string& line : lines) {
    std::string_view word = trim(line);
    if (word.starts_with("{{- if") || word.starts_with("{{- range") || word.starts_with("{{- with")) depth++;
    if (word.starts_with("{{- else") && depth == 0) return false;
    if (word.starts_with("{{- end") && --depth < 0) return false;
  }
  return depth == 0;
}

std::string join_lines(const Lines& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  return text;
}

std::string choice(const std::string& without, const std::string& with, const std::string& condition) {
  if (without.empty()) return "{{- if " + condition + " }}\n" + with + "{{- end }}\n";
  if (with.empty()) return "{{- if not (" + condition + ") }}\n" + without + "{{- end }}\n";
  return "{{- if " + condition + " }}\n" + with + "{{- else }}\n" + without + "{{- end }}\n";
}

}  // namespace

std::string merge_by_condition(const std::string& without, const std::string& with, const std::string& condition) {
  if (without == with) return without;
  if (without.empty() || with.empty()) return choice(without, with, condition);
  Lines a = lines_of(without), b = lines_of(with);
  // What both begin and end with is most of it, and needs no aligning.
  size_t head = 0, tail = 0, shorter = std::min(a.size(), b.size());
  while (head < shorter && a[head] == b[head]) ++head;
  while (tail < shorter - head && a[a.size() - 1 - tail] == b[b.size() - 1 - tail]) ++tail;
  auto middle = [&](const Lines& lines) { return Lines(lines.begin() + static_cast<std::ptrdiff_t>(head), lines.end() - static_cast<std::ptrdiff_t>(tail)); };
  std::string text = join_lines(Lines(a.begin(), a.begin() + static_cast<std::ptrdiff_t>(head)));
  for (const Stretch& stretch : align(middle(a), middle(b))) {
    if (!stretch.common && (!balanced(stretch.without) || !balanced(stretch.with))) return choice(without, with, condition);
    text += stretch.common ? join_lines(stretch.with) : choice(join_lines(stretch.without), join_lines(stretch.with), condition);
  }
  return text + join_lines(Lines(a.end() - static_cast<std::ptrdiff_t>(tail), a.end()));
}

}  // namespace archway::admission
