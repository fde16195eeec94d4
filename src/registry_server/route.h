#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace archway::registry_server {

// The endpoints of distribution-spec 1.1 (its table of end-1 to end-14), and _catalog of Docker's.
enum class Endpoint { Base, Catalog, Tags, Manifest, Blob, Uploads, Upload, Referrers };

struct Route {
  Endpoint endpoint = Endpoint::Base;
  std::string repository = {};  // valid where the endpoint has one
  std::string item = {};        // tag or digest, digest, upload id: as given, percent-decoded, not yet checked
};

enum class RouteError { NotFound, InvalidName };
struct RouteResult {
  std::optional<Route> route = {};
  RouteError error = RouteError::NotFound;
};

// A path as it came in the request line. Escapes are decoded after it is split, so that none of them is a separator.
RouteResult parse_route(std::string_view path);

inline constexpr size_t kMaxRepositoryNameBytes = 255;
// By the grammar of distribution-spec ("Pulling manifests"). Also refuses "blobs", "index.json" and "oci-layout" after
// the first slash: in the store a repository is a folder that has entries of these names.
bool is_repository_name(std::string_view name);
bool is_tag(std::string_view tag);
bool is_upload_id(std::string_view id);  // 32 lower-case hex digits, as we give them out

}  // namespace archway::registry_server
