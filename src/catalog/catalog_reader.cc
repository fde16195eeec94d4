#include "catalog/catalog_reader.h"

#include <algorithm>
#include <array>

#include "base/text.h"

namespace archway::catalog {

namespace {

constexpr std::string_view kSchema = "archway.catalog/v1";
constexpr size_t kMaxText = 4096;  // of one text

// "2023-03-17", "2020-08" or "2022".
bool is_date(std::string_view text) {
  std::vector<std::string> parts = split(text, '-');
  static constexpr std::array<size_t, 3> kWidths = {4, 2, 2};
  static constexpr std::array<uint64_t, 3> kLeast = {1990, 1, 1}, kMost = {2999, 12, 31};
  if (parts.size() > 3) return false;
  for (size_t i = 0; i < parts.size(); ++i) {
    auto number = parse_uint(parts[i]);
    if (parts[i].size() != kWidths[i] || !number || *number < kLeast[i] || *number > kMost[i]) return false;
  }
  return true;
}

bool is_identifier(std::string_view text) {
  return !text.empty() && text.size() <= 64 && text[0] != '-' && std::all_of(text.begin(), text.end(), [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; });
}

}  // namespace

Error CatalogReader::at(const YamlNode& node, const std::string& message) const {
  return {Code::Invalid, std::string(file_) + ":" + std::to_string(node.line) + ":" + std::to_string(node.column) + ": " + message};
}

Result<void> CatalogReader::known_keys(const YamlNode& map, std::initializer_list<std::string_view> keys) const {
  if (map.kind != YamlNode::Kind::Mapping) return at(map, "this is to be a mapping (key: value); anchors and aliases are not read here");
  std::vector<std::string> seen;
  for (size_t i = 0; i + 1 < map.children.size(); i += 2) {
    const YamlNode& key = map.children[i];
    if (std::find(keys.begin(), keys.end(), key.text) == keys.end()) {
      auto near = nearest(key.text, std::vector<std::string>(keys.begin(), keys.end()));
      return at(key, "unknown key " + key.text + (near ? " (did you mean " + *near + "?)" : ""));
    }
    if (std::find(seen.begin(), seen.end(), key.text) != seen.end()) return at(key, key.text + " is given twice");
    seen.push_back(key.text);
  }
  return {};
}

Result<std::string> CatalogReader::text(const YamlNode& map, std::string_view key) const {
  const YamlNode* node = map.find(key);
  if (!node) return std::string();
  if (node->kind != YamlNode::Kind::Scalar) return at(*node, std::string(key) + " is to be a text");
  if (node->text.empty()) return at(*node, std::string(key) + " is empty: leave it out");
  if (node->text.size() > kMaxText) return at(*node, std::string(key) + " is longer than " + std::to_string(kMaxText) + " bytes");
  return node->text;
}

Result<std::string> CatalogReader::required_text(const YamlNode& map, std::string_view key) const {
  std::string value = TRY(text(map, key));
  if (value.empty()) return at(map, std::string(key) + " is missing");
  return value;
}

Result<std::vector<std::string>> CatalogReader::texts(const YamlNode& map, std::string_view key) const {
  std::vector<std::string> out;
  const YamlNode* node = map.find(key);
  if (node && node->kind == YamlNode::Kind::Scalar) {
    out.push_back(TRY(text(map, key)));
    return out;
  }
  TRY(each(map, key, kMaxPerProduct, [&](const YamlNode& item) -> Result<void> {
    if (item.kind != YamlNode::Kind::Scalar || item.text.empty() || item.text.size() > kMaxText) return at(item, std::string(key) + " is to be a list of texts");
    out.push_back(item.text);
    return {};
  }));
  return out;
}

Result<bool> CatalogReader::flag(const YamlNode& map, std::string_view key, bool fallback) const {
  const YamlNode* node = map.find(key);
  if (!node) return fallback;
  if (node->kind == YamlNode::Kind::Scalar && (node->text == "yes" || node->text == "true")) return true;
  if (node->kind == YamlNode::Kind::Scalar && (node->text == "no" || node->text == "false")) return false;
  return at(*node, std::string(key) + " is to be yes or no");
}

Result<std::optional<Version>> CatalogReader::version(const YamlNode& map, std::string_view key) const {
  std::string value = TRY(text(map, key));
  if (value.empty()) return std::optional<Version>();
  const YamlNode& node = *map.find(key);
  auto parsed = Version::parse(value);
  if (!parsed) return at(node, value + " is not a version");
  // 1.10 is 1.1 to others that read this file.
  if (!node.is_string) return at(node, "a version that looks like a number needs quotes: " + std::string(key) + ": \"" + value + "\"");
  return parsed;
}

Result<std::string> CatalogReader::date(const YamlNode& map, std::string_view key) const {
  std::string value = TRY(text(map, key));
  if (!value.empty() && !is_date(value)) return at(*map.find(key), value + " is not a date (2023-03-17, 2023-03 or 2023)");
  return value;
}

Result<std::string> CatalogReader::url(const YamlNode& map, std::string_view key) const {
  std::string value = TRY(text(map, key));
  if (value.empty() || value.starts_with("https://") || value.starts_with("http://") || Reference::parse(value).ok()) return value;
  return at(*map.find(key), value + " is neither a URL nor an image");
}

Result<std::string> CatalogReader::identifier(const YamlNode& map, std::string_view key) const {
  std::string value = TRY(required_text(map, key));
  if (!is_identifier(value)) return at(*map.find(key), value + " is not an identifier (lower-case letters, digits and -)");
  return value;
}

Result<NamePattern> CatalogReader::pattern(const YamlNode& node) const {
  if (node.kind != YamlNode::Kind::Scalar) return at(node, "this is to be the name of a repository");
  auto parsed = NamePattern::parse(node.text);
  if (!parsed.ok()) return at(node, parsed.error().message);
  return parsed;
}

Result<void> CatalogReader::each(const YamlNode& map, std::string_view key, size_t limit, const std::function<Result<void>(const YamlNode&)>& take) const {
  const YamlNode* node = map.find(key);
  if (!node) return {};
  if (node->kind != YamlNode::Kind::Sequence) return at(*node, std::string(key) + " is to be a list");
  if (node->children.size() > limit) return at(*node, std::string(key) + " has more than " + std::to_string(limit) + " items");
  for (const YamlNode& item : node->children) TRY(take(item));
  return {};
}

Result<Artifact> CatalogReader::artifact(const YamlNode& map) const {
  std::string name = TRY(required_text(map, "applies_to"));
  for (Artifact artifact : {Artifact::Binary, Artifact::Image, Artifact::Chart, Artifact::Source, Artifact::Package, Artifact::Release}) {
    if (artifact_name(artifact) == name) return artifact;
  }
  return at(*map.find("applies_to"), name + " is none of binary, image, chart, source, package and release");
}

Result<std::vector<std::string>> CatalogReader::sources(const YamlNode& map, std::string& newest) const {
  std::vector<std::string> ids = TRY(texts(map, "source"));
  newest = TRY(date(map, "date"));
  if (ids.empty()) {
    // A user's own word needs no source but itself.
    if (!users_) return at(map, "source is missing");
    if (newest.empty()) return at(map, "either source or date is needed");
    return std::vector<std::string>{std::string(file_)};
  }
  bool own = !newest.empty();
  for (const std::string& id : ids) {
    const Source* source = catalog_.source(id);
    if (!source) return at(*map.find("source"), "no source is called " + id);
    if (!own) newest = std::max(newest, source->date);
  }
  return ids;
}

Result<void> CatalogReader::read(std::string_view whole) {
  if (whole.size() > kMaxCatalogBytes) return Error{Code::Invalid, std::string(file_) + ": larger than " + std::to_string(kMaxCatalogBytes >> 20) + " MiB"};
  auto documents = parse_yaml_tree(whole);
  if (!documents.ok()) return std::move(documents).error().within(file_);
  if (documents->size() != 1) return Error{Code::Invalid, std::string(file_) + ": " + (documents->empty() ? "empty" : "more than one document")};
  const YamlNode& root = documents->front().root;
  TRY(known_keys(root, {"schema", "as_of", "sources", "products", "others", "moves"}));
  std::string schema = TRY(required_text(root, "schema"));
  if (schema != kSchema) return at(*root.find("schema"), "schema " + schema + " is not known; this archway reads " + std::string(kSchema));
  std::string as_of = TRY(date(root, "as_of"));
  if (!users_) catalog_.as_of_ = as_of;
  TRY(each(root, "sources", kMaxProducts, [&](const YamlNode& node) { return read_source(node); }));
  TRY(each(root, "products", kMaxProducts, [&](const YamlNode& node) { return read_product(node, !users_); }));
  TRY(each(root, "others", kMaxProducts, [&](const YamlNode& node) { return read_product(node, false); }));
  TRY(each(root, "moves", kMaxProducts, [&](const YamlNode& node) { return read_move(node); }));
  // In the file's order, before all that was there.
  catalog_.moves_.insert(catalog_.moves_.begin(), std::make_move_iterator(moves_.begin()), std::make_move_iterator(moves_.end()));
  return {};
}

Result<void> CatalogReader::read_source(const YamlNode& node) {
  TRY(known_keys(node, {"id", "title", "url", "language", "date", "dated"}));
  Source source;
  source.id = TRY(identifier(node, "id"));
  if (catalog_.source(source.id)) return at(*node.find("id"), "a source is called " + source.id + " already");
  source.title = TRY(required_text(node, "title"));
  source.url = TRY(url(node, "url"));
  source.language = TRY(text(node, "language"));
  source.date = TRY(date(node, "date"));
  if (source.date.empty()) return at(node, "date is missing");
  source.dated = TRY(text(node, "dated"));
  catalog_.sources_.push_back(std::move(source));
  return {};
}

// The product that the entry is about: a new one, or, in a user's file, perhaps one that is there.
Result<Product*> CatalogReader::product_for(const YamlNode& node, bool in_tables) {
  std::string id = TRY(identifier(node, "id"));
  if (std::find(ids_.begin(), ids_.end(), id) != ids_.end()) return at(*node.find("id"), "a product is called " + id + " already");
  ids_.push_back(id);
  for (Product& product : catalog_.products_) {
    if (product.id == id) return &product;
  }
  if (catalog_.products_.size() >= kMaxProducts) return at(node, "more than " + std::to_string(kMaxProducts) + " products");
  Product product;
  product.id = id;
  product.name = TRY(required_text(node, "name"));
  product.in_tables = in_tables;
  product.origin = origin(node);
  catalog_.products_.push_back(std::move(product));
  return &catalog_.products_.back();
}

Result<void> CatalogReader::read_product(const YamlNode& node, bool in_tables) {
  TRY(known_keys(node, {"id", "name", "also_called", "category", "home", "images", "named", "claims", "rows", "notes"}));
  Product& product = *TRY(product_for(node, in_tables));
  std::string category = TRY(text(node, "category")), home = TRY(url(node, "home"));
  if (!category.empty() && !is_identifier(category)) return at(*node.find("category"), category + " is not an identifier (lower-case letters, digits and -)");
  if (product.category.empty()) product.category = category;
  if (product.home.empty()) product.home = home;
  for (std::string& name : TRY(texts(node, "also_called"))) product.also_called.push_back(std::move(name));
  TRY(each(node, "images", kMaxPerProduct, [&](const YamlNode& item) -> Result<void> {
    NamePattern name = TRY(pattern(item));
    if (std::find(product.images.begin(), product.images.end(), name) != product.images.end()) return at(item, name.str() + " is given twice");
    product.images.push_back(std::move(name));
    return {};
  }));
  TRY(each(node, "named", kMaxPerProduct, [&](const YamlNode& item) -> Result<void> {
    auto reference = Reference::parse(item.text);
    if (!reference.ok()) return at(item, reference.error().message);
    product.named.push_back(std::move(*reference));
    return {};
  }));
  TRY(each(node, "claims", kMaxPerProduct, [&](const YamlNode& item) { return read_claim(item, product); }));
  TRY(each(node, "rows", kMaxPerProduct, [&](const YamlNode& item) { return read_row(item, product); }));
  for (std::string& note : TRY(texts(node, "notes"))) product.notes.push_back(std::move(note));
  if (product.claims.empty()) return at(node, product.id + " has no claims");
  return {};
}

Result<void> CatalogReader::read_claim(const YamlNode& node, Product& product) const {
  TRY(known_keys(node, {"applies_to", "since", "recommended", "supports", "image", "stated", "written", "date", "source", "url"}));
  Claim claim;
  claim.applies_to = TRY(artifact(node));
  claim.since = TRY(version(node, "since"));
  claim.recommended = TRY(version(node, "recommended"));
  claim.supports = TRY(flag(node, "supports", true));
  claim.stated = TRY(flag(node, "stated", true));
  if (!claim.supports && claim.since) return at(*node.find("since"), "a claim that arm64 is not supported has no version since when it is");
  if (const YamlNode* image = node.find("image")) {
    if (claim.applies_to != Artifact::Image) return at(*image, "only a claim about images names one");
    claim.image = TRY(pattern(*image));
    bool listed = std::any_of(product.images.begin(), product.images.end(), [&](const NamePattern& name) { return name.overlaps(*claim.image); });
    bool moved = std::any_of(product.named.begin(), product.named.end(), [&](const Reference& name) { return claim.image->matches(name.name()); });
    if (!listed && !moved) return at(*image, claim.image->str() + " is not among the product's images");
  }
  claim.written = TRY(text(node, "written"));
  claim.sources = TRY(sources(node, claim.date));
  claim.url = TRY(url(node, "url"));
  if (claim.url.empty() && !users_) return at(node, "url is missing");
  claim.users = users_;
  claim.origin = origin(node);
  product.claims.push_back(std::move(claim));
  return {};
}

Result<void> CatalogReader::read_row(const YamlNode& node, Product& product) const {
  TRY(known_keys(node, {"source", "name", "url", "note", "english", "prose"}));
  Row row;
  row.source = TRY(required_text(node, "source"));
  if (!catalog_.source(row.source)) return at(*node.find("source"), "no source is called " + row.source);
  row.name = TRY(required_text(node, "name"));
  row.url = TRY(text(node, "url"));
  row.note = TRY(text(node, "note"));
  row.english = TRY(text(node, "english"));
  row.prose = TRY(flag(node, "prose", false));
  product.rows.push_back(std::move(row));
  return {};
}

Result<void> CatalogReader::read_move(const YamlNode& node) {
  TRY(known_keys(node, {"from", "to", "same_content", "replacement", "why", "url", "source", "date"}));
  const YamlNode *from = node.find("from"), *to = node.find("to");
  if (!from || !to) return at(node, "a move is from one repository to another: from and to are needed");
  NamePattern old_name = TRY(pattern(*from)), new_name = TRY(pattern(*to));
  if (new_name.wildcards() > old_name.wildcards()) return at(*to, "more wildcards than " + old_name.str() + " has");
  if (!old_name.has_wildcards() && old_name == new_name) return at(*to, "moved to itself");
  for (const Move& other : moves_) {
    if (other.from == old_name) return at(*from, old_name.str() + " is moved twice");
  }
  Move move{.from = std::move(old_name), .to = std::move(new_name)};
  move.same_content = TRY(flag(node, "same_content", false));
  move.replacement = TRY(flag(node, "replacement", false));
  move.why = TRY(required_text(node, "why"));
  move.url = TRY(url(node, "url"));
  std::vector<std::string> ids = TRY(sources(node, move.date));
  move.source = ids.front();
  move.users = users_;
  move.origin = origin(node);
  moves_.push_back(std::move(move));
  return {};
}

}  // namespace archway::catalog
