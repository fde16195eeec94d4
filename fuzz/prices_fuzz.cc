#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "scheduler/prices.h"

// Whatever is taken is not negative, and a refused list leaves the table as it was.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  archway::scheduler::PriceTable table;
  if (!table.add({reinterpret_cast<const char*>(data), size}).ok()) {
    CHECK(table.regions("aws").empty());
    return 0;
  }
  for (const std::string& region : table.regions("aws")) {
    for (const archway::scheduler::Price* price : table.of_region("aws", region)) CHECK(price->on_demand >= 0 && table.find("aws", region, price->type) == price);
  }
  return 0;
}
