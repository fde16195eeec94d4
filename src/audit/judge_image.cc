#include "audit/judge_image.h"

#include <algorithm>

#include "audit/tag_search.h"
#include "base/text.h"
#include "registry/client.h"
#include "verify/verify.h"

namespace archway::audit {

namespace {

constexpr size_t kMaxNamedFindings = 3;

std::string platform_list(const std::vector<Platform>& platforms) {
  if (platforms.empty()) return "no platform";
  std::string text;
  for (const Platform& platform : platforms) text += (text.empty() ? "" : ", ") + platform.str();
  return text;
}

const WrongPlatform* wrong_for(const ImageTruth& truth, const Platform& want) {
  auto chosen = choose_platform(want, truth.platforms, Fallback::Forbid);
  if (!chosen) return nullptr;
  auto at = std::find_if(truth.wrong.begin(), truth.wrong.end(), [&](const WrongPlatform& wrong) { return wrong.platform == truth.platforms[*chosen]; });
  return at == truth.wrong.end() ? nullptr : &*at;
}

std::string what_is_wrong(const archway::PlatformVerdict& verdict) {
  std::vector<std::string> parts;
  for (const archway::Finding& finding : verdict.findings) {
    if (finding.severity != Severity::Error || parts.size() == kMaxNamedFindings) continue;
    parts.push_back((finding.path.empty() ? "" : finding.path + ": ") + finding.message);
  }
  return join(parts, "; ");
}

}  // namespace

Judgement ImageJudge::unknown(const Reference& reference, const Platform& platform, const Error& error) {
  Judgement judgement{platform, Verdict::Unknown, error.message, {}, {}, {}, {}, error.hint, error.code};
  if (error.code == Code::Unauthorized && judgement.hint.empty()) judgement.hint = "archway login " + reference.host();
  if (error.code == Code::NotFound && judgement.hint.empty()) judgement.hint = "the registry has no such image, or shows it only to those who log in";
  return judgement;
}

Judgement ImageJudge::judge(const Reference& reference, const ImageFacts& facts, const Platform& platform, const Keychain& keychain) {
  Judgement judgement{platform, Verdict::NotReady, {}, {}, {}, {}, {}, {}, {}};
  if (const WrongPlatform* wrong = wrong_for(facts.truth, platform)) {
    judgement.verdict = Verdict::WrongContent;
    judgement.reason = "declares " + platform.str() + ", and holds something else" + (wrong->why.empty() ? "" : ": " + wrong->why);
    if (options_.updates && updated(reference, judgement, keychain)) judgement.verdict = Verdict::WrongContent;
    return judgement;
  }
  if (facts.truth.runs_on(platform)) {
    judgement.verdict = Verdict::Ready;
    return judgement;
  }
  judgement.reason = "is for " + platform_list(facts.truth.platforms);
  if (!options_.updates) return judgement;
  if (repinned(reference, facts, judgement, keychain)) return judgement;
  if (updated(reference, judgement, keychain)) return judgement;
  renamed(reference, judgement, keychain);
  return judgement;
}

// The image of that name, if it is for the platform.
ImageLookup::Facts ImageJudge::holder(const Reference& reference, const Platform& platform, const Keychain& keychain) {
  auto facts = lookup_.look_up(reference.str(), keychain, {}, options_.stop);
  return facts.ok() && (*facts)->truth.runs_on(platform) ? *facts : nullptr;
}

// A digest beside a tag, of one platform's image, where the tag's index has more (audit.md, 2 D).
bool ImageJudge::repinned(const Reference& reference, const ImageFacts& facts, Judgement& judgement, const Keychain& keychain) {
  if (!reference.digest() || !reference.tag()) return false;
  Reference by_tag = reference.with_tag(*reference.tag());
  auto index = holder(by_tag, judgement.platform, keychain);
  if (!index || !index->truth.digest) return false;
  bool child = std::any_of(index->images.begin(), index->images.end(), [&](const ImageFacts::Image& image) { return image.manifest == *reference.digest(); });
  judgement.new_digest = index->truth.digest->str();
  judgement.new_tag = *reference.tag();
  if (facts.is_index) {
    judgement.verdict = Verdict::ReadyAfterUpdate;
    judgement.reason += "; tag " + *reference.tag() + " now names an image that has " + judgement.platform.str();
  } else {
    judgement.verdict = Verdict::ReadyAfterRepin;
    judgement.reason = "is pinned to the digest of one platform's image (" + platform_list(facts.truth.platforms) + "); the index that tag " + *reference.tag() + " names " +
                       (child ? "holds it and " : "has ") + judgement.platform.str() + (child ? " too" : ", though of another build");
  }
  return true;
}

Result<std::vector<std::string>> ImageJudge::tags(const Reference& reference, const Keychain& keychain) {
  {
    auto known = tags_.lock();
    auto at = known->find(reference.name());
    if (at != known->end()) return at->second;
  }
  auto tags = lookup_.tags(reference.str(), keychain, options_.stop);
  auto known = tags_.lock();
  return known->try_emplace(reference.name(), std::move(tags)).first->second;
}

bool ImageJudge::updated(const Reference& reference, Judgement& judgement, const Keychain& keychain) {
  if (!reference.tag()) return false;
  const std::string& tag = *reference.tag();
  auto has = [&](const std::string& other) { return holder(reference.with_tag(other), judgement.platform, keychain) != nullptr; };
  auto take = [&](const std::string& found) {
    judgement.verdict = Verdict::ReadyAfterUpdate;
    judgement.new_tag = found;
    if (!reference.digest()) return;
    auto facts = holder(reference.with_tag(found), judgement.platform, keychain);
    if (facts && facts->truth.digest) judgement.new_digest = facts->truth.digest->str();
  };
  if (std::string plain = without_processor(tag); !plain.empty() && has(plain)) {
    take(plain);
    judgement.reason += "; tag " + plain + " is the same for every processor";
    return true;
  }
  auto all = tags(reference, keychain);
  if (!all.ok()) {
    judgement.reason += "; newer tags could not be listed: " + all.error().message;
    return false;
  }
  std::vector<std::string> later = later_tags(tag, *all);
  TagSearch found = search_tags(tag, later, options_.max_probes, has);
  if (found.first.empty()) {
    if (!later.empty()) judgement.reason += "; nor is any of the " + std::to_string(found.looked_at) + " newer tags that were looked at, up to " + later.back();
    return false;
  }
  take(found.first);
  if (found.newest != found.first) judgement.newest_tag = found.newest;
  judgement.reason += "; tag " + found.first + " has " + judgement.platform.str();
  return true;
}

// The same software under a name without a processor in it, or where the catalog says that it went.
bool ImageJudge::renamed(const Reference& reference, Judgement& judgement, const Keychain& keychain) {
  std::vector<std::string> names;
  const std::string& repository = reference.repository();
  for (std::string_view prefix : {"amd64/", "i386/"}) {
    if (reference.host() == "docker.io" && repository.starts_with(prefix)) names.push_back("docker.io/library/" + repository.substr(prefix.size()));
  }
  for (std::string_view suffix : {"-amd64", "-x86_64", "-linux-amd64"}) {
    if (repository.ends_with(suffix)) names.push_back(reference.host() + "/" + repository.substr(0, repository.size() - suffix.size()));
  }
  std::vector<Reference> others;
  for (const std::string& name : names) {
    auto other = Reference::parse(name + ":" + reference.tag().value_or("latest"));
    if (other.ok()) others.push_back(std::move(*other));
  }
  if (options_.catalog) {
    for (const catalog::Hint& hint : options_.catalog->hints(reference)) {
      if (hint.suggestion && hint.kind != catalog::Hint::Kind::Replacement) others.push_back(*hint.suggestion);
    }
  }
  for (const Reference& other : others) {
    if (other == reference || !holder(other, judgement.platform, keychain)) continue;
    judgement.verdict = Verdict::ReadyAfterUpdate;
    if (other.name() != reference.name()) judgement.new_name = other.host() == "docker.io" ? other.familiar().substr(0, other.familiar().find(':')) : other.name();
    judgement.new_tag = other.tag().value_or("");
    judgement.reason += "; " + other.familiar() + " has " + judgement.platform.str();
    return true;
  }
  return false;
}

Result<void> ImageJudge::verify(const Reference& reference, ImageFacts& facts, const Keychain& keychain) {
  VerifyOptions options;
  for (const Platform& platform : options_.platforms) {
    if (facts.truth.runs_on(platform)) options.platforms.push_back(platform);
  }
  if (options.platforms.empty()) return {};
  auto client = TRY(lookup_.client(reference.str(), keychain));
  Root root = TRY(client->resolve(reference, options_.stop));
  auto repository = client->repository(reference);
  VerifyReport report = TRY(verify_image(*repository, root, options, options_.stop));
  std::optional<Error> failed;
  for (const archway::PlatformVerdict& verdict : report.platforms) {
    std::string why = what_is_wrong(verdict);
    if (why.empty()) {
      if (verdict.not_checked) failed = *verdict.not_checked;
      continue;
    }
    WrongPlatform wrong{verdict.platform, why};
    (void)lookup_.remember_wrong(verdict.manifest, wrong).ok();  // an answer of its own: the cache is for next time
    auto chosen = choose_platform(verdict.platform, facts.truth.platforms, Fallback::Forbid);
    if (chosen) wrong.platform = facts.truth.platforms[*chosen];
    facts.truth.wrong.push_back(std::move(wrong));
  }
  if (failed) return std::move(*failed).within("verifying");
  return {};
}

}  // namespace archway::audit
