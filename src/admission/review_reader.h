#pragma once

#include <string_view>

#include "format/json.h"

namespace archway::admission {

// An AdmissionReview holds kilobytes that nobody here asks about (managedFields, environments, probes, status). This reads the members that
// the review is decided by, once, and passes over the others: what comes back is parse_json's value with those members left out, in lists with
// all their items, so that pointers into it are pointers into the whole. What is passed over is checked for balanced brackets and
// whole strings only. Invalid says where. Depth up to kMaxJsonDepth.
Result<Json> read_review_json(std::string_view text);

// The same choice of members made of a value that is there; for tests.
Json prune_review(const Json& review);

}  // namespace archway::admission
