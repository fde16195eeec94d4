#include "registry_server/answer.h"

#include <cerrno>
#include <cstring>

namespace archway::registry_server {

ServerResponse empty_response(int status) {
  ServerResponse response;
  response.status = status;
  return response;
}

ServerResponse json_response(int status, const Json& json) {
  ServerResponse response = empty_response(status);
  response.headers.set("Content-Type", "application/json");
  response.body = to_json(json);
  return response;
}

ServerResponse error_response(int status, std::string_view code, std::string_view message) {
  Json error = Json::object({{"code", code}, {"message", message}});
  return json_response(status, Json::object({{"errors", Json(Json::Array{std::move(error)})}}));
}

ServerResponse failure_response(const Error& error) {
  bool full = error.message.ends_with(std::strerror(ENOSPC)) || error.message.ends_with(std::strerror(EDQUOT));
  return error_response(full ? 507 : 500, "UNKNOWN", error.message);
}

ServerResponse digest_invalid(std::string_view message) { return error_response(400, "DIGEST_INVALID", message); }
ServerResponse blob_unknown(const Digest& digest) { return error_response(404, "BLOB_UNKNOWN", "this repository has no blob " + digest.str()); }
ServerResponse name_unknown(std::string_view repository) { return error_response(404, "NAME_UNKNOWN", "there is no repository " + std::string(repository)); }
ServerResponse method_not_allowed(std::string_view method) { return error_response(405, "UNSUPPORTED", std::string(method) + " is not possible here"); }

namespace {

class AnsweringHandler final : public RequestHandler {
 public:
  explicit AnsweringHandler(std::function<ServerResponse()> answer) : answer_(std::move(answer)) {}
  Result<void> body(Bytes) override { return {}; }
  ServerResponse finish(bool complete) override { return complete ? answer_() : empty_response(400); }

 private:
  std::function<ServerResponse()> answer_;
};

class ReadyHandler final : public RequestHandler {
 public:
  explicit ReadyHandler(ServerResponse response) : response_(std::move(response)) {}
  Result<void> body(Bytes) override { return {}; }
  ServerResponse finish(bool) override { return std::move(response_); }

 private:
  ServerResponse response_;
};

class CollectingHandler final : public RequestHandler {
 public:
  CollectingHandler(uint64_t limit, std::function<ServerResponse(std::string, bool)> answer) : limit_(limit), answer_(std::move(answer)) {}
  Result<void> body(Bytes piece) override {
    if (piece.size() > limit_ - text_.size()) {
      too_large_ = true;
      text_ = {};
      return Error{Code::Invalid, "the body is too large"};
    }
    text_.append(as_text(piece));
    return {};
  }
  ServerResponse finish(bool complete) override { return complete ? answer_(std::move(text_), too_large_) : empty_response(400); }

 private:
  uint64_t limit_;
  std::function<ServerResponse(std::string, bool)> answer_;
  std::string text_;
  bool too_large_ = false;
};

}  // namespace

std::unique_ptr<RequestHandler> answer_with(std::function<ServerResponse()> answer) { return std::make_unique<AnsweringHandler>(std::move(answer)); }
std::unique_ptr<RequestHandler> answer_with(ServerResponse response) { return std::make_unique<ReadyHandler>(std::move(response)); }
std::unique_ptr<RequestHandler> collect_body(uint64_t limit, std::function<ServerResponse(std::string, bool)> answer) {
  return std::make_unique<CollectingHandler>(limit, std::move(answer));
}

}  // namespace archway::registry_server
