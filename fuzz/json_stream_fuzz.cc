#include <cstdint>
#include <string>
#include <vector>

#include "base/check.h"
#include "format/json_stream.h"

// Where the whole is one JSON document, the items are those of that document, however it is cut in threads; where a
// stream is refused, nothing crashes, and no item comes that is no JSON.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace archway;
  std::string_view text(reinterpret_cast<const char*>(data), size);
  JsonStreamOptions options;
  options.threads = 1;
  std::vector<std::string> items;
  MemorySource source(text);
  auto done = read_json_items(source, options, [&](JsonItem item) -> Result<void> {
    items.push_back(to_json(item.value));
    CHECK(item.offset < text.size());
    return {};
  });
  Result<Json> whole = parse_json(text);
  if (whole.ok() && (whole->is_array() || whole->is_object()) && done.ok()) {
    bool is_list = (*whole)["items"].is_array() && !(items.size() == 1 && items[0] == to_json(*whole));
    const Json::Array& wanted = whole->is_array() ? whole->items() : (*whole)["items"].items();
    if (whole->is_array()) {
      CHECK(items.size() == wanted.size());
      for (size_t i = 0; i < items.size(); ++i) CHECK(items[i] == to_json(wanted[i]));
    } else if (!is_list) {
      CHECK(items.size() == 1 && items[0] == to_json(*whole));
    }
  }
  for (const std::string& item : items) CHECK(parse_json(item).ok());
  options.skip = {{"a"}, {"metadata", "managedFields"}, {"items", "b"}};
  MemorySource again(text);
  size_t count = 0;
  auto skipped = read_json_items(again, options, [&](JsonItem item) -> Result<void> {
    CHECK(!item.value.has("a"));
    ++count;
    return {};
  });
  CHECK(count >= items.size());
  CHECK(!done.ok() || skipped.ok());
  return 0;
}
