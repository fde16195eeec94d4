#include "catalog/catalog.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "base/check.h"
#include "base/text.h"
#include "catalog/catalog_reader.h"

namespace archway::catalog {

namespace {

constexpr std::string_view kBuiltin =
#include "catalog/catalog_yaml.inc"
    ;

// How well a text answers the words: 0 best, kNoMatch not at all.
constexpr int kNoMatch = 4;
int match_rank(std::string_view text, std::string_view words) {
  std::string lower = to_lower(text);
  size_t at = lower.find(words);
  if (at == lower.npos) return kNoMatch;
  if (lower.size() == words.size()) return 0;
  return at == 0 ? 1 : 2;
}

int search_rank(const Product& product, std::string_view words) {
  int rank = std::min(match_rank(product.id, words), match_rank(product.name, words));
  for (const std::string& name : product.also_called) rank = std::min(rank, match_rank(name, words));
  for (const Row& row : product.rows) rank = std::min(rank, match_rank(row.name, words));
  if (rank <= 2) return rank;
  // What is said about it comes after what it is called.
  auto said = [&](std::string_view text) { return match_rank(text, words) < kNoMatch; };
  bool found = said(product.category) || said(product.home);
  for (const NamePattern& name : product.images) found = found || said(name.str());
  for (const Reference& name : product.named) found = found || said(name.str());
  for (const Row& row : product.rows) found = found || said(row.url) || said(row.note) || said(row.english);
  for (const Claim& claim : product.claims) found = found || said(claim.written);
  for (const std::string& note : product.notes) found = found || said(note);
  return found ? 3 : kNoMatch;
}

std::string claimed(const Claim& claim) {
  std::string text = std::string(artifact_name(claim.applies_to)) + (claim.image ? " " + claim.image->str() : "") + ": ";
  if (!claim.supports) text += "not supported";
  else text += claim.since ? "since " + claim.since->text() : "supported";
  return text + " (" + join(claim.sources, ", ") + ", " + claim.date + ")";
}

// Whether both claims are about something in common. "Release" is about anything.
bool about_the_same(const Claim& a, const Claim& b) {
  bool kinds = a.applies_to == b.applies_to || a.applies_to == Artifact::Release || b.applies_to == Artifact::Release;
  return kinds && (!a.image || !b.image || a.image->overlaps(*b.image));
}

}  // namespace

std::string_view artifact_name(Artifact artifact) {
  switch (artifact) {
    case Artifact::Binary: return "binary";
    case Artifact::Image: return "image";
    case Artifact::Chart: return "chart";
    case Artifact::Source: return "source";
    case Artifact::Package: return "package";
    case Artifact::Release: break;
  }
  return "release";
}

const Catalog& Catalog::builtin() {
  static const Catalog* const catalog = [] {
    auto parsed = parse(kBuiltin, "catalog.yaml");
    CHECK(parsed.ok());
    return new Catalog(std::move(*parsed));
  }();
  return *catalog;
}

Result<Catalog> Catalog::parse(std::string_view text, std::string_view file) {
  Catalog catalog;
  TRY(CatalogReader(catalog, file, false).read(text));
  return catalog;
}

Result<void> Catalog::add(std::string_view text, std::string_view file) {
  Catalog joined = *this;
  TRY(CatalogReader(joined, file, true).read(text));
  *this = std::move(joined);
  return {};
}

const Product* Catalog::find(std::string_view id) const {
  for (const Product& product : products_) {
    if (product.id == id) return &product;
  }
  return nullptr;
}

const Source* Catalog::source(std::string_view id) const {
  for (const Source& source : sources_) {
    if (source.id == id) return &source;
  }
  return nullptr;
}

std::vector<const Product*> Catalog::search(std::string_view words) const {
  std::string lower = to_lower(trim(words));
  if (lower.empty()) return {};
  std::vector<std::pair<int, const Product*>> found;
  auto reference = Reference::parse(trim(words));
  const Product* owner = reference.ok() ? product_of(*reference) : nullptr;
  for (const Product& product : products_) {
    int rank = &product == owner ? 0 : search_rank(product, lower);
    if (rank < kNoMatch) found.emplace_back(rank, &product);
  }
  std::stable_sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<const Product*> out;
  for (const auto& [rank, product] : found) out.push_back(product);
  return out;
}

const Product* Catalog::product_of(const Reference& image) const {
  std::string name = image.name();
  const Product* by_pattern = nullptr;
  for (const Product& product : products_) {
    for (const NamePattern& pattern : product.images) {
      if (!pattern.matches(name)) continue;
      if (!pattern.has_wildcards()) return &product;  // a name says more than a pattern
      if (!by_pattern) by_pattern = &product;
    }
  }
  return by_pattern;
}

const Move* Catalog::move_of(const Reference& image) const {
  std::string name = image.name();
  for (const Move& move : moves_) {
    if (move.from.matches(name)) return &move;
  }
  return nullptr;
}

const Claim* Catalog::deciding(const Product& product, Artifact artifact, std::string_view repository) const {
  const Claim* best = nullptr;
  auto weight = [&](const Claim& claim) {
    bool here = claim.image && !repository.empty(), says_when = claim.since || !claim.supports;
    return std::tuple(claim.users, claim.applies_to == artifact, says_when, here, claim.stated, std::string_view(claim.date));
  };
  for (const Claim& claim : product.claims) {
    if (claim.applies_to != artifact && claim.applies_to != Artifact::Release) continue;
    if (claim.image && !repository.empty() && !claim.image->matches(repository)) continue;
    if (!best || weight(claim) > weight(*best)) best = &claim;
  }
  return best;
}

std::vector<Conflict> Catalog::conflicts(const Product& product) const {
  std::vector<Conflict> found;
  for (size_t i = 0; i < product.claims.size(); ++i) {
    for (size_t j = i + 1; j < product.claims.size(); ++j) {
      const Claim &a = product.claims[i], &b = product.claims[j];
      bool versions = a.since && b.since && compare(*a.since, *b.since) != 0;
      if (about_the_same(a, b) && (a.supports != b.supports || versions)) found.push_back({i, j, claimed(a) + "; " + claimed(b)});
    }
  }
  return found;
}

}  // namespace archway::catalog
