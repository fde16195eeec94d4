#include "kube/client.h"

#include <set>

#include "kube/api_session.h"
#include "kube/discovery.h"
#include "kube/watcher.h"

namespace archway::kube {
namespace {

inline constexpr int kMaxListStarts = 3;

// The objects of one list that have been given to the caller, over all its pages and starts.
class ListReader {
 public:
  ListReader(ApiSession& session, const Resource& resource, const std::string& name_space, const ListOptions& options, const std::function<Result<void>(Json)>& each)
      : session_(session), resource_(resource), name_space_(name_space), options_(options), each_(each) {}

  Result<std::string> read(std::stop_token stop) {
    for (int start = 1;; start++) {
      // The last time all at once, as client-go falls back to: one page cannot expire between pages.
      size_t limit = start < kMaxListStarts ? options_.page : 0;
      auto version = read_pages(limit, stop);
      if (version.ok() || !expired_ || start >= kMaxListStarts) return version;
      may_repeat_ = true;
    }
  }

 private:
  Result<std::string> read_pages(size_t limit, std::stop_token stop) {
    std::string next, version;
    do {
      Json page = TRY(ask(limit, next, stop));
      version = page["metadata"]["resourceVersion"].string();
      next = page["metadata"]["continue"].string();
      Json* items = page.find("items");
      if (!items || !(items->is_array() || items->is_null())) return Error{Code::Invalid, "listing " + resource_.plural + ": the answer is not a list"};
      for (Json& item : items->mutable_items()) TRY(give(page, std::move(item)));
    } while (!next.empty());
    return version;
  }

  Result<Json> ask(size_t limit, const std::string& next, std::stop_token stop) {
    expired_ = false;
    ApiRequest request;
    request.path = resource_.path(name_space_);
    request.max_bytes = kMaxListPageBytes;
    if (limit > 0) request.query.emplace_back("limit", std::to_string(limit));
    if (!next.empty()) request.query.emplace_back("continue", next);
    if (!options_.label_selector.empty()) request.query.emplace_back("labelSelector", options_.label_selector);
    if (!options_.field_selector.empty()) request.query.emplace_back("fieldSelector", options_.field_selector);
    auto response = TRY(session_.send(request, stop));
    std::string what = "listing " + resource_.plural;
    if (response->status != 200) {
      expired_ = response->status == 410;
      auto body = response->text(kMaxStatusBytes);
      return session_.error_of(response->status, body.ok() ? *body : "", what);
    }
    std::string body = TRY(response->text(request.max_bytes).context(what));
    return parse_json(body).context(what + ": the answer is not JSON");
  }

  // Items of a list do not say what they are; the list does.
  Result<void> give(const Json& page, Json item) {
    if (!item.is_object()) return {};
    std::string key = item["metadata"]["namespace"].string() + "/" + item["metadata"]["name"].string();
    bool is_new = seen_.insert(std::move(key)).second;
    if (may_repeat_ && !is_new) return {};
    if (!item.has("kind")) {
      std::string kind = resource_.kind;
      if (const std::string& of_list = page["kind"].string(); kind.empty() && of_list.ends_with("List")) kind = of_list.substr(0, of_list.size() - 4);
      item.set("kind", kind);
    }
    if (!item.has("apiVersion")) item.set("apiVersion", resource_.group.empty() ? resource_.version : resource_.group + "/" + resource_.version);
    return each_(std::move(item));
  }

  ApiSession& session_;
  const Resource& resource_;
  const std::string& name_space_;
  const ListOptions& options_;
  const std::function<Result<void>(Json)>& each_;
  std::set<std::string> seen_;
  bool may_repeat_ = false, expired_ = false;
};

class ApiClient final : public Client {
 public:
  explicit ApiClient(std::unique_ptr<ApiSession> session) : session_(std::move(session)) {}
  const ClusterAccess& access() const override { return session_->access(); }

  Result<std::string> server_version(std::stop_token stop) override {
    ApiRequest request;
    request.path = "/version";
    Json answer = TRY(session_->json(request, stop));
    const std::string& version = answer["gitVersion"].string();
    if (version.empty()) return Error{Code::Invalid, session_->access().server + ": the answer to /version names no version; is this a Kubernetes API server?"};
    return version;
  }
  Result<Discovery> discover(std::stop_token stop) override { return discover_resources(*session_, stop); }

  Result<std::string> list(const Resource& resource, const std::string& name_space, const ListOptions& options, const std::function<Result<void>(Json)>& each,
                           std::stop_token stop) override {
    return ListReader(*session_, resource, name_space, options, each).read(stop);
  }

  Result<Json> get(const Resource& resource, const std::string& name_space, const std::string& name, std::stop_token stop) override {
    ApiRequest request;
    request.path = TRY(object_path(resource, name_space, name));
    return session_->json(request, stop);
  }
  Result<Json> create(const Resource& resource, const std::string& name_space, const Json& object, bool dry_run, std::stop_token stop) override {
    ApiRequest request;
    request.method = "POST";
    request.path = resource.path(name_space);
    request.body = to_json(object);
    if (dry_run) request.query.emplace_back("dryRun", "All");
    return session_->json(request, stop);
  }
  Result<Json> replace(const Resource& resource, const std::string& name_space, const std::string& name, const Json& object, std::stop_token stop) override {
    ApiRequest request;
    request.method = "PUT";
    request.path = TRY(object_path(resource, name_space, name));
    request.body = to_json(object);
    return session_->json(request, stop);
  }
  Result<Json> patch(const Resource& resource, const std::string& name_space, const std::string& name, const std::string& type, const std::string& body, bool dry_run,
                     std::stop_token stop) override {
    ApiRequest request;
    request.method = "PATCH";
    request.path = TRY(object_path(resource, name_space, name));
    request.content_type = type;
    request.body = body;
    // Server-side apply has to say for whom (KEP-555).
    if (type == "application/apply-patch+yaml") request.query = {{"fieldManager", "archway"}, {"force", "true"}};
    if (dry_run) request.query.emplace_back("dryRun", "All");
    return session_->json(request, stop);
  }
  Result<void> remove(const Resource& resource, const std::string& name_space, const std::string& name, std::stop_token stop) override {
    ApiRequest request;
    request.method = "DELETE";
    request.path = TRY(object_path(resource, name_space, name));
    TRY(session_->text(request, stop));
    return {};
  }

  Result<std::string> log(const std::string& name_space, const std::string& pod, const std::string& container, bool previous, size_t tail_lines,
                          std::stop_token stop) override {
    ApiRequest request;
    request.path = TRY(object_path(resources::pods(), name_space, pod)) + "/log";
    request.accept = "*/*";
    request.query = {{"tailLines", std::to_string(tail_lines)}, {"limitBytes", std::to_string(kMaxLogBytes)}};
    if (!container.empty()) request.query.emplace_back("container", container);
    if (previous) request.query.emplace_back("previous", "true");
    request.max_bytes = 2 * kMaxLogBytes;
    return session_->text(request, stop);
  }

  Result<void> watch(const Resource& resource, const std::string& name_space, const ListOptions& options, const std::function<Result<void>(const WatchEvent&)>& each,
                     std::stop_token stop) override {
    return Watcher(*session_, *this, resource, name_space, options, each, stop).run();
  }

 private:
  // Without a name a DELETE or PUT would be about all objects.
  static Result<std::string> object_path(const Resource& resource, const std::string& name_space, const std::string& name) {
    if (name.empty()) return Error{Code::Invalid, "an object of " + resource.plural + " without a name"};
    if (resource.namespaced && name_space.empty()) return Error{Code::Invalid, resource.plural + " \"" + name + "\" without a namespace"};
    return resource.path(name_space, name);
  }
  std::unique_ptr<ApiSession> session_;
};

}  // namespace

Result<std::shared_ptr<Client>> Client::connect(ClusterAccess access, HttpClientOptions http, ClientTiming timing) {
  auto session = TRY(ApiSession::open(std::move(access), std::move(http), std::move(timing)));
  return std::shared_ptr<Client>(std::make_shared<ApiClient>(std::move(session)));
}

}  // namespace archway::kube
