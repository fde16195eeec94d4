// What the catalog says of an image that someone uses.
#include "base/text.h"
#include "catalog/catalog.h"

namespace archway::catalog {

namespace {

// "(Graviton guide, 2022-09)"
std::string credit(const Catalog& catalog, const std::string& source_id, const std::string& date) {
  const Source* source = catalog.source(source_id);
  return " (" + (source ? source->title : source_id) + ", " + date + ")";
}

// The name that the image has now; its tag stays. A digest stays only where both names serve the same ones: under another name it may
// be that of one platform.
std::optional<Reference> moved_to(const Move& move, const Reference& image) {
  auto captured = move.from.captures(image.name());
  if (!captured) return std::nullopt;
  auto name = Reference::parse(move.to.filled(*captured));
  if (!name.ok()) return std::nullopt;
  if (image.tag()) name = name->with_tag(*image.tag());
  if (image.digest() && move.same_content) name = Reference::parse(name->str() + "@" + image.digest()->str());
  if (!name.ok()) return std::nullopt;
  return std::move(*name);
}

Hint move_hint(const Catalog& catalog, const Move& move, const Reference& image, Reference suggestion) {
  Hint hint{.kind = move.replacement ? Hint::Kind::Replacement : Hint::Kind::Renamed};
  if (const Product* product = catalog.product_of(suggestion)) hint.product = product->id;
  hint.text = image.name() + (move.replacement ? " was replaced by " : " is now ") + suggestion.name() + ": " + move.why + credit(catalog, move.source, move.date);
  hint.suggestion = std::move(suggestion);
  hint.source = move.source, hint.url = move.url, hint.date = move.date;
  return hint;
}

std::string artifact_text(Artifact artifact) {
  switch (artifact) {
    case Artifact::Image: return "images";
    case Artifact::Release: return "releases";
    default: return std::string(artifact_name(artifact)) + "s";
  }
}

// The first version with arm64, spelt as the user spells tags: "v1.14.3-debug" and since 1.15.0 make "v1.15.0-debug". Nullopt where that
// is no tag: too long.
std::optional<Reference> first_version(const Reference& name, const Version& used, const Version& since) {
  std::string tag = used.prefix() + since.numbers();
  if (!since.prerelease().empty()) tag += "-" + since.prerelease();
  if (!used.variant().empty()) tag += "-" + used.variant();
  auto reference = Reference::parse(name.name() + ":" + tag);
  if (!reference.ok()) return std::nullopt;
  return std::move(*reference);
}

// `name` is what the image is called now, `used` what the user wrote.
Hint claim_hint(const Catalog& catalog, const Product& product, const Claim& claim, const Reference& used, const Reference& name) {
  Hint hint{.product = product.id};
  hint.since = claim.since ? claim.since->text() : "";
  hint.source = claim.sources.front(), hint.url = claim.url, hint.date = claim.date;
  std::string of = product.name + "'s " + artifact_text(claim.applies_to), credits = credit(catalog, hint.source, hint.date);
  auto version = used.tag() ? Version::parse(*used.tag()) : std::nullopt;
  if (!claim.supports) {
    hint.kind = Hint::Kind::NotYet;
    hint.text = of + " did not support arm64" + credits;
  } else if (claim.since && version && compare(*version, *claim.since) < 0) {
    hint.kind = Hint::Kind::NewerVersion;
    hint.text = of + " support arm64 since " + hint.since + credits + "; this is " + *used.tag();
    hint.suggestion = first_version(name, *version, *claim.since);
  } else {
    hint.text = of + " support arm64" + (claim.since ? " since " + hint.since : "") + credits;
  }
  return hint;
}

}  // namespace

std::string_view kind_name(Hint::Kind kind) {
  switch (kind) {
    case Hint::Kind::Supported: return "supported";
    case Hint::Kind::NotYet: return "not-yet";
    case Hint::Kind::NewerVersion: return "newer-version";
    case Hint::Kind::Renamed: return "renamed";
    case Hint::Kind::Replacement: break;
  }
  return "replacement";
}

std::vector<Hint> Catalog::hints(const Reference& image) const {
  std::vector<Hint> found;
  Reference name = image;
  const Move* move = move_of(image);
  std::optional<Reference> moved = move ? moved_to(*move, image) : std::nullopt;
  if (moved && !move->replacement) name = *moved;
  const Product* product = product_of(name);
  if (!product) product = product_of(image);
  if (product) {
    const Claim* claim = deciding(*product, Artifact::Image, name.name());
    if (claim) found.push_back(claim_hint(*this, *product, *claim, image, name));
  }
  if (moved) {
    // Where a newer version is needed too, its suggestion has the new name already.
    bool newer = !found.empty() && found.front().kind == Hint::Kind::NewerVersion;
    found.insert(newer ? found.end() : found.begin(), move_hint(*this, *move, image, std::move(*moved)));
  }
  return found;
}

}  // namespace archway::catalog
