#include <algorithm>

#include "base/text.h"
#include "registry_server/answer.h"
#include "registry_server/service.h"

namespace archway::registry_server {

namespace {

// Longer lists come in pages, also where nobody asked for them.
constexpr size_t kMaxPage = 10'000;
constexpr size_t kMaxReferrersPage = 1'000;

struct Page {
  size_t limit = kMaxPage;
  std::string last;
};

std::optional<Page> requested_page(const ServerRequest& request) {
  Page page;
  page.last = request.query_value("last").value_or("");
  if (auto text = request.query_value("n")) {
    auto n = parse_uint(*text);
    if (!n) return std::nullopt;
    page.limit = static_cast<size_t>(std::min<uint64_t>(*n, kMaxPage));
  }
  return page;
}

// `body` with the names after page.last as its member `name`, and a Link header where there are more than fit
// (distribution-spec, "Listing Tags").
ServerResponse page_response(Json body, std::string_view name, std::vector<std::string> names, const Page& page, const std::string& path) {
  auto begin = page.last.empty() ? names.begin() : std::upper_bound(names.begin(), names.end(), page.last);
  size_t left = static_cast<size_t>(names.end() - begin);
  size_t count = std::min(left, page.limit);
  std::vector<std::string> taken(begin, begin + static_cast<ptrdiff_t>(count));
  body.set(name, Json(taken));
  ServerResponse response = json_response(200, body);
  if (count > 0 && count < left) {
    response.headers.set("Link", "<" + path + "?" + encode_query({{"last", taken.back()}, {"n", std::to_string(page.limit)}}) + ">; rel=\"next\"");
  }
  return response;
}

ServerResponse list_tags(Repository& repository, const ServerRequest& request, const Route& route) {
  auto page = requested_page(request);
  if (!page) return error_response(400, "PAGINATION_NUMBER_INVALID", "n is no number");
  std::vector<std::string> tags = repository.tags();
  // Other tools write names into a layout that are no tags here.
  std::erase_if(tags, [](const std::string& tag) { return !is_tag(tag); });
  return page_response(Json::object({{"name", route.repository}}), "tags", std::move(tags), *page, "/v2/" + route.repository + "/tags/list");
}

ServerResponse list_referrers(const std::vector<Descriptor>& all, const ServerRequest& request, const Route& route) {
  auto type = request.query_value("artifactType");
  std::string last = request.query_value("last").value_or("");
  Json list = Json::array();
  std::optional<std::string> next;
  for (const Descriptor& referrer : all) {
    if (type && referrer.artifact_type != *type) continue;
    if (!last.empty() && referrer.digest.str() <= last) continue;
    if (list.size() == kMaxReferrersPage) {
      next = list.items().back()["digest"].string();
      break;
    }
    list.push(descriptor_json(referrer));
  }
  ServerResponse response = json_response(200, Json::object({{"schemaVersion", 2}, {"mediaType", media_type::kOciIndex}, {"manifests", std::move(list)}}));
  response.headers.set("Content-Type", std::string(media_type::kOciIndex));
  if (type) response.headers.set("OCI-Filters-Applied", "artifactType");
  if (next) {
    std::vector<std::pair<std::string, std::string>> query;
    if (type) query.emplace_back("artifactType", *type);
    query.emplace_back("last", *next);
    response.headers.set("Link", "</v2/" + route.repository + "/referrers/" + route.item + "?" + encode_query(query) + ">; rel=\"next\"");
  }
  return response;
}

bool is_read(const ServerRequest& request) { return request.method == "GET" || request.method == "HEAD"; }

}  // namespace

Handler handle_tags(Service& service, const ServerRequest& request, const Route& route) {
  if (!is_read(request)) return answer_with(method_not_allowed(request.method));
  auto repository = service.store.find(route.repository);
  if (!repository.ok()) return answer_with(failure_response(repository.error()));
  if (!*repository) return answer_with(name_unknown(route.repository));
  return answer_with(list_tags(**repository, request, route));
}

Handler handle_catalog(Service& service, const ServerRequest& request) {
  if (!is_read(request)) return answer_with(method_not_allowed(request.method));
  auto page = requested_page(request);
  if (!page) return answer_with(error_response(400, "PAGINATION_NUMBER_INVALID", "n is no number"));
  return answer_with(page_response(Json::object(), "repositories", service.store.names(), *page, "/v2/_catalog"));
}

Handler handle_referrers(Service& service, const ServerRequest& request, const Route& route) {
  if (!is_read(request)) return answer_with(method_not_allowed(request.method));
  auto digest = Digest::parse(route.item);
  if (!digest.ok()) return answer_with(digest_invalid(digest.error().message));
  auto repository = service.store.find(route.repository);
  if (!repository.ok()) return answer_with(failure_response(repository.error()));
  // Never 404, also where there is no such repository (distribution-spec, "Listing Referrers").
  std::vector<Descriptor> all;
  if (*repository) {
    auto found = (*repository)->referrers(*digest);
    if (!found.ok()) return answer_with(failure_response(found.error()));
    all = std::move(*found);
  }
  return answer_with(list_referrers(all, request, route));
}

}  // namespace archway::registry_server
