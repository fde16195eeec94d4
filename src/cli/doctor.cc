// archway doctor: what this machine can do, and what to do about the rest.
#include <algorithm>

#include "cli/command.h"
#include "cli/locale.h"
#include "cli/registry_access.h"
#include "format/json.h"
#include "runtime/runtime.h"

namespace archway::cli {

namespace {

const char* state_name(Capability::State state) {
  switch (state) {
    case Capability::State::Ok: return "ok";
    case Capability::State::Limited: return "limited";
    case Capability::State::Missing: return "missing";
  }
  return "missing";
}

std::string mark(Capability::State state, bool utf8) {
  if (state == Capability::State::Ok) return utf8 ? "✓" : "ok";
  if (state == Capability::State::Limited) return utf8 ? "!" : "! ";
  return utf8 ? "✗" : "x ";
}

std::string table(const std::vector<Capability>& all, bool utf8) {
  size_t width = 0;
  for (const Capability& one : all) width = std::max(width, one.name.size());
  std::string text;
  for (const Capability& one : all) {
    text += mark(one.state, utf8) + " " + one.name + std::string(width - one.name.size() + 2, ' ') + one.detail + "\n";
    if (!one.advice.empty() && one.state != Capability::State::Ok) text += std::string(width + (utf8 ? 4 : 5), ' ') + (utf8 ? "→ " : "-> ") + one.advice + "\n";
  }
  return text;
}

Json as_json(const std::vector<Capability>& all, bool ready) {
  Json list = Json::array();
  for (const Capability& one : all) {
    list.push(Json::object({{"name", one.name}, {"state", state_name(one.state)}, {"detail", one.detail}, {"advice", one.advice}}));
  }
  return Json::object({{"ready", ready}, {"capabilities", std::move(list)}});
}

// Can images for both of the usual platforms be built here, RUN steps and all?
bool builds_for_both(const std::vector<Capability>& all) {
  int runs = 0;
  for (const Capability& one : all) {
    if ((one.name == "run linux/amd64" || one.name == "run linux/arm64") && one.state == Capability::State::Ok) ++runs;
  }
  return runs == 2;
}

Result<int> run(const Arguments& arguments, const Context& context) {
  RuntimeOptions options;
  options.state_dir = state_root(context) + "/runtime";
  options.runtime = arguments.one_or("runtime", "");
  std::vector<Capability> all = probe_machine(options);
  bool ready = builds_for_both(all);
  if (arguments.has("json")) {
    context.out(to_json(as_json(all, ready), {.indent = 2}) + "\n");
    return ready ? kOk : kFoundProblems;
  }
  context.out(table(all, speaks_utf8(context)));
  context.out(ready ? "\nThis machine builds for linux/amd64 and linux/arm64.\n" : "\nThis machine cannot build for both linux/amd64 and linux/arm64 yet.\n");
  return ready ? kOk : kFoundProblems;
}

}  // namespace

Command doctor_command() {
  Command command;
  command.name = "doctor";
  command.summary = "Show what this machine can do, and what to do about the rest";
  command.usage = "archway doctor [--json]";
  command.description =
      "Tries what builds need: an OCI runtime, overlayfs, namespaces, an emulator for each architecture, network and disk.\n"
      "Nothing stays mounted or registered. Exits with 0 when builds for both linux/amd64 and linux/arm64 can work here, else with 1.\n\n"
      "    archway doctor\n"
      "    archway doctor --json | jq '.capabilities[] | select(.state != \"ok\")'\n";
  command.flags = {{"json", 0, Flag::Kind::Bool, "", "print JSON"},
                   {"runtime", 0, Flag::Kind::One, "PROGRAM", "try this OCI runtime instead of crun and runc"}};
  command.needs_user_namespace = true;
  command.run = run;
  return command;
}

}  // namespace archway::cli
