#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/stream.h"
#include "format/json_brackets.h"

namespace archway {

// A list that items stand in. It may tell its kind after them.
struct JsonList {
  std::optional<std::string> kind;  // set by the end of the list at the latest
};

// Bytes of a file with whole items in them.
struct JsonPieces {
  struct Piece {
    size_t begin = 0, end = 0;              // in `text`
    std::shared_ptr<JsonList> list;         // changes while items are cut out, so only for that thread
    std::optional<std::string> list_kind;   // what was known of it by then
  };
  std::string text;
  uint64_t offset = 0, line = 1;  // of the first byte
  std::vector<Piece> pieces;
};

// Cuts a stream of JSON documents into items (json_stream.h says which), without looking into them.
class JsonSplitter {
 public:
  using Emit = std::function<Result<void>(JsonPieces)>;
  JsonSplitter(Source& source, uint64_t max_item_bytes, Emit emit) : source_(source), max_item_bytes_(max_item_bytes), emit_(std::move(emit)) {}
  // Emits what is whole even where it then fails.
  Result<void> run();

 private:
  Result<void> split();
  Result<void> document();
  Result<void> elements(const std::shared_ptr<JsonList>& list);
  Result<std::optional<char>> next(uint64_t keep);  // past white space; none at the end
  Result<void> skip_value(uint64_t keep);
  Result<void> skip_brackets(uint64_t keep);
  Result<void> skip_string(uint64_t keep);
  Result<void> skip_word(uint64_t keep);
  Result<bool> read_more(uint64_t keep);            // false at the end of the file
  Result<void> flush(uint64_t keep);
  Error wrong(std::string_view what) const;
  Error ends_early(std::string_view inside, uint64_t since) const;
  uint64_t end() const { return base_ + filled_; }
  char at(uint64_t offset) const { return buffer_[static_cast<size_t>(offset - base_)]; }
  std::string text(uint64_t from, uint64_t to) const { return buffer_.substr(static_cast<size_t>(from - base_), static_cast<size_t>(to - from)); }
  uint64_t line_of(uint64_t offset) const;

  Source& source_;
  uint64_t max_item_bytes_;
  Emit emit_;
  std::string buffer_;
  size_t filled_ = 0;
  uint64_t base_ = 0, at_ = 0;  // offsets in the file: of the buffer, and of the next byte to look at
  uint64_t line_ = 1;           // of the buffer's first byte
  bool at_end_ = false;
  std::vector<JsonPieces::Piece> pieces_;
};

}  // namespace archway
