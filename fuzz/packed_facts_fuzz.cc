#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "net/address_policy.h"
#include "registry/image_facts.h"

// What the cache of look-ups may hold after damage, and ranges of addresses.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  if (auto facts = archway::unpack_facts(text)) CHECK(archway::unpack_facts(archway::pack_facts(*facts)) == facts);
  if (auto digest = archway::unpack_digest(text)) CHECK(archway::pack_digest(*digest) == text);
  (void)archway::AddressRange::parse(text);
  (void)archway::AddressPolicy::public_only().check_host(text);
  return 0;
}
