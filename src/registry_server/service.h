#pragma once

#include <memory>
#include <optional>

#include "net/http_server.h"
#include "registry_server/route.h"
#include "registry_server/store.h"
#include "registry_server/uploads.h"

// The endpoints, by the file that has them. Each takes a request that was let in and routed.
namespace archway::registry_server {

struct Service {
  Store& store;
  Uploads& uploads;
};
using Handler = std::unique_ptr<RequestHandler>;

// blobs.cc: GET, HEAD, DELETE of a blob
Handler handle_blob(Service& service, const ServerRequest& request, const Route& route);
// blob_uploads.cc: POST, PATCH, PUT, GET, DELETE of uploads, and mounts
Handler handle_uploads(Service& service, const ServerRequest& request, const Route& route);
Handler handle_upload(Service& service, const ServerRequest& request, const Route& route);
// manifests.cc
Handler handle_manifest(Service& service, const ServerRequest& request, const Route& route);
// lists.cc: tags, catalog, referrers
Handler handle_tags(Service& service, const ServerRequest& request, const Route& route);
Handler handle_catalog(Service& service, const ServerRequest& request);
Handler handle_referrers(Service& service, const ServerRequest& request, const Route& route);

// An answer of one stored file, or the part of it that the request's Range asks for (blobs.cc).
ServerResponse file_response(const ServerRequest& request, OpenBlob blob, const Digest& digest, std::string_view media_type);

}  // namespace archway::registry_server
