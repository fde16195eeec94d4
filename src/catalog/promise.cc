#include "catalog/promise.h"

namespace archway::catalog {

namespace {

bool later(const std::optional<Version>& best, const Version& version) { return !best || compare(*best, version) < 0; }

std::optional<std::string> tag_of(const std::optional<Version>& version) {
  if (!version) return std::nullopt;
  return version->text();
}

Verdict negative(const std::optional<std::string>& newest, std::optional<bool> now) {
  if (!now) return {Holding::Unknown, *newest + " could not be looked at"};
  if (*now) return {Holding::NoLonger, *newest + " holds arm64 now"};
  return {Holding::Holds, *newest + " holds no arm64"};
}

}  // namespace

TagsToAsk tags_to_ask(const Claim& claim, const std::vector<std::string>& tags) {
  bool promises_first = claim.since && claim.supports && claim.applies_to == Artifact::Image;
  bool prereleases = promises_first && !claim.since->prerelease().empty();
  std::optional<Version> first, before, newest;
  bool has_latest = false;
  for (const std::string& tag : tags) {
    has_latest = has_latest || tag == "latest";
    auto version = Version::parse(tag);
    if (!version || !version->variant().empty() || (!prereleases && !version->prerelease().empty())) continue;
    if (later(newest, *version)) newest = version;
    if (!promises_first) continue;
    if (compare(*version, *claim.since) < 0) {
      if (later(before, *version)) before = version;
    } else if (!first || compare(*version, *first) < 0) {
      first = version;
    }
  }
  TagsToAsk ask{tag_of(first), tag_of(before), tag_of(newest)};
  if (!ask.newest && has_latest) ask.newest = "latest";
  return ask;
}

std::string_view holding_name(Holding holding) {
  switch (holding) {
    case Holding::Holds: return "holds";
    case Holding::Earlier: return "earlier";
    case Holding::NoLonger: return "no-longer";
    case Holding::Unknown: break;
  }
  return "unknown";
}

Verdict judge(const Claim& claim, const TagsToAsk& tags, const std::function<std::optional<bool>(const std::string& tag)>& holds_arm64) {
  if (!tags.newest) return {Holding::Unknown, "no tag is a version, and none is latest"};
  std::optional<bool> now = holds_arm64(*tags.newest);
  if (!claim.supports) return negative(tags.newest, now);
  bool promises_first = claim.since && claim.applies_to == Artifact::Image;
  if (promises_first && !tags.first) return {Holding::Unknown, "no tag is " + claim.since->text() + " or later"};
  if (now && !*now) return {Holding::NoLonger, *tags.newest + " holds no arm64"};
  if (!tags.first || *tags.first == *tags.newest) {
    if (!now) return {Holding::Unknown, *tags.newest + " could not be looked at"};
    if (!tags.before) return {Holding::Holds, *tags.newest + " holds arm64"};
  } else {
    std::optional<bool> then = holds_arm64(*tags.first);
    if (!then || !now) return {Holding::Unknown, (then ? *tags.newest : *tags.first) + " could not be looked at"};
    if (!*then) return {Holding::NoLonger, *tags.first + " holds no arm64"};
  }
  std::string text = *tags.first + " holds arm64" + (*tags.first == *tags.newest ? "" : ", as does " + *tags.newest);
  if (tags.before && holds_arm64(*tags.before).value_or(false)) return {Holding::Earlier, text + "; " + *tags.before + " did already"};
  return {Holding::Holds, text};
}

}  // namespace archway::catalog
