#include "registry/upload.h"

#include <algorithm>
#include <array>

#include "base/text.h"
#include "registry/origin_guard.h"
#include "registry/response_headers.h"

namespace archway {

// What goes up in one request. The blob's last byte leaves only after its source has said that it was the last and
// that the digest is right: a registry never sees a whole blob that is wrong.
class BlobUpload::Slice final : public Source {
 public:
  Slice(BlobUpload& upload, uint64_t bytes) : upload_(upload), left_(bytes) {}

  Result<size_t> read(std::span<std::byte> into) override {
    if (left_ == 0) return size_t{0};
    size_t count = TRY(upload_.source_->read(into.first(std::min<uint64_t>(into.size(), left_))));
    if (count == 0) return Error{Code::Mismatch, upload_.what_ + ": the blob is shorter than the " + std::to_string(upload_.blob_.size) + " bytes of its descriptor"};
    left_ -= count;
    upload_.source_at_ += count;
    if (upload_.source_at_ == upload_.blob_.size) {
      std::array<std::byte, 1> more;
      size_t extra = TRY(upload_.source_->read(more));
      if (extra != 0) return Error{Code::Mismatch, upload_.what_ + ": the blob is longer than the " + std::to_string(upload_.blob_.size) + " bytes of its descriptor"};
    }
    if (upload_.progress_ && upload_.source_at_ > upload_.reported_) {
      upload_.progress_->advance(upload_.source_at_ - upload_.reported_);
      upload_.reported_ = upload_.source_at_;
    }
    return count;
  }

 private:
  BlobUpload& upload_;
  uint64_t left_;
};

BlobUpload::BlobUpload(Transport& transport, Host& host, std::string repository, std::vector<std::string> scopes, const Descriptor& blob, Provider& from,
                       ProgressTask* progress, std::stop_token stop)
    : transport_(transport), host_(host), repository_(std::move(repository)), scopes_(std::move(scopes)), blob_(blob), from_(from), progress_(progress),
      stop_(std::move(stop)), what_("pushing " + host_.name + "/" + repository_ + "@" + blob_.digest.str()),
      chunk_(std::max<uint64_t>(transport.options().chunk_bytes, 1)) {}

BlobUpload::~BlobUpload() = default;

Result<void> BlobUpload::run(std::optional<Url> session) {
  session_ = std::move(session);
  if (auto careful = host_.state.lock()->careful_chunk) chunk_ = std::min(chunk_, *careful);
  if (!session_) TRY(begin());
  for (;;) {
    auto step = next_step();
    if (!step.ok()) {
      cancel();
      return step.error();
    }
    if (*step == Step::Finished) return {};
    if (*step == Step::Advanced) continue;
    auto recovered = *step == Step::Lost ? start_over() : recover();
    if (!recovered.ok()) {
      cancel();
      return recovered.error();
    }
    if (*recovered == Step::Finished) return {};
  }
}

Result<Url> BlobUpload::session_of(const HttpResponse& response) const {
  const std::string* location = response.headers.find("Location");
  if (!location) return Error{Code::Invalid, what_ + ": the registry opens an upload without saying where (no Location)"};
  Url base = host_.base;
  base.path += "v2/" + repository_ + "/blobs/uploads/";
  return follow_location(base, *location).context(what_);
}

Result<void> BlobUpload::begin() {
  Call call;
  call.method = "POST";
  call.path = repository_ + "/blobs/uploads/";
  call.scopes = scopes_;
  auto response = TRY(transport_.send(host_, call, stop_).context(what_));
  if (response->status != 202) return transport_.error_of(host_, *response, what_);
  session_ = TRY(session_of(*response));
  if (auto least = parse_uint(response->headers.get("OCI-Chunk-Min-Length"))) chunk_ = std::max(chunk_, std::min<uint64_t>(*least, blob_.size));
  confirmed_ = 0;
  return {};
}

Result<BlobUpload::Step> BlobUpload::next_step() {
  last_response_.reset();
  if (confirmed_ == 0 && (blob_.size <= chunk_ || chunks_refused_)) return put_all();
  if (confirmed_ < blob_.size) return patch_chunk();
  return put_end();
}

Call BlobUpload::call_to_session(const std::string& method) const {
  Call call;
  call.method = method;
  call.url = session_;
  call.scopes = scopes_;
  call.slow_answer = true;
  call.fresh_connection = host_.state.lock()->careful_chunk.has_value();
  return call;
}

void add_digest(Url& url, const Digest& digest) { url.query += (url.query.empty() ? "" : "&") + encode_query({{"digest", digest.str()}}); }

Result<BlobUpload::Step> BlobUpload::put_all() {
  Call call = call_to_session("PUT");
  add_digest(*call.url, blob_.digest);
  call.headers.add("Content-Type", "application/octet-stream");
  return judge(send(std::move(call), blob_.size), true);
}

Result<BlobUpload::Step> BlobUpload::patch_chunk() {
  uint64_t length = std::min(chunk_, blob_.size - confirmed_);
  Call call = call_to_session("PATCH");
  call.headers.add("Content-Type", "application/octet-stream");
  call.headers.add("Content-Range", std::to_string(confirmed_) + "-" + std::to_string(confirmed_ + length - 1));
  Step step = TRY(judge(send(std::move(call), length), false));
  if (step != Step::Advanced) return step;
  confirmed_ += length;
  note_advance();
  return step;
}

Result<BlobUpload::Step> BlobUpload::put_end() {
  Call call = call_to_session("PUT");
  add_digest(*call.url, blob_.digest);
  return judge(transport_.send(host_, call, stop_), true);
}

Result<std::unique_ptr<HttpResponse>> BlobUpload::send(Call call, uint64_t body_bytes) {
  if (body_bytes == 0) return transport_.send(host_, call, stop_);
  TRY(seek_source());
  Slice slice(*this, body_bytes);
  call.body_source = &slice;
  call.body_size = body_bytes;
  return transport_.send(host_, call, stop_);
}

// A first pass reads through open_blob(), which checks the digest on the way. After a break the source is opened again
// and stood at the offset, which files do without reading; then the registry's own check of the digest has to do.
Result<void> BlobUpload::seek_source() {
  if (source_ && source_at_ == confirmed_) return {};
  source_ = confirmed_ == 0 ? TRY(open_blob(from_, blob_)) : TRY(from_.open(blob_));
  source_at_ = TRY(source_->skip(confirmed_));
  if (source_at_ != confirmed_) return Error{Code::Mismatch, what_ + ": the blob is shorter than the " + std::to_string(blob_.size) + " bytes of its descriptor"};
  return {};
}

Result<BlobUpload::Step> BlobUpload::judge(Result<std::unique_ptr<HttpResponse>> sent, bool final) {
  if (!sent.ok()) {
    if (sent.error().code != Code::Unavailable) return std::move(sent).error().within(what_);
    last_error_ = sent.error();
    // An answer is waited for long. One that does not come twice will not come at all.
    bool stalled = last_error_.message.find("no byte came for") != std::string::npos;
    if (stalled && ++stalls_ > kMaxStalls) return std::move(sent).error().within(what_);
    return Step::Broken;
  }
  auto response = std::move(*sent);
  int status = response->status;
  if (final && (status == 201 || status == 204)) {
    auto stored = response->headers.get("Docker-Content-Digest");
    auto digest = Digest::parse(stored);
    if (digest.ok() && digest->algorithm() == blob_.digest.algorithm() && *digest != blob_.digest) {
      return Error{Code::Mismatch, what_ + ": the registry stored it as " + digest->str()};
    }
    return Step::Finished;
  }
  if (!final && (status == 202 || status == 201 || status == 204)) {  // ECR says 201
    if (response->headers.find("Location")) session_ = TRY(session_of(*response));
    return Step::Advanced;
  }
  last_error_ = transport_.error_of(host_, *response, what_);
  if (status == 416 || status == 409) return Step::Broken;
  if (Transport::is_retryable(status)) {
    last_response_ = std::move(response);
    return Step::Broken;
  }
  // The session is gone: too old, or lost with the connection.
  if (status == 404 && failures_ < transport_.options().max_attempts) return Step::Lost;
  // Some registries take a blob in one piece only.
  if (!final && best_ == 0 && !chunks_refused_ && last_error_.code != Code::Unauthorized) {
    chunks_refused_ = true;
    return Step::Lost;
  }
  if (final && status == 400) last_error_.code = Code::Mismatch;  // DIGEST_INVALID, SIZE_INVALID
  return last_error_;
}

void BlobUpload::note_advance() {
  if (confirmed_ > best_) {
    best_ = confirmed_;
    failures_ = 0;
  }
  since_trouble_ += chunk_;
  auto state = host_.state.lock();
  if (!state->careful_chunk || !state->chunks_can_grow || since_trouble_ < kCarefulGrowthBytes) return;
  since_trouble_ = 0;
  chunk_ = std::min(chunk_ * 2, transport_.options().chunk_bytes);
  state->careful_chunk = chunk_;
}

// How far did the registry get? distribution-spec 1.1, "Pushing a blob in chunks": GET, 204, Range: 0-N.
Result<BlobUpload::Step> BlobUpload::ask_status() {
  Call call = call_to_session("GET");
  call.slow_answer = false;
  auto response = TRY(transport_.send(host_, call, stop_).context(what_));
  if (response->status != 204 && response->status != 202 && response->status != 200) return Step::Lost;
  auto have = parse_upload_range(response->headers.get("Range"));
  // More than was ever sent is no answer (ECR says 0-10485759 whatever has come).
  if (!have || *have > std::max(source_at_, confirmed_)) return Step::Lost;
  if (response->headers.find("Location")) session_ = TRY(session_of(*response));
  confirmed_ = *have;
  note_advance();
  return Step::Advanced;
}

Result<BlobUpload::Step> BlobUpload::recover() {
  int attempt = ++failures_;
  if (attempt > transport_.options().max_attempts) return last_error_;
  if (attempt > 1 || last_response_) TRY(transport_.back_off(attempt, last_response_.get(), stop_).context(what_));
  Step step = TRY(ask_status());
  if (step == Step::Lost) return start_over();
  // Nothing came through: a chunk that is too long for the line would never.
  if (confirmed_ == 0 && attempt > 1) chunk_ = std::min(chunk_, std::max(kCarefulChunkBytes, chunk_ / 8));
  return Step::Advanced;
}

Result<BlobUpload::Step> BlobUpload::start_over() {
  // The session may be gone because it has done its work, and only the answer was lost.
  Call head;
  head.method = "HEAD";
  head.path = repository_ + "/blobs/" + blob_.digest.str();
  head.scopes = scopes_;
  if (TRY(transport_.send(host_, head, stop_).context(what_))->status == 200) return Step::Finished;
  if (++failures_ > transport_.options().max_attempts + 1) return last_error_;
  if (!chunks_refused_) {
    auto state = host_.state.lock();
    // Trouble a second time: the line has a limit, and growing chunks would find it again and again.
    if (state->careful_chunk) state->chunks_can_grow = false;
    uint64_t least = 64 * 1024;
    chunk_ = state->careful_chunk ? std::max(least, std::min(chunk_, *state->careful_chunk) / 2) : std::min(chunk_, kCarefulChunkBytes);
    state->careful_chunk = chunk_;
  }
  since_trouble_ = 0;
  source_.reset();
  TRY(begin());
  return Step::Advanced;
}

// Best effort: what was begun should not lie around in the registry. Where the line is down there is no use asking.
void BlobUpload::cancel() {
  if (!session_ || last_error_.code == Code::Cancelled || failures_ > transport_.options().max_attempts) return;
  Call call = call_to_session("DELETE");
  call.slow_answer = false;
  if (!stop_.stop_requested()) (void)transport_.send(host_, call, stop_);
}

}  // namespace archway
