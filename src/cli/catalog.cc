#include "catalog/catalog.h"

#include <algorithm>

#include "base/fd.h"
#include "base/text.h"
#include "cli/catalog_commands.h"

namespace archway::cli {

namespace {

using namespace catalog;

Json version_json(const std::optional<Version>& version) { return version ? Json(version->text()) : Json(); }

Json claim_json(const Claim& claim) {
  Json json = Json::object({{"appliesTo", artifact_name(claim.applies_to)}, {"supports", claim.supports}, {"since", version_json(claim.since)}});
  if (claim.recommended) json.set("recommended", claim.recommended->text());
  if (claim.image) json.set("image", claim.image->str());
  json.set("stated", claim.stated);
  if (!claim.written.empty()) json.set("written", claim.written);
  json.set("sources", claim.sources);
  json.set("url", claim.url);
  json.set("date", claim.date);
  json.set("place", claim.origin.file + ":" + std::to_string(claim.origin.line));
  return json;
}

Json row_json(const Row& row) {
  Json json = Json::object({{"source", row.source}, {"name", row.name}, {"url", row.url}, {"note", row.note}});
  if (!row.english.empty()) json.set("english", row.english);
  if (row.prose) json.set("prose", true);
  return json;
}

// Names of texts for people: "Container-based workloads on Graviton".
std::string credits(const Catalog& known, const std::vector<std::string>& ids) {
  std::vector<std::string> titles;
  for (const std::string& id : ids) {
    const catalog::Source* source = known.source(id);
    titles.push_back(source ? source->title : id);
  }
  return join(titles, "; ");
}

// What a table says of one kind of artifact: "1.15.0", "yes", "no", "" where nothing is claimed.
std::string said_of(const Catalog& catalog, const Product& product, Artifact artifact) {
  const Claim* claim = catalog.deciding(product, artifact);
  if (!claim || claim->applies_to != artifact) return "";
  if (!claim->supports) return "no";
  return claim->since ? claim->since->text() : "yes";
}

// Columns as wide as their widest cell; Korean names are two cells a letter, but no name of the catalog is Korean.
std::string table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (const auto& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) line += row[i] + std::string(widths[i] - row[i].size() + 2, ' ');
    text += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
  }
  return text;
}

std::string list_text(const Catalog& catalog, const std::vector<const Product*>& products) {
  std::vector<std::vector<std::string>> rows = {{"ID", "NAME", "CATEGORY", "IMAGE SINCE", "BINARY SINCE", "RELEASE SINCE", "CONFLICTS"}};
  for (const Product* product : products) {
    size_t conflicts = catalog.conflicts(*product).size();
    rows.push_back({product->id, product->name, product->category, said_of(catalog, *product, Artifact::Image), said_of(catalog, *product, Artifact::Binary),
                    said_of(catalog, *product, Artifact::Release), conflicts > 0 ? std::to_string(conflicts) : ""});
  }
  return table(rows);
}

std::string claim_text(const Catalog& catalog, const Claim& claim) {
  std::string text = std::string(artifact_name(claim.applies_to)) + (claim.image ? " " + claim.image->str() : "") + ": ";
  if (!claim.supports) text += "no arm64";
  else text += claim.since ? "arm64 since " + claim.since->text() : "arm64";
  if (claim.recommended) text += " (better " + claim.recommended->text() + ")";
  if (!claim.stated) text += ", read off a link";
  text += "\n    " + credits(catalog, claim.sources) + ", " + claim.date + "\n";
  if (!claim.written.empty()) text += "    \"" + claim.written + "\"\n";
  if (!claim.url.empty()) text += "    " + claim.url + "\n";
  return text;
}

std::string product_text(const Catalog& catalog, const Product& product) {
  std::string text = product.name + " (" + product.id + ")" + (product.category.empty() ? "" : ", " + product.category) + "\n";
  if (!product.home.empty()) text += product.home + "\n";
  if (!product.also_called.empty()) text += "also called " + join(product.also_called, ", ") + "\n";
  if (!product.images.empty()) text += "\nImages\n";
  for (const NamePattern& name : product.images) text += "  " + name.str() + "\n";
  text += "\nClaims\n";
  for (const Claim& claim : product.claims) text += "  " + claim_text(catalog, claim);
  std::vector<Conflict> conflicts = catalog.conflicts(product);
  if (!conflicts.empty()) text += "\nThese disagree; for an image, its registry decides\n";
  for (const Conflict& conflict : conflicts) text += "  " + conflict.text + "\n";
  if (!product.rows.empty()) text += "\nIn the articles\n";
  for (const Row& row : product.rows) {
    text += "  " + row.name + " | " + row.url + (row.note.empty() ? "" : " | " + row.note) + (row.english.empty() ? "" : " (" + row.english + ")") + "\n    " + credits(catalog, {row.source}) + "\n";
  }
  if (!product.notes.empty()) text += "\nNotes\n";
  for (const std::string& note : product.notes) text += "  " + note + "\n";
  return text;
}

Json products_json(const Catalog& catalog, const std::vector<const Product*>& products) {
  Json list = Json::array();
  for (const Product* product : products) list.push(product_json(catalog, *product));
  return Json::object({{"asOf", catalog.as_of()}, {"products", std::move(list)}});
}

Json moves_json(const Catalog& catalog) {
  Json list = Json::array();
  for (const Move& move : catalog.moves()) {
    list.push(Json::object({{"from", move.from.str()}, {"to", move.to.str()}, {"sameContent", move.same_content}, {"replacement", move.replacement},
                            {"why", move.why}, {"source", move.source}, {"date", move.date}, {"url", move.url}}));
  }
  return list;
}

Result<int> print_products(const Catalog& catalog, const std::vector<const Product*>& products, const Arguments& arguments, const Context& context) {
  Json json = arguments.has("json") ? products_json(catalog, products) : Json();
  if (arguments.has("json") && arguments.has("moves")) json.set("moves", moves_json(catalog));
  context.out(arguments.has("json") ? to_json(json, {.indent = 2}) + "\n" : list_text(catalog, products));
  return kOk;
}

Result<int> run_list(const Arguments& arguments, const Context& context) {
  Catalog catalog = TRY(load_catalog(arguments));
  std::vector<const Product*> products;
  auto category = arguments.one("category");
  for (const Product& product : catalog.products()) {
    bool shown = product.in_tables || arguments.has("all") || std::any_of(product.claims.begin(), product.claims.end(), [](const Claim& claim) { return claim.users; });
    if (shown && (!category || product.category == *category)) products.push_back(&product);
  }
  std::sort(products.begin(), products.end(), [](const Product* a, const Product* b) { return a->id < b->id; });
  if (arguments.has("moves") && !arguments.has("json")) {
    std::vector<std::vector<std::string>> rows = {{"FROM", "TO", "WHY"}};
    for (const Move& move : catalog.moves()) rows.push_back({move.from.str(), move.to.str(), move.why});
    context.out(table(rows));
    return kOk;
  }
  return print_products(catalog, products, arguments, context);
}

Result<int> run_show(const Arguments& arguments, const Context& context) {
  Catalog catalog = TRY(load_catalog(arguments));
  const std::string& name = arguments.positional()[0];
  auto found = named_product(catalog, name);
  // An image of nothing that is known may have moved all the same.
  auto reference = Reference::parse(name);
  std::vector<Hint> hints = reference.ok() ? catalog.hints(*reference) : std::vector<Hint>();
  if (!found.ok() && hints.empty()) return std::move(found).error();
  if (arguments.has("json")) {
    Json json = found.ok() ? product_json(catalog, **found) : Json::object();
    Json list = Json::array();
    for (const Hint& hint : hints) {
      Json one = Json::object({{"kind", kind_name(hint.kind)}, {"text", hint.text}, {"source", hint.source}, {"date", hint.date}, {"url", hint.url}});
      if (hint.suggestion) one.set("suggestion", hint.suggestion->str());
      list.push(std::move(one));
    }
    json.set("hints", std::move(list));
    context.out(to_json(json, {.indent = 2}) + "\n");
    return kOk;
  }
  std::string text = found.ok() ? product_text(catalog, **found) : "";
  if (!hints.empty()) text += std::string(text.empty() ? "" : "\n") + "About " + name + "\n";
  for (const Hint& hint : hints) text += "  " + hint.text + (hint.suggestion ? ": " + hint.suggestion->familiar() : "") + "\n";
  context.out(text);
  return kOk;
}

Result<int> run_search(const Arguments& arguments, const Context& context) {
  Catalog catalog = TRY(load_catalog(arguments));
  std::vector<const Product*> found = catalog.search(join(arguments.positional(), " "));
  if (found.empty() && !arguments.has("json")) {
    context.err("archway: the catalog knows nothing of " + join(arguments.positional(), " ") + ", which does not mean that it does not run on arm64\n");
    return kFoundProblems;
  }
  TRY(print_products(catalog, found, arguments, context));
  return found.empty() ? kFoundProblems : kOk;
}

Flag json_flag() { return {"json", 0, Flag::Kind::Bool, "", "print as JSON"}; }

}  // namespace

Flag catalog_flag() { return {"catalog", 0, Flag::Kind::Many, "FILE", "a catalog of your own on top (docs/catalog.md)"}; }

Result<Catalog> load_catalog(const Arguments& arguments) {
  Catalog catalog = Catalog::builtin();
  for (const std::string& path : arguments.many("catalog")) {
    std::string text = TRY(read_file(path, kMaxCatalogBytes).context("reading the catalog"));
    TRY(catalog.add(text, path));
  }
  return catalog;
}

Result<const Product*> named_product(const Catalog& catalog, const std::string& name) {
  if (const Product* product = catalog.find(name)) return product;
  auto reference = Reference::parse(name);
  if (const Product* product = reference.ok() ? catalog.product_of(*reference) : nullptr) return product;
  std::string lower = to_lower(name);
  auto is = [&](const std::string& text) { return to_lower(text) == lower; };
  std::vector<std::string> ids;
  for (const Product& product : catalog.products()) {
    ids.push_back(product.id);
    bool called = is(product.name) || std::any_of(product.also_called.begin(), product.also_called.end(), is) ||
                  std::any_of(product.rows.begin(), product.rows.end(), [&](const Row& row) { return is(row.name); });
    if (called) return &product;
  }
  auto near = nearest(name, ids);
  return Error{Code::NotFound, "the catalog has no product or image " + name + (near ? " (did you mean " + *near + "?)" : ""), "archway catalog search WORD"};
}

Json product_json(const Catalog& catalog, const Product& product) {
  Json json = Json::object({{"id", product.id}, {"name", product.name}, {"category", product.category}, {"home", product.home}, {"alsoCalled", product.also_called}});
  Json images = Json::array(), named = Json::array(), claims = Json::array(), rows = Json::array(), conflicts = Json::array();
  for (const NamePattern& name : product.images) images.push(name.str());
  for (const Reference& name : product.named) named.push(name.str());
  for (const Claim& claim : product.claims) claims.push(claim_json(claim));
  for (const Conflict& conflict : catalog.conflicts(product)) {
    conflicts.push(Json::object({{"claims", Json(Json::Array{Json(conflict.first), Json(conflict.second)})}, {"text", conflict.text}}));
  }
  for (const Row& row : product.rows) rows.push(row_json(row));
  json.set("images", std::move(images));
  json.set("named", std::move(named));
  json.set("claims", std::move(claims));
  json.set("conflicts", std::move(conflicts));
  json.set("rows", std::move(rows));
  json.set("notes", product.notes);
  return json;
}

Command catalog_list_command() {
  Command command;
  command.name = "catalog list";
  command.summary = "Software that runs on arm64, and since when";
  command.usage = "archway catalog list [flags]";
  command.description =
      "The software of the catalog that ships with archway, one per line: the first version whose image, binary or release (where the text\n"
      "does not say which) is claimed to run on arm64. Claims only; what a registry says counts for more.\n\n"
      "  archway catalog list --category cni\n"
      "  archway catalog list --all --json";
  command.flags = {{"all", 0, Flag::Kind::Bool, "", "also what the articles' tables do not have"},
                   {"category", 0, Flag::Kind::One, "NAME", "only these"},
                   {"moves", 0, Flag::Kind::Bool, "", "repositories that have another name now"}, catalog_flag(), json_flag()};
  command.run = run_list;
  return command;
}

Command catalog_show_command() {
  Command command;
  command.name = "catalog show";
  command.summary = "All that is claimed of one product, by whom and when";
  command.usage = "archway catalog show [flags] PRODUCT|IMAGE";
  command.description =
      "Claims with their sources and dates, those that disagree, the articles' rows, and what the catalog has to say of the image named.\n\n"
      "  archway catalog show istio\n"
      "  archway catalog show k8s.gcr.io/pause:3.2";
  command.flags = {catalog_flag(), json_flag()};
  command.min_positional = command.max_positional = 1;
  command.run = run_show;
  return command;
}

Command catalog_search_command() {
  Command command;
  command.name = "catalog search";
  command.summary = "Find software by name, image or any word said of it";
  command.usage = "archway catalog search [flags] WORDS";
  command.description = "Exit status 1 where nothing is found.\n\n  archway catalog search fluent\n  archway catalog search \"도커 허브\"";
  command.flags = {catalog_flag(), json_flag()};
  command.min_positional = 1;
  command.max_positional = 20;
  command.run = run_search;
  return command;
}

}  // namespace archway::cli
