#include "audit/diff.h"

#include <stddef.h>

#include <algorithm>
#include <vector>

namespace archway::audit {

namespace {

constexpr size_t kMaxEditDistance = 4000;  // lines added and removed that the search follows: its memory grows with the square

using Lines = std::vector<std::string_view>;

// With their line ends.
Lines lines_of(std::string_view text) {
  Lines lines;
  for (size_t at = 0; at < text.size();) {
    size_t end = text.find('\n', at);
    end = end == text.npos ? text.size() : end + 1;
    lines.push_back(text.substr(at, end - at));
    at = end;
  }
  return lines;
}

enum class Op : char { Keep = ' ', Remove = '-', Add = '+' };

// Myers, "An O(ND) Difference Algorithm": the fewest lines removed and added. Empty where they are more than the bound.
std::vector<Op> search(const Lines& a, size_t a_begin, size_t a_end, const Lines& b, size_t b_begin, size_t b_end) {
  auto n = static_cast<ptrdiff_t>(a_end - a_begin), m = static_cast<ptrdiff_t>(b_end - b_begin);
  auto bound = std::min<ptrdiff_t>(n + m, kMaxEditDistance);
  std::vector<std::vector<ptrdiff_t>> trace;
  auto at = [&](std::vector<ptrdiff_t>& v, ptrdiff_t k, ptrdiff_t d) -> ptrdiff_t& { return v[static_cast<size_t>(k + d + 1)]; };
  ptrdiff_t distance = -1;
  for (ptrdiff_t d = 0; d <= bound && distance < 0; ++d) {
    std::vector<ptrdiff_t> now(static_cast<size_t>(2 * d + 3), 0);
    for (ptrdiff_t k = -d; k <= d; k += 2) {
      ptrdiff_t x = 0;
      if (d > 0) {
        auto& before = trace.back();
        bool down = k == -d || (k != d && at(before, k - 1, d - 1) < at(before, k + 1, d - 1));
        x = down ? at(before, k + 1, d - 1) : at(before, k - 1, d - 1) + 1;
      }
      while (x < n && x - k < m && a[a_begin + static_cast<size_t>(x)] == b[b_begin + static_cast<size_t>(x - k)]) ++x;
      at(now, k, d) = x;
      if (x >= n && x - k >= m) distance = d;
    }
    trace.push_back(std::move(now));
  }
  std::vector<Op> ops;
  if (distance < 0) return ops;
  ptrdiff_t x = n, y = m;
  for (ptrdiff_t d = distance; d > 0; --d) {
    auto& before = trace[static_cast<size_t>(d - 1)];
    ptrdiff_t k = x - y;
    bool down = k == -d || (k != d && at(before, k - 1, d - 1) < at(before, k + 1, d - 1));
    ptrdiff_t from_k = down ? k + 1 : k - 1, from_x = at(before, from_k, d - 1), from_y = from_x - from_k;
    while (x > from_x && y > from_y) ops.push_back(Op::Keep), --x, --y;
    ops.push_back(down ? Op::Add : Op::Remove);
    x = from_x, y = from_y;
  }
  while (x > 0) ops.push_back(Op::Keep), --x;
  std::reverse(ops.begin(), ops.end());
  return ops;
}

std::vector<Op> operations(const Lines& a, const Lines& b) {
  size_t front = 0, back = 0, most = std::min(a.size(), b.size());
  while (front < most && a[front] == b[front]) ++front;
  while (back < most - front && a[a.size() - 1 - back] == b[b.size() - 1 - back]) ++back;
  std::vector<Op> ops(front, Op::Keep);
  std::vector<Op> middle = search(a, front, a.size() - back, b, front, b.size() - back);
  if (middle.empty()) {
    middle.assign(a.size() - back - front, Op::Remove);
    middle.insert(middle.end(), b.size() - back - front, Op::Add);
  }
  ops.insert(ops.end(), middle.begin(), middle.end());
  ops.insert(ops.end(), back, Op::Keep);
  return ops;
}

std::string range(size_t begin, size_t count) {
  return std::to_string(count == 0 ? begin : begin + 1) + (count == 1 ? "" : "," + std::to_string(count));
}

void add_line(std::string& out, Op op, std::string_view line) {
  out += static_cast<char>(op);
  out += line;
  if (!line.ends_with('\n')) out += "\n\\ No newline at end of file\n";
}

}  // namespace

std::string unified_diff(std::string_view before, std::string_view after, std::string_view path, size_t context) {
  if (before == after) return "";
  Lines a = lines_of(before), b = lines_of(after);
  std::vector<Op> ops = operations(a, b);
  while (path.starts_with('/')) path.remove_prefix(1);
  while (path.starts_with("./")) path.remove_prefix(2);
  std::string out = "--- a/" + std::string(path) + "\n+++ b/" + std::string(path) + "\n";
  size_t x = 0, y = 0;
  for (size_t i = 0; i < ops.size();) {
    if (ops[i] == Op::Keep) {
      ++x, ++y, ++i;
      continue;
    }
    size_t before_lines = std::min({context, i, x});
    size_t end = i, last = i;  // the hunk goes on while changes are at most two contexts apart
    for (size_t j = i; j < ops.size() && j <= last + 2 * context + 1; ++j) {
      if (ops[j] != Op::Keep) last = j;
    }
    end = std::min(ops.size(), last + 1 + context);
    size_t begin = i - before_lines, from_x = x - before_lines, from_y = y - before_lines;
    std::string body;
    size_t at_x = from_x, at_y = from_y;
    for (size_t j = begin; j < end; ++j) {
      add_line(body, ops[j], ops[j] == Op::Add ? b[at_y] : a[at_x]);
      at_x += ops[j] != Op::Add;
      at_y += ops[j] != Op::Remove;
    }
    out += "@@ -" + range(from_x, at_x - from_x) + " +" + range(from_y, at_y - from_y) + " @@\n" + body;
    x = at_x, y = at_y, i = end;
  }
  return out;
}

}  // namespace archway::audit
