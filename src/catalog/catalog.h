#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "catalog/name_pattern.h"
#include "catalog/version.h"
#include "image/reference.h"

// The software that runs on arm64, and since when. A catalog holds what people claimed, with where and when; it never knows better than a
// registry, which is asked first wherever one can be (docs/catalog.md).
namespace archway::catalog {

// What a claim is about. A binary's minimum is not an image's (Istio: 1.6 and 1.15). Release: the text does not say which.
enum class Artifact : uint8_t { Binary, Image, Chart, Source, Package, Release };
std::string_view artifact_name(Artifact artifact);  // "binary", "image", "chart", "source", "package", "release"

// A text that claims come from.
struct Source {
  std::string id, title, url, language;
  std::string date;    // "2023-03-17", "2020-08" or "2022"
  std::string dated;   // for a text without a date, how `date` is known; ""
};

// Where an entry stands: for error messages and for people who want to look.
struct Origin {
  std::string file;  // "catalog.yaml" of archway itself, or as the user named it
  uint32_t line = 0;
};

struct Claim {
  Artifact applies_to = Artifact::Release;
  bool supports = true;                 // false: the text says "not yet"
  std::optional<Version> since, recommended;
  std::optional<NamePattern> image;     // about this repository only
  bool stated = true;                   // false: read off a link, not said
  std::string written;                  // the text's own words
  std::string url, date;                // date: its own, or the newest of its sources
  std::vector<std::string> sources;     // ids
  bool users = false;                   // from a user's file: outranks
  Origin origin;
};

// A row of an article's table, as it stands there.
struct Row {
  std::string source, name, url, note;
  std::string english;  // the note translated; "" where it is English
  bool prose = false;   // said in the text, not in a table
};

struct Product {
  std::string id, name, category, home;
  std::vector<std::string> also_called;
  std::vector<NamePattern> images;
  std::vector<Reference> named;  // references as an article has them
  std::vector<Claim> claims;
  std::vector<Row> rows;
  std::vector<std::string> notes;
  bool in_tables = false;        // of the articles; else from their prose, from manifests or from a user's file
  Origin origin;
};

// A repository that has another name now.
struct Move {
  NamePattern from, to;
  bool same_content = false;  // the same digests under both names
  bool replacement = false;   // other software, or other settings: nothing to do blindly
  std::string why = {}, url = {}, source = {}, date = {};
  bool users = false;
  Origin origin = {};
};

// Claims of one product that cannot all be the whole truth, as indexes into Product::claims. All are kept.
struct Conflict {
  size_t first = 0, second = 0;
  std::string text;  // "release: since 1.8.0 (...), image: since 1.10.0 (...)"
};

// What the catalog has to say of an image that someone uses.
struct Hint {
  enum class Kind : uint8_t {
    Supported,     // claimed to hold arm64, this version too
    NotYet,        // claimed not to
    NewerVersion,  // a later one is claimed to
    Renamed,       // the same software has another name now
    Replacement,   // other software, or other settings
  } kind = Kind::Supported;
  std::string product = {};                  // id; "" where a name alone says it
  std::string text = {};                     // a sentence for people, with its source and date
  std::optional<Reference> suggestion = {};  // to be asked for before it is recommended: nobody has looked
  std::string since = {};                    // the version, as the claim has it; ""
  std::string source = {}, url = {}, date = {};
};
std::string_view kind_name(Hint::Kind kind);  // "supported", "not-yet", "newer-version", "renamed", "replacement"

inline constexpr size_t kMaxCatalogBytes = 8 << 20;
inline constexpr size_t kMaxProducts = 10'000;
inline constexpr size_t kMaxPerProduct = 200;  // claims, images, rows, notes, names: each

// Plain values, read by as many threads as like.
class Catalog {
 public:
  // What ships with archway.
  static const Catalog& builtin();
  // A file in the same form, by itself. Invalid as "FILE:LINE:COLUMN: ...": unknown keys, versions and dates that are none, sources
  // that nobody defined, names that are no references, things said twice.
  static Result<Catalog> parse(std::string_view text, std::string_view file);
  // A user's file on top: its claims and moves outrank all that is there, products of one id are joined, sources of the catalog may
  // be named. After an error the catalog is as it was.
  Result<void> add(std::string_view text, std::string_view file);

  const std::string& as_of() const { return as_of_; }  // "2026-11"
  const std::vector<Product>& products() const { return products_; }
  const std::vector<Move>& moves() const { return moves_; }
  const std::vector<Source>& sources() const { return sources_; }
  const Product* find(std::string_view id) const;
  const Source* source(std::string_view id) const;
  // By any word of what is known of a product, ASCII letters' case ignored; or by an image. Names that are equal come first, then those
  // that begin so, then those that contain it, then notes.
  std::vector<const Product*> search(std::string_view words) const;
  const Product* product_of(const Reference& image) const;
  const Move* move_of(const Reference& image) const;

  // The claim that counts for a kind of artifact (for an image: of this repository): a user's before others, about this kind before
  // "release", one that says since when before one that does not, about this repository before any, said before read off a link, the
  // latest. Null where there is none.
  const Claim* deciding(const Product& product, Artifact artifact, std::string_view repository = {}) const;
  std::vector<Conflict> conflicts(const Product& product) const;
  // Best first; empty for images that the catalog knows nothing of.
  std::vector<Hint> hints(const Reference& image) const;

 private:
  friend class CatalogReader;
  std::string as_of_;
  std::vector<Source> sources_;
  std::vector<Product> products_;
  std::vector<Move> moves_;
};

}  // namespace archway::catalog
