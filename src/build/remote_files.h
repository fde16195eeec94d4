#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>

#include "base/clock.h"
#include "base/fd.h"
#include "base/progress.h"
#include "build/graph.h"
#include "net/http_client.h"

namespace archway::build {

// What ADD of a URL takes.
struct RemoteFile {
  std::string sha256;   // hex
  uint64_t size = 0;
  Time mtime = {};      // Last-Modified; 1970 where the server does not say
};

// Files behind http and https URLs, each asked for once per build. Between builds is kept what a URL was (its ETag or Last-Modified, its
// digest), so that an unchanged file is not sent again where its layer is known; with a checksum the server is not even asked. Thread safe.
class RemoteFiles {
 public:
  struct Options {
    std::shared_ptr<HttpClient> client;     // null: nothing can be fetched
    std::string notes_folder;               // what is kept between builds
    std::string scratch_folder;             // where files are while the build lasts
    uint64_t limit_bytes = kMaxRemoteBytes;
  };
  explicit RemoteFiles(Options options) : options_(std::move(options)) {}

  // What the URL is now. Mismatch where it is not what the checksum promises; NotFound, Unauthorized, Unavailable, ... as the server says.
  Result<RemoteFile> look(const CopyOp::Remote& remote, ProgressTask& task, std::stop_token stop);
  // Its bytes, from the start.
  Result<std::unique_ptr<Source>> open(const CopyOp::Remote& remote, ProgressTask& task, std::stop_token stop);

  static constexpr uint64_t kMaxRemoteBytes = 64ull << 30;
  static constexpr size_t kMaxRedirects = 10;

 private:
  struct Known {
    std::mutex mutex;                       // who asks for the URL
    std::optional<RemoteFile> file;
    std::optional<std::string> path;        // of the bytes, once they are here
  };
  struct Note {
    std::string etag, last_modified;
    RemoteFile file;
  };
  std::shared_ptr<Known> known(const CopyOp::Remote& remote);
  std::string note_path(const std::string& url) const;
  std::optional<Note> read_note(const std::string& url) const;
  void write_note(const std::string& url, const Note& note) const;
  Result<std::unique_ptr<HttpResponse>> ask(const std::string& url, const Headers& headers, std::stop_token stop) const;
  Result<void> fetch(const CopyOp::Remote& remote, Known& known, const std::optional<Note>& note, ProgressTask& task, std::stop_token stop);

  Options options_;
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<Known>> known_;
};

// Last-Modified (RFC 9110 5.6.7, the form that servers send): nullopt where it is none.
std::optional<Time> parse_http_date(const std::string& text);
// The name that ADD gives to what a URL names: its path's last part, decoded.
std::string remote_file_name(const std::string& url);

}  // namespace archway::build
