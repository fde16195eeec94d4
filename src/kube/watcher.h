#pragma once

#include <functional>
#include <map>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include "kube/api_session.h"

// One watch, from its list to its end: keeps what is known, so that a list after a lost history says what changed. Private to the client.
namespace archway::kube {

inline constexpr std::chrono::milliseconds kFirstWatchBackoff{800}, kMaxWatchBackoff{30'000};  // client-go's reflector
// The server ends a watch after a while (timeoutSeconds), and says something every minute (bookmarks): silence means a dead connection.
inline constexpr int kWatchSeconds = 290;
inline constexpr std::chrono::milliseconds kWatchStall = std::chrono::seconds(150);

// One line of a watch's answer: {"type": "ADDED", "object": {...}}.
struct WatchLine {
  std::optional<WatchEvent> event;  // none: the history is gone, or the server says what went wrong
  bool expired = false;
  std::string problem = {};
};
Result<WatchLine> parse_watch_line(std::string_view line);

class Watcher {
 public:
  using Each = std::function<Result<void>(const WatchEvent&)>;
  Watcher(ApiSession& session, Client& client, Resource resource, std::string name_space, ListOptions options, const Each& each, std::stop_token stop);
  Result<void> run();

 private:
  struct Known {
    std::string uid, version;
    uint64_t round = 0;  // of the list that had it last
  };
  using KnownObjects = std::map<std::string, Known, std::less<>>;

  Result<void> list_again();
  Result<void> note_listed(Json object);
  Result<void> drop_vanished();
  Result<void> follow();
  Result<void> read_lines(HttpResponse& response);
  Result<void> take_line(std::string_view line);
  Result<void> tell(WatchEvent::Type type, Json object);
  void back_off();
  bool is_final(const Error& error) const;
  Json remains_of(const std::string& key, const Known& known) const;

  ApiSession& session_;
  Client& client_;
  Resource resource_;
  std::string name_space_;
  ListOptions options_;
  const Each& each_;
  std::stop_token stop_;

  KnownObjects known_;
  uint64_t round_ = 0;
  std::string version_;        // where the watch goes on; "" asks for a list
  bool ever_followed_ = false;
  bool listener_failed_ = false;
  bool heard_ = false;         // something in this connection
  std::chrono::milliseconds backoff_ = kFirstWatchBackoff;
};

}  // namespace archway::kube
