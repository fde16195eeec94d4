#pragma once

#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include "registry/lookup.h"

namespace archway {

inline constexpr size_t kMaxIndexRequests = 64;  // of one image, for entries that do not say their platform and for nested indexes

inline constexpr uint64_t kMaxLookupBytes = 4 << 20;  // of a manifest or configuration; as many as a registry has to take (distribution-spec 1.1)

// Asks the registry: the manifest or index; of a lone image its configuration; of an index nothing more, unless entries leave out
// their platform or are indexes themselves. What is no image (an artifact, a signature) has no images. Never with `wrong`.
Result<ImageFacts> fetch_facts(RegistryClient& client, const Reference& reference, std::stop_token stop);

// A few hundred bytes in place of some kilobytes. unpack gives nullopt for what pack has not written (another version, damage).
std::string pack_facts(const ImageFacts& facts);
std::optional<ImageFacts> unpack_facts(std::string_view packed);

// A digest as 33 or 65 bytes: algorithm, hash.
std::string pack_digest(const Digest& digest);
std::optional<Digest> unpack_digest(std::string_view packed);

}  // namespace archway
