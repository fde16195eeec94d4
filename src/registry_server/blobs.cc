#include "base/text.h"
#include "registry_server/answer.h"
#include "registry_server/range.h"
#include "registry_server/service.h"

namespace archway::registry_server {

namespace {

bool already_has(const ServerRequest& request, const std::string& etag) {
  const std::string* given = request.headers.find("If-None-Match");
  if (!given) return false;
  for (const std::string& one : split(*given, ',')) {
    std::string_view tag = trim(one);
    if (tag.starts_with("W/")) tag.remove_prefix(2);
    if (tag == "*" || tag == etag) return true;
  }
  return false;
}

ServerResponse get_blob(Repository& repository, const ServerRequest& request, const Digest& digest) {
  auto blob = repository.open_blob(digest);
  if (!blob.ok()) return blob.error().code == Code::NotFound ? blob_unknown(digest) : failure_response(blob.error());
  return file_response(request, std::move(*blob), digest, "application/octet-stream");
}

ServerResponse delete_blob(Service& service, Repository& repository, const Digest& digest) {
  auto removed = repository.remove_blob(digest);
  if (removed.ok()) {
    service.store.forget_unused(digest);
    return empty_response(202);
  }
  if (removed.error().code == Code::NotFound) return blob_unknown(digest);
  if (removed.error().code == Code::Exists) return error_response(405, "UNSUPPORTED", removed.error().message);
  return failure_response(removed.error());
}

}  // namespace

ServerResponse file_response(const ServerRequest& request, OpenBlob blob, const Digest& digest, std::string_view media_type) {
  ServerResponse response;
  // What a digest names never changes: the digest is the validator.
  std::string etag = "\"" + digest.str() + "\"";
  response.headers.set("Docker-Content-Digest", digest.str());
  response.headers.set("ETag", etag);
  if (already_has(request, etag)) {
    response.status = 304;
    return response;
  }
  response.headers.set("Content-Type", std::string(media_type));
  response.headers.set("Accept-Ranges", "bytes");
  response.head_only = request.method == "HEAD";
  response.file_length = blob.size;
  const std::string* range = request.headers.find("Range");
  const std::string* condition = request.headers.find("If-Range");
  if (range && (!condition || *condition == etag)) {
    RequestedRange wanted = parse_range(*range, blob.size);
    std::string of = "/" + std::to_string(blob.size);
    if (wanted.kind == RangeKind::Unsatisfiable) {
      ServerResponse refused = error_response(416, "BLOB_UNKNOWN", "the range " + *range + " is not in the " + std::to_string(blob.size) + " bytes of this blob");
      refused.headers.set("Content-Range", "bytes *" + of);
      return refused;
    }
    if (wanted.kind == RangeKind::Part) {
      response.status = 206;
      response.file_offset = wanted.part.first;
      response.file_length = wanted.part.length;
      response.headers.set("Content-Range", "bytes " + std::to_string(wanted.part.first) + "-" + std::to_string(wanted.part.first + wanted.part.length - 1) + of);
    }
  }
  // sendfile has nothing to send of an empty file, and libmicrohttpd takes none.
  if (!response.head_only && response.file_length > 0) response.file = std::move(blob.file);
  return response;
}

Handler handle_blob(Service& service, const ServerRequest& request, const Route& route) {
  auto digest = Digest::parse(route.item);
  if (!digest.ok()) return answer_with(digest_invalid(digest.error().message));
  auto repository = service.store.find(route.repository);
  if (!repository.ok()) return answer_with(failure_response(repository.error()));
  if (!*repository) return answer_with(name_unknown(route.repository));
  if (request.method == "GET" || request.method == "HEAD") return answer_with(get_blob(**repository, request, *digest));
  if (request.method == "DELETE") return answer_with(delete_blob(service, **repository, *digest));
  return answer_with(method_not_allowed(request.method));
}

}  // namespace archway::registry_server
