#include <cstdint>
#include <cstdlib>
#include <string>

#include "base/hash.h"
#include "snapshot/tree.h"

// A layer's tar from a registry, and an index from disk. What was taken has to survive being written, and every path in it
// has to be found again. The first byte chooses.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace archway;
  if (size == 0) return 0;
  std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  Result<LayerIndex> index = Error{};
  if (data[0] == 'i') {
    // The checksum is put right, so that what lies behind it is reached.
    std::string sealed = write_layer_index({});
    sealed.resize(sealed.find('\n') + 1);
    sealed += sha256_hex(rest);
    sealed += rest;
    index = read_layer_index(sealed);
  } else {
    MemorySource tar(rest);
    LayerLimits limits;
    limits.entries = 10'000;
    limits.metadata_bytes = 1 << 20;
    index = index_tar(tar, limits);
  }
  if (!index.ok()) return 0;
  auto again = read_layer_index(write_layer_index(*index));
  if (!again.ok() || !(*again == *index)) std::abort();
  Tree tree = Tree().with(std::make_shared<const LayerIndex>(*index)).with(std::make_shared<const LayerIndex>(*again));
  for (const auto& [path, entry] : index->entries) {
    (void)tree.resolve(path);
    (void)tree.children(path);
    if (data[0] != 'i' && entry.type != TarType::Hardlink && !tree.lookup(path)) std::abort();
  }
  return 0;
}
