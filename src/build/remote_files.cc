#include "build/remote_files.h"

#include <fcntl.h>

#include <ctime>
#include <vector>

#include "base/hash.h"
#include "format/json.h"

namespace archway::build {

namespace {

constexpr size_t kChunkBytes = 256 * 1024;
constexpr uint64_t kMaxNoteBytes = 64 << 10;
constexpr size_t kMaxNoteText = 8 << 10;      // of an ETag
constexpr std::string_view kSha256 = "sha256:";

Error status_error(const std::string& url, int status) {
  Code code = status == 404 || status == 410 ? Code::NotFound : status == 401 || status == 403 ? Code::Unauthorized : status == 429 || status >= 500 ? Code::Unavailable : Code::Invalid;
  return Error{code, "fetching " + url + ": the server answered with status " + std::to_string(status)};
}

Result<void> check(const CopyOp::Remote& remote, const std::string& sha256) {
  if (remote.checksum.empty() || remote.checksum == std::string(kSha256) + sha256) return {};
  return Error{Code::Mismatch, "digest mismatch of " + remote.url + ": it is " + std::string(kSha256) + sha256 + ", --checksum says " + remote.checksum};
}

}  // namespace

std::optional<Time> parse_http_date(const std::string& text) {
  tm parts = {};
  // No locale but "C" counts here: cli sets none for times.
  const char* end = ::strptime(text.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &parts);
  if (!end || *end != '\0') return std::nullopt;
  return Time::from_seconds(::timegm(&parts));
}

std::string remote_file_name(const std::string& url) {
  auto parsed = parse_url(url);
  if (!parsed.ok()) return "__unnamed__";
  std::string path = percent_decode(parsed->path).value_or(parsed->path);
  while (path.ends_with('/')) path.pop_back();
  const std::string name = path.substr(path.rfind('/') + 1);
  return name.empty() || name == "." || name == ".." || name.find('\0') != std::string::npos ? "__unnamed__" : name;
}

std::shared_ptr<RemoteFiles::Known> RemoteFiles::known(const CopyOp::Remote& remote) {
  std::lock_guard lock(mutex_);
  auto& one = known_[remote.url + " " + remote.checksum];
  if (!one) one = std::make_shared<Known>();
  return one;
}

// --- Between builds.

std::string RemoteFiles::note_path(const std::string& url) const { return options_.notes_folder + "/" + sha256_hex(url).substr(0, 32); }

std::optional<RemoteFiles::Note> RemoteFiles::read_note(const std::string& url) const {
  auto text = read_file(note_path(url), kMaxNoteBytes);
  if (!text.ok()) return std::nullopt;
  auto json = parse_json(*text);
  if (!json.ok() || (*json)["url"].string() != url || (*json)["sha256"].string().size() != 64) return std::nullopt;
  Note note{(*json)["etag"].string(), (*json)["last_modified"].string(), {(*json)["sha256"].string(), static_cast<uint64_t>((*json)["size"].integer()), {}}};
  note.file.mtime = parse_http_date(note.last_modified).value_or(Time{});
  return note;
}

void RemoteFiles::write_note(const std::string& url, const Note& note) const {
  const Json json = Json::object({{"url", url}, {"etag", note.etag}, {"last_modified", note.last_modified}, {"sha256", note.file.sha256}, {"size", note.file.size}});
  // What cannot be kept is asked for again.
  if (make_directories(options_.notes_folder, 0700).ok()) (void)write_file_atomic(note_path(url), to_json(json)).ok();
}

// --- Asking.

Result<std::unique_ptr<HttpResponse>> RemoteFiles::ask(const std::string& url, const Headers& headers, std::stop_token stop) const {
  if (!options_.client) return Error{Code::Unsupported, "nothing can be fetched here: " + url};
  HttpRequest request;
  request.url = TRY(parse_url(url));
  request.headers = headers;
  for (size_t redirects = 0;; ++redirects) {
    auto response = TRY(options_.client->send(request, stop).context("fetching " + url));
    const std::string* location = response->headers.find("Location");
    const bool redirect = response->status == 301 || response->status == 302 || response->status == 303 || response->status == 307 || response->status == 308;
    if (!redirect || !location) return response;
    if (redirects >= kMaxRedirects) return Error{Code::Invalid, "fetching " + url + ": more than " + std::to_string(kMaxRedirects) + " redirects"};
    Url next = TRY(resolve_url(request.url, *location).context("fetching " + url + ": redirected"));
    if (request.url.scheme == "https" && next.scheme != "https") return Error{Code::Invalid, "fetching " + url + ": redirected from https to " + next.str()};
    request.url = std::move(next);
  }
}

Result<void> RemoteFiles::fetch(const CopyOp::Remote& remote, Known& known, const std::optional<Note>& note, ProgressTask& task, std::stop_token stop) {
  Headers headers;
  // As it is, not as a server might pack it on the way.
  headers.set("Accept-Encoding", "identity");
  if (note && !note->etag.empty()) headers.set("If-None-Match", note->etag);
  if (note && !note->last_modified.empty()) headers.set("If-Modified-Since", note->last_modified);
  auto response = TRY(ask(remote.url, headers, stop));
  if (note && response->status == 304) {
    known.file = note->file;
    return {};
  }
  if (response->status != 200) return status_error(remote.url, response->status);
  TRY(make_directories(options_.scratch_folder, 0700));
  const std::string path = options_.scratch_folder + "/" + sha256_hex(remote.url + " " + remote.checksum);
  Fd file = TRY(open_file(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600));
  FdSink disk(file.get());
  HashingSink sink(&disk);
  std::vector<std::byte> buffer(kChunkBytes);
  for (;;) {
    const size_t n = TRY(response->body().read(buffer).context("fetching " + remote.url));
    if (n == 0) break;
    if (sink.count() + n > options_.limit_bytes) return Error{Code::Invalid, "fetching " + remote.url + ": it is larger than " + std::to_string(options_.limit_bytes) + " bytes"};
    TRY(sink.write({buffer.data(), n}));
    task.advance(n);
  }
  Note now{response->headers.get("ETag"), response->headers.get("Last-Modified"), {sink.hex(), sink.count(), {}}};
  if (now.etag.size() > kMaxNoteText) now.etag.clear();
  if (now.last_modified.size() > kMaxNoteText) now.last_modified.clear();
  now.file.mtime = parse_http_date(now.last_modified).value_or(Time{});
  TRY(check(remote, now.file.sha256));
  write_note(remote.url, now);
  known.file = now.file;
  known.path = path;
  return {};
}

Result<RemoteFile> RemoteFiles::look(const CopyOp::Remote& remote, ProgressTask& task, std::stop_token stop) {
  auto one = known(remote);
  std::lock_guard lock(one->mutex);
  if (one->file) return *one->file;
  auto note = read_note(remote.url);
  if (note && !remote.checksum.empty() && remote.checksum == std::string(kSha256) + note->file.sha256) {
    one->file = note->file;
    return note->file;
  }
  if (note && note->etag.empty() && note->last_modified.empty()) note.reset();
  TRY(fetch(remote, *one, note, task, stop));
  TRY(check(remote, one->file->sha256));
  return *one->file;
}

Result<std::unique_ptr<Source>> RemoteFiles::open(const CopyOp::Remote& remote, ProgressTask& task, std::stop_token stop) {
  const RemoteFile seen = TRY(look(remote, task, stop));
  auto one = known(remote);
  std::lock_guard lock(one->mutex);
  if (!one->path) TRY(fetch(remote, *one, std::nullopt, task, stop));
  // The key was made of what it was.
  if (one->file->sha256 != seen.sha256) return Error{Code::Mismatch, remote.url + " changed while the build was reading it", "run the build again"};
  Fd file = TRY(open_file(*one->path, O_RDONLY));
  return std::unique_ptr<Source>(std::make_unique<FdSource>(std::move(file), remote.url));
}

}  // namespace archway::build
