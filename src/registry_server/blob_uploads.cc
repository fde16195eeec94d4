#include <algorithm>

#include "base/text.h"
#include "registry_server/answer.h"
#include "registry_server/range.h"
#include "registry_server/service.h"

namespace archway::registry_server {

namespace {

std::string upload_location(const std::string& repository, const std::string& id) { return "/v2/" + repository + "/blobs/uploads/" + id; }

// 202 or 204, and 416: where the upload stands. An upload with nothing in it is "0-0" too: the specification has no other word.
ServerResponse progress_response(int status, const std::string& repository, const UploadLease& upload) {
  ServerResponse response = status == 416 ? error_response(416, "BLOB_UPLOAD_INVALID", "this chunk does not begin where the upload ends, after " + std::to_string(upload.size()) + " bytes")
                                          : empty_response(status);
  response.headers.set("Location", upload_location(repository, upload.id()));
  response.headers.set("Range", "0-" + std::to_string(upload.size() > 0 ? upload.size() - 1 : 0));
  response.headers.set("Docker-Upload-UUID", upload.id());
  return response;
}

ServerResponse created_response(const std::string& repository, const Digest& digest) {
  ServerResponse response = empty_response(201);
  response.headers.set("Location", "/v2/" + repository + "/blobs/" + digest.str());
  response.headers.set("Docker-Content-Digest", digest.str());
  return response;
}

ServerResponse lease_failure(const Error& error) {
  if (error.code == Code::NotFound) return error_response(404, "BLOB_UPLOAD_UNKNOWN", error.message);
  if (error.code == Code::Exists) return error_response(409, "BLOB_UPLOAD_INVALID", error.message);
  if (error.code == Code::Unavailable) {
    ServerResponse response = error_response(429, "TOOMANYREQUESTS", error.message);
    response.headers.set("Retry-After", "5");
    return response;
  }
  return failure_response(error);
}

ServerResponse commit_upload(Service& service, const std::string& name, UploadLease& upload, const Digest& digest) {
  auto repository = service.store.find_or_create(name);
  if (!repository.ok()) return failure_response(repository.error());
  auto committed = upload.commit(digest, service.store, **repository);
  if (committed.ok()) return created_response(name, digest);
  if (committed.error().code == Code::Mismatch) return digest_invalid(committed.error().message);
  return failure_response(committed.error());
}

// Bytes for an upload: all of it (POST, PUT), one chunk or a stream (PATCH), or the last chunk (PUT).
class UploadHandler final : public RequestHandler {
 public:
  UploadHandler(Service& service, std::string repository, std::unique_ptr<UploadLease> upload, std::optional<Digest> commit_as)
      : service_(service), repository_(std::move(repository)), upload_(std::move(upload)), commit_as_(std::move(commit_as)) {
    if (commit_as_) upload_->expect(commit_as_->algorithm());
  }

  // Checks where the chunk claims to lie, before any of it comes.
  void expect_chunk(const ServerRequest& request) {
    const std::string* header = request.headers.find("Content-Range");
    if (!header) return;
    auto range = parse_content_range(*header);
    if (!range) {
      refusal_ = error_response(400, "BLOB_UPLOAD_INVALID", "\"" + *header + "\" is no range of the form 0-1023");
      return;
    }
    if (range->first != upload_->size()) {
      refusal_ = progress_response(416, repository_, *upload_);
      return;
    }
    chunk_length_ = range->length;
    auto length = parse_uint(trim(request.headers.get("Content-Length")));
    if (length && *length != range->length) refusal_ = error_response(400, "SIZE_INVALID", "Content-Range and Content-Length do not agree");
  }

  Result<void> body(Bytes piece) override {
    if (refusal_) return Error{Code::Invalid, "refused"};
    if (chunk_length_ && piece.size() > *chunk_length_ - received_) {
      refusal_ = error_response(400, "SIZE_INVALID", "more bytes came than Content-Range announced");
      return Error{Code::Invalid, "refused"};
    }
    received_ += piece.size();
    auto appended = upload_->append(piece);
    if (!appended.ok()) refusal_ = failure_response(appended.error());
    return appended;
  }

  ServerResponse finish(bool complete) override {
    // What came before the connection broke stays for the client to go on from.
    if (!complete) return empty_response(400);
    if (refusal_) return std::move(*refusal_);
    if (chunk_length_ && received_ != *chunk_length_) return error_response(400, "SIZE_INVALID", "fewer bytes came than Content-Range announced");
    if (commit_as_) return commit_upload(service_, repository_, *upload_, *commit_as_);
    return progress_response(202, repository_, *upload_);
  }

 private:
  Service& service_;
  std::string repository_;
  std::unique_ptr<UploadLease> upload_;
  std::optional<Digest> commit_as_;
  std::optional<uint64_t> chunk_length_;
  std::optional<ServerResponse> refusal_;
  uint64_t received_ = 0;
};

// nullopt: the bytes have to come (distribution-spec: 202 and an upload, as if no mount had been asked for).
std::optional<ServerResponse> try_mount(Service& service, const ServerRequest& request, const Route& route, const Digest& digest) {
  std::shared_ptr<Repository> from;
  if (auto name = request.query_value("from"); name && is_repository_name(*name)) {
    auto found = service.store.find(*name);
    if (found.ok()) from = std::move(*found);
  }
  // Whoever may push here may pull everywhere: so any repository's blob will do, also where `from` names another.
  auto to = service.store.find_or_create(route.repository);
  if (!to.ok()) return failure_response(to.error());
  for (Repository* source : {from.get(), static_cast<Repository*>(nullptr)}) {
    auto mounted = service.store.mount(source, **to, digest);
    if (!mounted.ok()) return failure_response(mounted.error());
    if (*mounted) return created_response(route.repository, digest);
  }
  return std::nullopt;
}

Handler begin_upload(Service& service, const ServerRequest& request, const Route& route) {
  HashAlgorithm algorithm = HashAlgorithm::Sha256;
  if (auto name = request.query_value("digest-algorithm")) {
    if (*name != "sha256" && *name != "sha512") return answer_with(digest_invalid("the digest algorithm " + *name + " is not supported, only sha256 and sha512"));
    if (*name == "sha512") algorithm = HashAlgorithm::Sha512;
  }
  if (auto mount = request.query_value("mount")) {
    auto digest = Digest::parse(*mount);
    if (!digest.ok()) return answer_with(digest_invalid(digest.error().message));
    if (auto mounted = try_mount(service, request, route, *digest)) return answer_with(std::move(*mounted));
  }
  std::optional<Digest> whole;
  if (auto text = request.query_value("digest")) {
    auto digest = Digest::parse(*text);
    if (!digest.ok()) return answer_with(digest_invalid(digest.error().message));
    whole = std::move(*digest);
  }
  auto upload = service.uploads.begin(route.repository, algorithm);
  if (!upload.ok()) return answer_with(lease_failure(upload.error()));
  if (!whole) return answer_with(progress_response(202, route.repository, **upload));
  return std::make_unique<UploadHandler>(service, route.repository, std::move(*upload), std::move(whole));
}

Handler receive_chunk(Service& service, const ServerRequest& request, const Route& route, std::unique_ptr<UploadLease> upload) {
  std::optional<Digest> last;
  if (request.method == "PUT") {
    auto digest = Digest::parse(request.query_value("digest").value_or(""));
    if (!digest.ok()) return answer_with(digest_invalid(digest.error().message));
    last = std::move(*digest);
  }
  auto handler = std::make_unique<UploadHandler>(service, route.repository, std::move(upload), std::move(last));
  handler->expect_chunk(request);
  return handler;
}

}  // namespace

Handler handle_uploads(Service& service, const ServerRequest& request, const Route& route) {
  if (request.method == "POST") return begin_upload(service, request, route);
  return answer_with(method_not_allowed(request.method));
}

Handler handle_upload(Service& service, const ServerRequest& request, const Route& route) {
  static constexpr std::string_view kMethods[] = {"PATCH", "PUT", "GET", "HEAD", "DELETE"};
  if (std::find(std::begin(kMethods), std::end(kMethods), request.method) == std::end(kMethods)) return answer_with(method_not_allowed(request.method));
  if (!is_upload_id(route.item)) return answer_with(error_response(404, "BLOB_UPLOAD_UNKNOWN", "there is no such upload"));
  auto upload = service.uploads.lease(route.repository, route.item);
  if (!upload.ok()) return answer_with(lease_failure(upload.error()));
  if (request.method == "PATCH" || request.method == "PUT") return receive_chunk(service, request, route, std::move(*upload));
  if (request.method == "DELETE") {
    (*upload)->cancel();
    return answer_with(empty_response(204));
  }
  return answer_with(progress_response(204, route.repository, **upload));
}

}  // namespace archway::registry_server
