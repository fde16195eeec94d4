#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "catalog/catalog.h"

// Does a claim still hold? Which tags of a repository to look at, and what follows from what they hold. Who looks is the caller.
namespace archway::catalog {

// Of tags that are versions, those without a variant, and pre-releases only where the claim names one.
struct TagsToAsk {
  std::optional<std::string> first;   // the earliest that the claim promises arm64 for; none where it names no version
  std::optional<std::string> before;  // the last that it does not
  std::optional<std::string> newest;  // "latest" where no tag is a version
};
// A claim about releases promises nothing of the first image, so only the newest is asked for.
TagsToAsk tags_to_ask(const Claim& claim, const std::vector<std::string>& tags);

enum class Holding : uint8_t {
  Holds,
  Earlier,   // it does, and an earlier version has arm64 as well: the catalog asks for too much
  NoLonger,  // it does not
  Unknown,   // the registry did not say
};
std::string_view holding_name(Holding holding);  // "holds", "earlier", "no-longer", "unknown"

struct Verdict {
  Holding holding = Holding::Unknown;
  std::string text;  // "1.15.0 holds arm64, as does 1.27.1"
};
// `holds_arm64` answers for a tag, nullopt where it could not be asked for.
Verdict judge(const Claim& claim, const TagsToAsk& tags, const std::function<std::optional<bool>(const std::string& tag)>& holds_arm64);

}  // namespace archway::catalog
