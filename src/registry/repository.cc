#include "registry/repository.h"

#include <algorithm>

#include "base/text.h"
#include "registry/download.h"
#include "registry/origin_guard.h"
#include "registry/upload.h"

namespace archway {
namespace {

inline constexpr size_t kMaxTagPages = 10'000;
inline constexpr size_t kMaxTags = 1'000'000;
inline constexpr uint64_t kMaxTagPageBytes = 16 << 20;
inline constexpr size_t kMaxKnownBlobs = 1'000'000;
inline constexpr std::string_view kSchema1 = "application/vnd.docker.distribution.manifest.v1";

bool is_manifest_like(const Descriptor& blob) { return is_manifest(blob.media_type) || is_index(blob.media_type); }

// "application/json; charset=utf-8" is "application/json".
std::string media_type_of(const Headers& headers) { return to_lower(trim(cut(headers.get("Content-Type"), ';').first)); }

Result<std::string> judge_media_type(const std::string& said, std::string_view raw, const std::string& what) {
  if (said.starts_with(kSchema1)) return Error{Code::Unsupported, what + ": a manifest of Docker's schema 1, which nobody should use any more"};
  auto found = detect_media_type(raw);
  if (!is_manifest(said) && !is_index(said)) return std::move(found).context(what);
  // Header and body must agree: else two readers would see two images (CVE-2021-41190).
  if (found.ok() && is_index(*found) != is_index(said)) {
    return Error{Code::Invalid, what + ": the registry calls it " + said + ", but it is " + *found};
  }
  return said;
}

Digest digest_with(HashAlgorithm algorithm, std::string_view raw) {
  Hasher hasher(algorithm);
  hasher.update(raw);
  return Digest::from_hex(algorithm, hasher.hex());
}

// <https://...>; rel="next", or a path.
std::string next_page(const Headers& headers) {
  for (const std::string& link : headers.all("Link")) {
    size_t open = link.find('<'), close = link.find('>');
    if (open == std::string::npos || close == std::string::npos || close < open) continue;
    std::string rest = to_lower(std::string_view(link).substr(close));
    if (rest.find("rel=\"next\"") != std::string::npos || rest.find("rel=next") != std::string::npos) return link.substr(open + 1, close - open - 1);
  }
  return {};
}

}  // namespace

std::string accepted_manifests() {
  std::string accept;
  for (std::string_view type : {media_type::kOciIndex, media_type::kDockerIndex, media_type::kOciManifest, media_type::kDockerManifest}) {
    accept += std::string(accept.empty() ? "" : ", ") + std::string(type);
  }
  return accept;
}

std::string scope_of(const std::string& repository, std::string_view actions) { return "repository:" + repository + ":" + std::string(actions); }

std::optional<std::string> ManifestCache::find(const std::string& name, const Digest& digest) {
  auto state = state_.lock();
  auto found = state->raws.find({name, digest.str()});
  if (found == state->raws.end()) return std::nullopt;
  return found->second;
}

void ManifestCache::add(const std::string& name, const Digest& digest, std::string raw) {
  if (!keeps_) return;
  auto state = state_.lock();
  if (state->raws.size() >= kMaxCachedManifests || state->bytes + raw.size() > kMaxCachedManifestBytes) return;
  uint64_t size = raw.size();
  if (state->raws.emplace(std::pair(name, digest.str()), std::move(raw)).second) state->bytes += size;
}

std::unique_lock<std::mutex> parse_turn(uint64_t bytes) {
  static std::mutex large;
  return bytes > kLargeManifestBytes ? std::unique_lock(large) : std::unique_lock<std::mutex>();
}

std::string RemoteRepository::path_of(const Descriptor& blob) const {
  return name() + (is_manifest_like(blob) ? "/manifests/" : "/blobs/") + blob.digest.str();
}

void RemoteRepository::remember(Host& host, const Digest& digest) {
  auto state = host.state.lock();
  if (state->present.size() < kMaxKnownBlobs) state->present.emplace(name(), digest.str());
}

Result<Root> RemoteRepository::resolve(const std::string& identifier, const std::optional<Digest>& digest, std::stop_token stop) {
  std::string what = "fetching manifest " + reference_.name() + (digest ? "@" : ":") + identifier;
  auto host = TRY(transport_->host(reference_.host(), Transport::Use::Read, stop));
  Call call;
  call.path = name() + "/manifests/" + identifier;
  call.scopes = {scope_of(name(), "pull")};
  call.headers.add("Accept", accepted_manifests());
  call.follow_redirects = true;
  auto response = TRY(transport_->send(*host, call, stop).context(what));
  if (response->status != 200) return transport_->error_of(*host, *response, what);
  std::string said = media_type_of(response->headers);
  auto claimed = Digest::parse(response->headers.get("Docker-Content-Digest"));
  std::string raw = TRY(read_all(response->body(), transport_->options().max_manifest_bytes, "manifest").context(what));
  // By the algorithm that was asked for; else the one that the registry speaks of.
  HashAlgorithm algorithm = digest ? digest->algorithm() : claimed.ok() ? claimed->algorithm() : HashAlgorithm::Sha256;
  Digest actual = digest_with(algorithm, raw);
  if (digest && *digest != actual) return Error{Code::Mismatch, what + ": the registry sent bytes whose digest is " + actual.str()};
  if (claimed.ok() && claimed->algorithm() == algorithm && *claimed != actual) {
    return Error{Code::Mismatch, what + ": the registry says digest " + claimed->str() + ", but its bytes have " + actual.str()};
  }
  auto judged = [&] {
    auto turn = parse_turn(raw.size());
    return judge_media_type(said, raw, what);
  }();
  std::string type = TRY(std::move(judged));
  Root root{Descriptor{std::move(type), actual, raw.size()}, raw};
  manifests_->add(reference_.name(), actual, std::move(raw));
  return root;
}

Result<Descriptor> RemoteRepository::head(const std::string& identifier, std::stop_token stop) {
  std::string what = "looking up " + reference_.name() + ":" + identifier;
  auto host = TRY(transport_->host(reference_.host(), Transport::Use::Read, stop));
  Call call;
  call.method = "HEAD";
  call.path = name() + "/manifests/" + identifier;
  call.scopes = {scope_of(name(), "pull")};
  call.headers.add("Accept", accepted_manifests());
  call.follow_redirects = true;
  auto response = TRY(transport_->send(*host, call, stop).context(what));
  auto asked = Digest::parse(identifier);
  auto whole = [&]() -> Result<Descriptor> {
    return TRY(resolve(identifier, asked.ok() ? std::optional(*asked) : std::nullopt, stop)).descriptor;
  };
  if (response->status == 405 || response->status == 501) return whole();
  if (response->status != 200) return transport_->error_of(*host, *response, what);
  auto digest = Digest::parse(response->headers.get("Docker-Content-Digest"));
  auto size = parse_uint(response->headers.get("Content-Length"));
  std::string type = media_type_of(response->headers);
  if (!digest.ok() || !size || (!is_manifest(type) && !is_index(type))) return whole();
  if (asked.ok() && asked->algorithm() == digest->algorithm() && *asked != *digest) return Error{Code::Mismatch, what + ": the registry answers with " + digest->str()};
  return Descriptor{type, *digest, *size};
}

Result<std::unique_ptr<Source>> RemoteRepository::open(const Descriptor& blob) {
  if (is_manifest_like(blob)) {
    if (auto raw = manifests_->find(reference_.name(), blob.digest)) return std::unique_ptr<Source>(std::make_unique<StringSource>(std::move(*raw)));
  }
  std::stop_token stop = transport_->options().stop;
  auto host = TRY(transport_->host(reference_.host(), Transport::Use::Read, stop));
  DownloadRequest request{path_of(blob), {scope_of(name(), "pull")}};
  if (is_manifest_like(blob)) request.accept = accepted_manifests();
  return open_download(transport_, host, std::move(request), blob, stop);
}

std::optional<Reference> RemoteRepository::origin(const Descriptor&) { return reference_; }

Result<bool> RemoteRepository::present(Host& host, const Descriptor& blob, const std::vector<std::string>& scopes, std::stop_token stop) {
  if (host.state.lock()->present.contains({name(), blob.digest.str()})) return true;
  std::string what = "looking for " + reference_.name() + "@" + blob.digest.str();
  Call call;
  call.method = "HEAD";
  call.path = path_of(blob);
  call.scopes = scopes;
  call.follow_redirects = true;
  if (is_manifest_like(blob)) call.headers.add("Accept", accepted_manifests());
  auto response = TRY(transport_->send(host, call, stop).context(what));
  if (response->status == 404) return false;
  if (response->status != 200) return transport_->error_of(host, *response, what);
  // Something else under this digest would be a registry's damage: sending the blob again may mend it.
  auto length = parse_uint(response->headers.get("Content-Length"));
  if (length && *length != blob.size) return false;
  remember(host, blob.digest);
  return true;
}

Result<bool> RemoteRepository::has(const Descriptor& blob, std::stop_token stop) {
  auto host = TRY(transport_->host(reference_.host(), Transport::Use::Read, stop));
  return present(*host, blob, {scope_of(name(), "pull")}, stop);
}

Result<PutOutcome> RemoteRepository::put(const Descriptor& blob, Provider& from, ProgressTask* progress, std::stop_token stop) {
  auto host = TRY(transport_->host(reference_.host(), Transport::Use::Write, stop));
  if (TRY(present(*host, blob, {scope_of(name(), "pull,push")}, stop))) return PutOutcome::Existed;
  if (!is_manifest_like(blob)) return put_blob(*host, blob, from, progress, stop);
  std::string raw = TRY(read_blob(from, blob, kMaxManifestBytes));
  TRY(put_manifest(*host, blob, raw, blob.digest.str(), stop));
  remember(*host, blob.digest);
  if (progress) progress->advance(blob.size);
  return PutOutcome::Stored;
}

Result<PutOutcome> RemoteRepository::put_blob(Host& host, const Descriptor& blob, Provider& from, ProgressTask* progress, std::stop_token stop) {
  std::optional<std::string> source;
  if (auto origin = from.origin(blob); origin && origin->host() == reference_.host() && origin->repository() != name()) {
    source = origin->repository();
  } else {
    // Or where this very process has put or seen it.
    auto state = host.state.lock();
    for (const auto& [repository, digest] : state->present) {
      if (digest == blob.digest.str() && repository != name()) source = repository;
    }
  }
  MountAnswer answer;
  if (source) answer = TRY(mount(host, blob, *source, stop));
  if (!answer.mounted) {
    BlobUpload upload(*transport_, host, name(), {scope_of(name(), "pull,push")}, blob, from, progress, stop);
    TRY(upload.run(std::move(answer.session)));
  }
  remember(host, blob.digest);
  return answer.mounted ? PutOutcome::Mounted : PutOutcome::Stored;
}

// distribution-spec 1.1, "Mounting a blob from another repository". Any answer but 201 is no failure: the bytes go up then.
Result<RemoteRepository::MountAnswer> RemoteRepository::mount(Host& host, const Descriptor& blob, const std::string& from_repository, std::stop_token stop) {
  Call call;
  call.method = "POST";
  call.path = name() + "/blobs/uploads/?" + encode_query({{"mount", blob.digest.str()}, {"from", from_repository}});
  call.scopes = {scope_of(name(), "pull,push"), scope_of(from_repository, "pull")};
  auto sent = transport_->send(host, call, stop);
  // Whoever may not read the other repository uploads.
  if (!sent.ok() && sent.error().code == Code::Unauthorized) return MountAnswer{};
  auto response = TRY(std::move(sent));
  if (response->status == 201) return MountAnswer{.mounted = true};
  const std::string* location = response->headers.find("Location");
  if (response->status != 202 || !location) return MountAnswer{};
  Url base = host.base;
  base.path += "v2/" + name() + "/blobs/uploads/";
  return MountAnswer{.mounted = false, .session = TRY(follow_location(base, *location))};
}

Result<void> RemoteRepository::put_manifest(Host& host, const Descriptor& manifest, std::string_view raw, const std::string& identifier, std::stop_token stop) {
  std::string what = "pushing manifest " + reference_.name() + (identifier.find(':') == std::string::npos ? ":" : "@") + identifier;
  Call call;
  call.method = "PUT";
  call.path = name() + "/manifests/" + identifier;
  call.scopes = {scope_of(name(), "pull,push")};
  call.headers.add("Content-Type", manifest.media_type);
  call.body = raw;
  call.slow_answer = true;
  auto response = TRY(transport_->send(host, call, stop).context(what));
  if (response->status != 201 && response->status != 200 && response->status != 202) return transport_->error_of(host, *response, what);
  auto stored = Digest::parse(response->headers.get("Docker-Content-Digest"));
  if (stored.ok() && stored->algorithm() == manifest.digest.algorithm() && *stored != manifest.digest) {
    return Error{Code::Mismatch, what + ": the registry stored it as " + stored->str() + ", not " + manifest.digest.str()};
  }
  return {};
}

Result<void> RemoteRepository::tag(const Descriptor& root, std::string_view raw, std::string_view tag_name) {
  std::stop_token stop = transport_->options().stop;
  auto host = TRY(transport_->host(reference_.host(), Transport::Use::Write, stop));
  auto put = put_manifest(*host, root, raw, std::string(tag_name), stop);
  if (put.ok() || put.error().code != Code::Invalid) return put;
  // A registry with tags that cannot be moved refuses them even where they stand right already.
  auto now = head(std::string(tag_name), stop);
  if (now.ok() && now->digest == root.digest) return {};
  return put;
}

Result<std::vector<std::string>> RemoteRepository::tags(std::stop_token stop) {
  std::string what = "listing tags of " + reference_.name();
  auto host = TRY(transport_->host(reference_.host(), Transport::Use::Read, stop));
  std::vector<std::string> tags;
  Call call;
  call.path = name() + "/tags/list?n=1000";  // ECR takes no more
  call.scopes = {scope_of(name(), "pull")};
  for (size_t page = 0; page < kMaxTagPages; page++) {
    auto response = TRY(transport_->send(*host, call, stop).context(what));
    if (response->status != 200) return transport_->error_of(*host, *response, what);
    std::string text = TRY(response->text(kMaxTagPageBytes).context(what));
    Json list = TRY(parse_json(text).context(what));
    for (std::string& tag : list["tags"].strings()) tags.push_back(std::move(tag));
    if (tags.size() > kMaxTags) return Error{Code::Invalid, what + ": more than " + std::to_string(kMaxTags)};
    std::string next = next_page(response->headers);
    if (next.empty()) return tags;
    Url here = host->base;
    here.path += "v2/" + name() + "/tags/list";
    call.url = TRY(follow_location(call.url.value_or(here), next).context(what));
    if (!call.url->same_origin(host->base)) return Error{Code::Invalid, what + ": the next page is at another host, " + call.url->origin()};
  }
  return Error{Code::Invalid, what + ": the registry never comes to an end"};
}

Result<void> RemoteRepository::remove_manifest(const std::string& identifier, std::stop_token stop) {
  std::string what = "removing " + reference_.name() + (identifier.find(':') == std::string::npos ? ":" : "@") + identifier;
  auto host = TRY(transport_->host(reference_.host(), Transport::Use::Write, stop));
  Call call;
  call.method = "DELETE";
  call.path = name() + "/manifests/" + identifier;
  call.scopes = {scope_of(name(), "delete")};
  auto response = TRY(transport_->send(*host, call, stop).context(what));
  if (response->status != 202 && response->status != 200 && response->status != 204) return transport_->error_of(*host, *response, what);
  host->state.lock()->present.erase({name(), identifier});
  return {};
}

}  // namespace archway
