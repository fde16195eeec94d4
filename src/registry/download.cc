#include "registry/download.h"

#include "base/text.h"
#include "registry/response_headers.h"

namespace archway {
namespace {

class Download final : public Source {
 public:
  Download(std::shared_ptr<Transport> transport, std::shared_ptr<Host> host, DownloadRequest request, const Descriptor& blob, std::stop_token stop)
      : transport_(std::move(transport)), host_(std::move(host)), request_(std::move(request)), size_(blob.size), stop_(std::move(stop)),
        what_("fetching " + host_->name + "/" + request_.path) {}

  Result<void> begin() { return connect(); }
  Result<size_t> read(std::span<std::byte> into) override;

 private:
  Result<void> connect();
  Result<void> accept(HttpResponse& response);
  Result<void> reconnect(Error cause);

  std::shared_ptr<Transport> transport_;
  std::shared_ptr<Host> host_;
  DownloadRequest request_;
  uint64_t size_;
  std::stop_token stop_;
  std::string what_;
  std::unique_ptr<HttpResponse> response_;
  std::string etag_;
  uint64_t at_ = 0;
  int idle_attempts_ = 0;  // that brought nothing
  bool ended_ = false;
};

Result<void> Download::connect() {
  Call call;
  call.path = request_.path;
  call.scopes = request_.scopes;
  call.follow_redirects = true;
  if (!request_.accept.empty()) call.headers.add("Accept", request_.accept);
  if (at_ > 0) {
    call.headers.add("Range", "bytes=" + std::to_string(at_) + "-");
    if (!etag_.empty()) call.headers.add("If-Range", etag_);
  }
  response_ = TRY(transport_->send(*host_, call, stop_).context(what_));
  return accept(*response_);
}

Result<void> Download::accept(HttpResponse& response) {
  if (response.status == 206 && at_ > 0) {
    auto range = parse_content_range(response.headers.get("Content-Range"));
    if (!range || range->first != at_) return Error{Code::Mismatch, what_ + ": asked to go on from byte " + std::to_string(at_) + ", the registry sends another part"};
    if (range->total && *range->total != size_) return Error{Code::Mismatch, what_ + ": the size has changed"};
    return {};
  }
  if (response.status != 200) return transport_->error_of(*host_, response, what_);
  if (auto length = parse_uint(response.headers.get("Content-Length")); length && *length != size_) {
    return Error{Code::Mismatch, what_ + ": the registry has " + std::to_string(*length) + " bytes where the descriptor says " + std::to_string(size_)};
  }
  // Only a strong validator may stand in If-Range (RFC 9110 13.1.5).
  etag_ = response.headers.get("ETag");
  if (!etag_.starts_with('"')) etag_.clear();
  if (at_ == 0) return {};
  // No ranges here (or the blob is another file now, which its digest will tell): from the start, to where we were.
  uint64_t skipped = TRY(response.body().skip(at_));
  if (skipped != at_) return Error{Code::Unavailable, what_ + ": the blob ended early"};
  return {};
}

// Until a connection stands again at `at_`.
Result<void> Download::reconnect(Error cause) {
  for (;;) {
    response_.reset();
    if (++idle_attempts_ > transport_->options().max_attempts) return std::move(cause).within(what_);
    // The first time at once: a connection that was cut says nothing about the next one.
    if (idle_attempts_ > 1) TRY(transport_->back_off(idle_attempts_ - 1, nullptr, stop_).context(what_));
    auto connected = connect();
    if (connected.ok()) return {};
    if (connected.error().code != Code::Unavailable) return connected;
    cause = connected.error();
  }
}

Result<size_t> Download::read(std::span<std::byte> into) {
  if (ended_) return size_t{0};
  for (;;) {
    // One byte more than promised is asked for, so that a longer blob shows.
    auto count = response_->body().read(into);
    if (!count.ok()) {
      if (count.error().code != Code::Unavailable) return count;
      if (at_ == size_) break;
      TRY(reconnect(count.error()));
      continue;
    }
    if (*count == 0) break;
    at_ += *count;
    idle_attempts_ = 0;
    if (at_ > size_) return Error{Code::Mismatch, what_ + ": more bytes than the " + std::to_string(size_) + " of its descriptor"};
    return count;
  }
  ended_ = true;
  response_.reset();
  if (at_ < size_) return Error{Code::Mismatch, what_ + ": " + std::to_string(at_) + " bytes where its descriptor says " + std::to_string(size_)};
  return size_t{0};
}

}  // namespace

Result<std::unique_ptr<Source>> open_download(std::shared_ptr<Transport> transport, std::shared_ptr<Host> host, DownloadRequest request, const Descriptor& blob,
                                              std::stop_token stop) {
  auto download = std::make_unique<Download>(std::move(transport), std::move(host), std::move(request), blob, std::move(stop));
  TRY(download->begin());
  return std::unique_ptr<Source>(std::move(download));
}

}  // namespace archway
