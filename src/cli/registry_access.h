#pragma once

#include <memory>

#include "cli/command.h"
#include "cli/image_place.h"  // open_image, open_destination
#include "registry/client.h"

namespace archway::cli {

// A RegistryClient as flags and environment have it: ~/.docker/config.json (or DOCKER_CONFIG), proxies, mirrors, plain HTTP.
Result<std::shared_ptr<RegistryClient>> make_registry_client(const Arguments& arguments, const Context& context);
// What such a client is made of.
Result<RegistryOptions> registry_options(const Arguments& arguments, const Context& context);
std::string docker_config_path(const Context& context);
// "https://example.org/v1/", "example.org" -> "example.org"; docker.io by any of its names. For login and logout.
Result<std::string> registry_host(const std::string& spelling);
// Where archway keeps its cache: ARCHWAY_ROOT, else /var/lib/archway for root, else $XDG_DATA_HOME/archway or ~/.local/share/archway.
std::string state_root(const Context& context);

}  // namespace archway::cli
