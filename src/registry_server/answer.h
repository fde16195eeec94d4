#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "format/json.h"
#include "image/digest.h"
#include "net/http_server.h"

// How the registry's answers look (distribution-spec 1.1, "Error Codes").
namespace archway::registry_server {

ServerResponse error_response(int status, std::string_view code, std::string_view message);
ServerResponse json_response(int status, const Json& json);
ServerResponse empty_response(int status);
// An Error of ours that no endpoint has words for: 500, or 507 where the disk is full.
ServerResponse failure_response(const Error& error);

ServerResponse digest_invalid(std::string_view message);
ServerResponse blob_unknown(const Digest& digest);
ServerResponse name_unknown(std::string_view repository);
ServerResponse method_not_allowed(std::string_view method);

// Answers when the body, which it does not want, has ended.
std::unique_ptr<RequestHandler> answer_with(std::function<ServerResponse()> answer);
std::unique_ptr<RequestHandler> answer_with(ServerResponse response);
// Collects the body; it is empty, and `too_large` true, where there is more of it than `limit`.
std::unique_ptr<RequestHandler> collect_body(uint64_t limit, std::function<ServerResponse(std::string body, bool too_large)> answer);

}  // namespace archway::registry_server
