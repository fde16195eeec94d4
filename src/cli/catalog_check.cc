// Asks the registries what of the catalog still holds.
#include <algorithm>
#include <map>
#include <set>

#include "base/text.h"
#include "base/thread_pool.h"
#include "catalog/promise.h"
#include "cli/catalog_commands.h"
#include "cli/image_lookup.h"

namespace archway::cli {

namespace {

using namespace catalog;

constexpr size_t kListsAtOnce = 8;  // repositories whose tags are listed side by side

// One repository about which something is claimed.
struct Check {
  const Product* product = nullptr;  // null: of a move to a name that no product has
  std::string repository, moved_from;
  Claim claim;
  Result<std::vector<std::string>> tags = Error{Code::Unavailable, "not asked"};
  TagsToAsk ask;
  Verdict verdict;
};

void add_product(const Catalog& catalog, const Product& product, std::vector<Check>& checks) {
  for (const NamePattern& name : product.images) {
    const Claim* claim = name.has_wildcards() ? nullptr : catalog.deciding(product, Artifact::Image, name.str());
    if (claim) checks.push_back({.product = &product, .repository = name.str(), .moved_from = {}, .claim = *claim, .ask = {}, .verdict = {}});
  }
}

// A move says that the new name is worth having: its images hold arm64.
void add_moves(const Catalog& catalog, std::vector<Check>& checks) {
  std::set<std::string> seen;
  for (const Check& check : checks) seen.insert(check.repository);
  for (const Move& move : catalog.moves()) {
    if (move.to.has_wildcards() || !seen.insert(move.to.str()).second) continue;
    Claim claim;
    claim.applies_to = Artifact::Image;
    claim.sources = {move.source};
    claim.date = move.date;
    claim.origin = move.origin;
    checks.push_back({.product = nullptr, .repository = move.to.str(), .moved_from = move.from.str(), .claim = std::move(claim), .ask = {}, .verdict = {}});
  }
}

Result<std::vector<Check>> checks_for(const Catalog& catalog, const std::vector<std::string>& names) {
  std::vector<Check> checks;
  for (const std::string& name : names) add_product(catalog, *TRY(named_product(catalog, name)), checks);
  if (!names.empty()) return checks;
  for (const Product& product : catalog.products()) add_product(catalog, product, checks);
  add_moves(catalog, checks);
  return checks;
}

void list_tags(ImageLookup& lookup, std::vector<Check>& checks, std::stop_token stop) {
  auto list = [&](size_t i) -> Result<void> {
    Check& check = checks[i];
    check.tags = lookup.tags(check.repository, {}, stop);
    if (check.tags.ok()) check.ask = tags_to_ask(check.claim, *check.tags);
    return {};  // a registry that does not answer says nothing of others
  };
  (void)parallel_for(checks.size(), kListsAtOnce, list).ok();
}

void judge_all(ImageLookup& lookup, std::vector<Check>& checks, std::stop_token stop) {
  std::vector<std::string> references;
  for (const Check& check : checks) {
    for (const auto& tag : {check.ask.first, check.ask.before, check.ask.newest}) {
      if (tag) references.push_back(check.repository + ":" + *tag);
    }
  }
  std::sort(references.begin(), references.end());
  references.erase(std::unique(references.begin(), references.end()), references.end());
  auto facts = lookup.look_up_all(references, {}, {}, stop);
  std::map<std::string, bool> holds;
  const Platform arm64{"linux", "arm64"};
  for (size_t i = 0; i < references.size(); ++i) {
    if (facts[i].ok()) holds[references[i]] = (*facts[i])->truth.runs_on(arm64);
  }
  for (Check& check : checks) {
    if (!check.tags.ok()) {
      check.verdict.text = check.tags.error().message;
      continue;
    }
    check.verdict = judge(check.claim, check.ask, [&](const std::string& tag) -> std::optional<bool> {
      auto found = holds.find(check.repository + ":" + tag);
      if (found == holds.end()) return std::nullopt;
      return found->second;
    });
  }
}

std::string claimed(const Check& check) {
  if (!check.moved_from.empty()) return "instead of " + check.moved_from;
  if (!check.claim.supports) return "no arm64";
  return check.claim.since ? "arm64 since " + check.claim.since->text() : "arm64";
}

std::string text_of(const std::vector<Check>& checks, bool all) {
  std::map<Holding, size_t> counts;
  std::string text;
  for (const Check& check : checks) {
    ++counts[check.verdict.holding];
    if (check.verdict.holding == Holding::Holds && !all) continue;
    text += std::string(holding_name(check.verdict.holding)) + "  " + check.repository + " (" + claimed(check) + ")\n    " + check.verdict.text + "\n    " + check.claim.origin.file +
            ":" + std::to_string(check.claim.origin.line) + "\n";
  }
  auto count = [&](Holding holding) { return std::to_string(counts[holding]); };
  return text + count(Holding::Holds) + " hold, " + count(Holding::Earlier) + " held earlier than claimed, " + count(Holding::NoLonger) + " no longer hold, " + count(Holding::Unknown) +
         " unknown\n";
}

Json json_of(const Catalog& catalog, const std::vector<Check>& checks) {
  Json list = Json::array();
  for (const Check& check : checks) {
    Json one = Json::object({{"product", check.product ? Json(check.product->id) : Json()}, {"repository", check.repository}, {"claimed", claimed(check)},
                             {"verdict", holding_name(check.verdict.holding)}, {"text", check.verdict.text}, {"date", check.claim.date}});
    one.set("place", check.claim.origin.file + ":" + std::to_string(check.claim.origin.line));
    list.push(std::move(one));
  }
  return Json::object({{"asOf", catalog.as_of()}, {"checks", std::move(list)}});
}

int status_of(const std::vector<Check>& checks) {
  auto any = [&](Holding holding) { return std::any_of(checks.begin(), checks.end(), [&](const Check& check) { return check.verdict.holding == holding; }); };
  if (any(Holding::NoLonger)) return kFoundProblems;
  return any(Holding::Unknown) ? kCouldNot : kOk;
}

Result<int> run_check(const Arguments& arguments, const Context& context) {
  Catalog catalog = TRY(load_catalog(arguments));
  std::vector<Check> checks = TRY(checks_for(catalog, arguments.positional()));
  auto lookup = TRY(make_image_lookup(arguments, context));
  list_tags(*lookup, checks, context.stop);
  judge_all(*lookup, checks, context.stop);
  if (context.stop.stop_requested()) return Error{Code::Cancelled, "stopped before all registries had answered"};
  context.out(arguments.has("json") ? to_json(json_of(catalog, checks), {.indent = 2}) + "\n" : text_of(checks, arguments.has("all")));
  return status_of(checks);
}

}  // namespace

Command catalog_check_command() {
  Command command;
  command.name = "catalog check";
  command.summary = "Ask the registries what of the catalog still holds";
  command.usage = "archway catalog check [flags] [PRODUCT...]";
  command.description =
      "For each repository of a product: does the first version that is claimed to hold arm64 hold it, and does the newest? Names that\n"
      "repositories moved to are asked for, too. Exit status: 0 all holds, 1 something does not, 2 a registry did not answer.\n\n"
      "  archway catalog check istio cilium\n"
      "  archway catalog check --catalog ours.yaml --json";
  command.flags = {{"all", 0, Flag::Kind::Bool, "", "also print what holds"}, catalog_flag(), {"json", 0, Flag::Kind::Bool, "", "print as JSON"}};
  for (Flag& flag : lookup_flags()) command.flags.push_back(std::move(flag));
  command.max_positional = 1000;
  command.run = run_check;
  return command;
}

}  // namespace archway::cli
