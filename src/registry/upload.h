#pragma once

#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "image/content.h"
#include "registry/transport.h"

namespace archway {

inline constexpr uint64_t kCarefulChunkBytes = 512 * 1024;
// How often one blob's answer may stay away: it is waited for ten times as long as anything else.
inline constexpr int kMaxStalls = 1;
// After so much without trouble, careful chunks grow to twice their size, once trouble has struck only once.
inline constexpr uint64_t kCarefulGrowthBytes = 64 << 20;

// One blob on its way up (distribution-spec 1.1, "Pushing blobs"): POST, then one PUT with all of it, or, where it is
// longer than RegistryOptions::chunk_bytes, PATCHes and an empty PUT.
//
// When the connection breaks, the registry is asked how far it got (GET of the upload) and the rest goes up as a
// PATCH from there. Some lose an upload that was broken off: distribution 2.8 writes what came but then refuses the
// session, because its signed state names the old offset; ECR has no status at all. There it starts over, with
// chunks short enough for a line that cuts long connections, each on a connection of its own.
class BlobUpload {
 public:
  BlobUpload(Transport& transport, Host& host, std::string repository, std::vector<std::string> scopes, const Descriptor& blob, Provider& from,
             ProgressTask* progress, std::stop_token stop);
  ~BlobUpload();
  // From an upload session that a refused mount has opened, or one of its own.
  Result<void> run(std::optional<Url> session = {});
  Result<Url> session_of(const HttpResponse& response) const;

 private:
  enum class Step { Finished, Advanced, Broken, Lost };
  Result<void> begin();
  Result<Step> next_step();
  Result<Step> put_all();
  Result<Step> patch_chunk();
  Result<Step> put_end();
  Result<Step> judge(Result<std::unique_ptr<HttpResponse>> response, bool final);
  Result<Step> ask_status();
  Result<Step> recover();
  Result<Step> start_over();
  Result<void> seek_source();
  Result<std::unique_ptr<HttpResponse>> send(Call call, uint64_t body_bytes);
  void note_advance();
  void cancel();
  Call call_to_session(const std::string& method) const;

  class Slice;
  Transport& transport_;
  Host& host_;
  const std::string repository_;
  const std::vector<std::string> scopes_;
  const Descriptor blob_;
  Provider& from_;
  ProgressTask* const progress_;
  const std::stop_token stop_;
  const std::string what_;

  std::optional<Url> session_;
  uint64_t chunk_;
  uint64_t confirmed_ = 0;             // the registry has so much
  std::unique_ptr<Source> source_;     // stands at source_at_
  uint64_t source_at_ = 0;
  uint64_t reported_ = 0;              // to progress_
  uint64_t best_ = 0;                  // most that was ever confirmed
  uint64_t since_trouble_ = 0;
  int stalls_ = 0;                     // answers that never came
  int failures_ = 0;                   // since best_ last grew
  bool chunks_refused_ = false;
  Error last_error_{Code::Unavailable, "the connection broke"};
  std::unique_ptr<HttpResponse> last_response_;  // of a status that asks to wait
};

}  // namespace archway
