#include "base/text.h"
#include "build/build_store.h"
#include "cli/build_flags.h"
#include "cli/command.h"
#include "cli/registry_access.h"
#include "format/json.h"

namespace archway::cli {

namespace {

using build::BuildStore;

Json entry_json(const BuildStore::Entry& entry) {
  return Json::object({{"diff_id", entry.diff_id.str()},
                       {"description", entry.what.empty() ? "layer of a base image" : entry.what},
                       {"blob_bytes", entry.blob_bytes},
                       {"unpacked_bytes", entry.unpacked_bytes},
                       {"last_used", format_rfc3339(entry.used)}});
}

std::string entries_table(const std::vector<BuildStore::Entry>& entries) {
  std::string text = "LAYER          SIZE      LAST USED            DESCRIPTION\n";
  Time now = system_clock().now();
  auto pad = [](std::string s, size_t width) { return s + std::string(s.size() < width ? width - s.size() : 1, ' '); };
  for (const BuildStore::Entry& entry : entries) {
    text += pad(entry.diff_id.short_hex(), 15) + pad(human_bytes(entry.bytes()), 10) + pad(human_age(entry.used, now), 21) +
            (entry.what.empty() ? "(layer of a base image)" : entry.what) + "\n";
  }
  return text;
}

uint64_t total_bytes(const std::vector<BuildStore::Entry>& entries) {
  uint64_t total = 0;
  for (const BuildStore::Entry& entry : entries) total += entry.bytes();
  return total;
}

void print(const Context& context, const Arguments& arguments, const char* name, const std::vector<BuildStore::Entry>& entries, const std::string& last_line) {
  if (arguments.has("json")) {
    Json list = Json::array();
    for (const BuildStore::Entry& entry : entries) list.push(entry_json(entry));
    context.out(to_json(Json::object({{name, list}, {"total_bytes", total_bytes(entries)}}), {.indent = 2}) + "\n");
    return;
  }
  context.out((entries.empty() ? "" : entries_table(entries)) + last_line + human_bytes(total_bytes(entries)) + "\n");
}

Result<int> run_du(const Arguments& arguments, const Context& context) {
  auto store = TRY(BuildStore::open(state_root(context)));
  print(context, arguments, "layers", TRY(store->entries()), "Total: ");
  return kOk;
}

Result<int> run_prune(const Arguments& arguments, const Context& context) {
  uint64_t keep = TRY(cache_limit(arguments, context));
  if (arguments.has("all")) keep = 0;
  if (auto given = arguments.one("keep-storage")) keep = TRY(parse_size(*given));
  auto store = TRY(BuildStore::open(state_root(context)));
  print(context, arguments, "removed", TRY(store->prune(keep, BuildStore::Wait::Yes)), "Reclaimed: ");
  return kOk;
}

}  // namespace

Command cache_du_command() {
  Command command;
  command.name = "cache du";
  command.summary = "Show what the build cache holds";
  command.usage = "archway cache du [--json]";
  command.flags = {{"json", 0, Flag::Kind::Bool, "", "print as JSON"}};
  command.needs_user_namespace = true;
  command.run = run_du;
  return command;
}

Command cache_prune_command() {
  Command command;
  command.name = "cache prune";
  command.summary = "Remove what was not used for longest from the build cache";
  command.usage = "archway cache prune [--all | --keep-storage SIZE] [--json]";
  command.description = "Without flags, down to the size that builds keep to (20GB, or ARCHWAY_CACHE_SIZE). Waits for running builds.";
  command.flags = {{"all", 'a', Flag::Kind::Bool, "", "remove everything"},
                   {"keep-storage", 0, Flag::Kind::One, "SIZE", "keep at most this much, such as 5GB"},
                   {"json", 0, Flag::Kind::Bool, "", "print as JSON"}};
  command.needs_user_namespace = true;
  command.run = run_prune;
  return command;
}

}  // namespace archway::cli
