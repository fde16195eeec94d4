#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/stream.h"
#include "format/json.h"

// JSON too large to hold: what `kubectl get -A -o json` writes of a whole cluster, one object at a time.
namespace archway {

// Names of members from an item down, with arrays passed through: {"spec", "containers", "env"}.
using JsonPath = std::vector<std::string>;

struct JsonItem {
  Json value;
  std::string list_kind;  // "PodList", of the list that it stands in; "" outside of one
  uint64_t offset = 0;    // of its first byte

  // The kind that it names itself, else the one its list is of: items of a typed list leave theirs out.
  std::string kind() const;
};

struct JsonStreamOptions {
  // Members that nobody wants. They cost neither memory nor much time; inside them only strings and brackets are checked.
  std::vector<JsonPath> skip = {};
  size_t threads = 0;                       // that parse, besides the caller's; 0: as many as there are processors
  uint64_t max_item_bytes = 256ull << 20;  // of one item, or of a document that is no list
};

// Hands out, in order of the file: each element of `items` of a document whose kind ends in List (or which names its
// kind only later), each element of an array at the top, and whole any other document; documents follow one another
// with or without white space between. Memory stays at some megabytes, unless a list of items without kinds tells its own
// kind only at its end: then they wait for it. An item is what parse_json() makes of it, less what was skipped.
//
// Errors: Mismatch where the file ends too early, Invalid where it is no JSON, both with line and byte ("line 3,
// byte 120: ..."), Invalid for an item that is too large; those of `source` and of `each`. Every item before the broken
// one has been handed out by then, so that the caller may go on with those.
Result<void> read_json_items(Source& source, const JsonStreamOptions& options, const std::function<Result<void>(JsonItem)>& each);

// The same with the caller's own work shared out: `prepare` is called on several threads at once, each time with some
// items that follow one another, and what it returns is run on the caller's thread, in order of the file.
using JsonCommit = std::function<Result<void>()>;
Result<void> read_json_batches(Source& source, const JsonStreamOptions& options, const std::function<JsonCommit(std::vector<JsonItem>)>& prepare);

}  // namespace archway
