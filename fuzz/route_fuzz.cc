#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "registry_server/route.h"

// A path that is routed names a repository which is a plain relative path below the store.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace archway::registry_server;
  RouteResult result = parse_route({reinterpret_cast<const char*>(data), size});
  if (!result.route || result.route->endpoint == Endpoint::Base || result.route->endpoint == Endpoint::Catalog) return 0;
  const std::string& name = result.route->repository;
  CHECK(is_repository_name(name));
  CHECK(name.find("..") == std::string::npos && name.front() != '/' && name.front() != '_' && name.front() != '.');
  return 0;
}
