#include "format/json_splitter.h"

#include <algorithm>
#include <cstring>

#include "format/json.h"

namespace archway {

namespace {

// What is read at once, and handed to a thread at once.
constexpr size_t kChunkBytes = 1 << 20;
// A small file needs a small buffer.
constexpr size_t kFirstBytes = 1 << 14;
constexpr std::string_view kListSuffix = "List";

bool is_space(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }

}  // namespace

uint64_t JsonSplitter::line_of(uint64_t offset) const {
  return line_ + count_newlines(std::string_view(buffer_).substr(0, static_cast<size_t>(offset - base_)));
}

Error JsonSplitter::wrong(std::string_view what) const {
  return {Code::Invalid, "line " + std::to_string(line_of(at_)) + ", byte " + std::to_string(at_) + ": not JSON: " + std::string(what)};
}

Error JsonSplitter::ends_early(std::string_view inside, uint64_t since) const {
  return {Code::Mismatch, "line " + std::to_string(line_of(end())) + ", byte " + std::to_string(end()) + ": the file ends inside " + std::string(inside) +
                              " that begins at byte " + std::to_string(since)};
}

// What is whole goes out with the buffer; the rest, from `keep` on, moves into a new one.
Result<void> JsonSplitter::flush(uint64_t keep) {
  size_t kept_from = static_cast<size_t>(keep - base_), rest = filled_ - kept_from;
  std::string next(at_end_ ? rest : std::max(kChunkBytes, 2 * rest), '\0');
  std::memcpy(next.data(), buffer_.data() + kept_from, rest);
  JsonPieces out;
  out.offset = base_;
  out.line = line_;
  line_ += count_newlines(std::string_view(buffer_).substr(0, kept_from));
  base_ = keep;
  filled_ = rest;
  out.text = std::exchange(buffer_, std::move(next));
  out.pieces = std::exchange(pieces_, {});
  if (out.pieces.empty()) return {};
  for (JsonPieces::Piece& piece : out.pieces) piece.list_kind = piece.list ? piece.list->kind : std::string();
  return emit_(std::move(out));
}

Result<bool> JsonSplitter::read_more(uint64_t keep) {
  if (at_end_) return false;
  if (end() - keep > max_item_bytes_) {
    return Error{Code::Invalid, "line " + std::to_string(line_of(keep)) + ", byte " + std::to_string(keep) + ": an item of more than " + std::to_string(max_item_bytes_) + " bytes"};
  }
  if (filled_ == buffer_.size()) {
    if (buffer_.size() >= kChunkBytes && (!pieces_.empty() || keep > base_)) {
      TRY(flush(keep));
    } else {
      buffer_.resize(std::max(kFirstBytes, 2 * buffer_.size()));
    }
  }
  size_t room = std::min(buffer_.size() - filled_, kChunkBytes);
  size_t count = TRY(source_.read({reinterpret_cast<std::byte*>(buffer_.data() + filled_), room}));
  filled_ += count;
  at_end_ = count == 0;
  return !at_end_;
}

Result<std::optional<char>> JsonSplitter::next(uint64_t keep) {
  bool keeps_nothing = keep == at_;
  while (true) {
    while (at_ < end() && is_space(at(at_))) ++at_;
    if (at_ < end()) return std::optional<char>(at(at_));
    bool more = TRY(read_more(keeps_nothing ? at_ : keep));
    if (!more) return std::optional<char>();
  }
}

Result<void> JsonSplitter::skip_brackets(uint64_t keep) {
  JsonBrackets brackets;
  uint64_t begin = at_;
  while (true) {
    std::string_view rest = std::string_view(buffer_).substr(static_cast<size_t>(at_ - base_), static_cast<size_t>(end() - at_));
    size_t length = brackets.scan(rest, at_end_);
    if (length != JsonBrackets::kNotHere) {
      at_ += length;
      return {};
    }
    at_ += brackets.consumed();
    if (at_end_) return ends_early("an item", begin);
    TRY(read_more(keep));
  }
}

Result<void> JsonSplitter::skip_string(uint64_t keep) {
  uint64_t begin = at_++;
  bool escaped = false;
  while (true) {
    for (; at_ < end(); ++at_) {
      char c = at(at_);
      if (!escaped && c == '"') return ++at_, Result<void>();
      escaped = !escaped && c == '\\';
    }
    bool more = TRY(read_more(keep));
    if (!more) return ends_early("a string", begin);
  }
}

Result<void> JsonSplitter::skip_word(uint64_t keep) {
  uint64_t begin = at_;
  while (true) {
    for (; at_ < end(); ++at_) {
      char c = at(at_);
      if (is_space(c) || c == ',' || c == ']' || c == '}') return at_ == begin ? Result<void>(wrong("expected a value")) : Result<void>();
    }
    bool more = TRY(read_more(keep));
    if (!more) return at_ == begin ? ends_early("a document", keep) : Result<void>();
  }
}

Result<void> JsonSplitter::skip_value(uint64_t keep) {
  char first = at(at_);
  if (first == '{' || first == '[') return skip_brackets(keep);
  if (first == '"') return skip_string(keep);
  return skip_word(keep);
}

Result<void> JsonSplitter::elements(const std::shared_ptr<JsonList>& list) {
  uint64_t begin = at_++;
  auto c = TRY(next(at_));
  if (c == ']') return ++at_, Result<void>();
  while (true) {
    if (!c) return ends_early("a list", begin);
    uint64_t item = at_;
    TRY(skip_value(item));
    pieces_.push_back({static_cast<size_t>(item - base_), static_cast<size_t>(at_ - base_), list, std::nullopt});
    c = TRY(next(at_));
    if (!c) return ends_early("a list", begin);
    if (c != ',' && c != ']') return wrong("expected a comma or the end of a list");
    ++at_;
    if (c == ']') return {};
    c = TRY(next(at_));
  }
}

Result<void> JsonSplitter::document() {
  uint64_t begin = at_++;
  std::shared_ptr<JsonList> list;
  std::optional<std::string> kind;
  // As long as this may be no list, all of it is kept.
  auto keep = [&] { return list ? at_ : begin; };
  auto c = TRY(next(keep()));
  for (bool first = true; c && !(first && c == '}'); first = false) {
    if (c != '"') return wrong("expected the name of a member");
    uint64_t name = at_;
    TRY(skip_string(list ? name : begin));
    std::string key = text(name + 1, at_ - 1);
    c = TRY(next(keep()));
    if (!c) break;
    if (c != ':') return wrong("expected a colon");
    ++at_;
    c = TRY(next(keep()));
    if (!c) break;
    bool may_be_list = !list && (!kind || kind->ends_with(kListSuffix));
    if (key == "items" && c == '[' && may_be_list) {
      list = std::make_shared<JsonList>();
      list->kind = kind;
      TRY(elements(list));
    } else {
      uint64_t value = at_;
      TRY(skip_value(list ? value : begin));
      if (key == "kind" && c == '"' && !kind) {
        // As it stands: no kind has an escape in it.
        kind = text(value + 1, at_ - 1);
        if (list) list->kind = kind;
      }
    }
    c = TRY(next(keep()));
    if (!c) break;
    if (c == '}') break;
    if (c != ',') return wrong("expected a comma or the end of an object");
    ++at_;
    c = TRY(next(keep()));
  }
  if (!c) return ends_early("a document", begin);
  ++at_;
  if (list && !list->kind) list->kind = "";
  if (!list) pieces_.push_back({static_cast<size_t>(begin - base_), static_cast<size_t>(at_ - base_), nullptr, std::nullopt});
  return {};
}

Result<void> JsonSplitter::split() {
  bool empty = true;
  while (true) {
    auto c = TRY(next(at_));
    if (!c && empty) return Error{Code::Mismatch, "line " + std::to_string(line_of(end())) + ", byte " + std::to_string(end()) + ": the file is empty"};
    if (!c) return {};
    empty = false;
    if (c == '{') {
      TRY(document());
    } else if (c == '[') {
      TRY(elements(nullptr));
    } else {
      return wrong("expected an object or a list");
    }
  }
}

Result<void> JsonSplitter::run() {
  Result<void> done = split();
  if (!pieces_.empty()) TRY(flush(at_));
  return done;
}

}  // namespace archway
