#include "base/text.h"
#include "build/build_store.h"
#include "cli/build_flags.h"
#include "cli/command.h"
#include "cli/registry_access.h"
#include "format/json.h"

namespace archway::cli {

namespace {

using build::BuildStore;

using Kind = BuildStore::Entry::Kind;

std::string description(const BuildStore::Entry& entry) {
  switch (entry.kind) {
    case Kind::CacheMount: return "cache mount " + entry.what;
    case Kind::ContextMount: return "mounted context " + entry.what;
    case Kind::Layer: break;
  }
  return entry.what.empty() ? "layer of a base image" : entry.what;
}

Json layer_json(const BuildStore::Entry& entry) {
  return Json::object({{"diff_id", entry.id},
                       {"description", description(entry)},
                       {"blob_bytes", entry.blob_bytes},
                       {"unpacked_bytes", entry.unpacked_bytes},
                       {"last_used", format_rfc3339(entry.used)}});
}

Json mount_json(const BuildStore::Entry& entry) {
  return Json::object({{"id", entry.id},
                       {"kind", entry.kind == Kind::CacheMount ? "cache" : "context"},
                       {"description", description(entry)},
                       {"bytes", entry.bytes()},
                       {"last_used", format_rfc3339(entry.used)}});
}

// As much of a digest as people need.
std::string short_id(const std::string& id) {
  constexpr size_t kShown = 12;
  const size_t colon = id.find(':');
  return id.substr(colon == std::string::npos ? 0 : colon + 1, kShown);
}

std::string entries_table(const std::vector<BuildStore::Entry>& entries) {
  std::string text = "ID             SIZE      LAST USED            DESCRIPTION\n";
  Time now = system_clock().now();
  auto pad = [](std::string s, size_t width) { return s + std::string(s.size() < width ? width - s.size() : 1, ' '); };
  for (const BuildStore::Entry& entry : entries) {
    const bool of_base = entry.kind == Kind::Layer && entry.what.empty();
    text += pad(short_id(entry.id), 15) + pad(human_bytes(entry.bytes()), 10) + pad(human_age(entry.used, now), 21) +
            (of_base ? "(" + description(entry) + ")" : description(entry)) + "\n";
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
    Json layers = Json::array(), mounts = Json::array();
    for (const BuildStore::Entry& entry : entries) {
      if (entry.kind == Kind::Layer) layers.push(layer_json(entry));
      else mounts.push(mount_json(entry));
    }
    const std::string mounts_name = std::string(name) == "layers" ? "mounts" : std::string(name) + "_mounts";
    context.out(to_json(Json::object({{name, layers}, {mounts_name, mounts}, {"total_bytes", total_bytes(entries)}}), {.indent = 2}) + "\n");
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
