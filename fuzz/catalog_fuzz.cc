// A catalog from outside: read without a crash, and what it holds can be asked for. Hints name valid references by their type.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "catalog/catalog.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace archway;
  using namespace archway::catalog;
  std::string_view text(reinterpret_cast<const char*>(data), size);
  auto read = Catalog::parse(text, "fuzz");
  Catalog catalog;
  if (catalog.add(text, "user").ok()) {
    for (const Move& move : catalog.moves()) {
      if (auto image = Reference::parse(move.from.filled({"a", "b", "c", "d"}) + ":1.0-x"); image.ok()) (void)catalog.hints(*image);
    }
  }
  if (!read.ok()) return 0;
  for (const Product& product : read->products()) {
    (void)read->conflicts(product);
    if (read->find(product.id) != &product) std::abort();
    for (const NamePattern& name : product.images) {
      auto image = Reference::parse(name.filled({"a", "b", "c", "d"}) + ":v0.0.1-rc1-x");
      if (!image.ok()) continue;
      (void)read->hints(*image);
      if (!read->product_of(*image)) std::abort();
    }
    for (const Claim& claim : product.claims) {
      if (claim.since && Version::parse(claim.since->text())->text() != claim.since->text()) std::abort();
    }
  }
  (void)read->search(text.substr(0, 20));
  return 0;
}
