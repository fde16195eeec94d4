#include "cli/command.h"
#include "cli/registry_access.h"
#include "registry/docker_config.h"

namespace archway::cli {
namespace {

Result<int> run(const Arguments& arguments, const Context& context) {
  std::string host = TRY(registry_host(arguments.positional().empty() ? "docker.io" : arguments.positional()[0]));
  DockerConfig config = TRY(DockerConfig::load(docker_config_path(context)));
  bool erased = TRY(config.erase(host));
  context.out(erased ? "Removed login credentials for " + host + "\n" : "Not logged in to " + host + "\n");
  return kOk;
}

}  // namespace

Command logout_command() {
  Command command;
  command.name = "logout";
  command.summary = "Log out from a registry";
  command.usage = "archway logout [HOST]";
  command.description = "Removes what `archway login` or `docker login` stored for HOST (docker.io unless given).";
  command.max_positional = 1;
  command.run = run;
  return command;
}

}  // namespace archway::cli
