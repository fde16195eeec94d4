#include "cli/listen.h"

#include <sys/resource.h>

#include <condition_variable>
#include <mutex>

#include "base/text.h"
#include "cli/command.h"

namespace archway::cli {

Result<ListenAddress> parse_listen_address(const std::string& text) {
  auto refuse = [&] { return usage_error("--listen " + text + " is no address; expected HOST:PORT, for example 127.0.0.1:5000"); };
  ListenAddress address;
  size_t colon = text.rfind(':');
  std::string port = colon == std::string::npos ? text : text.substr(colon + 1);
  std::string host = colon == std::string::npos ? "127.0.0.1" : text.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string::npos) {
    return refuse();  // an IPv6 address needs its brackets: "::1:5000" could be either
  }
  auto number = parse_uint(port);
  if (!number || *number > 65535) return refuse();
  address.host = host.empty() ? "0.0.0.0" : host;
  address.port = static_cast<uint16_t>(*number);
  return address;
}

void raise_descriptor_limit() {
  rlimit limit = {};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  (void)::setrlimit(RLIMIT_NOFILE, &limit);
}

void wait_for_stop(std::stop_token stop) {
  std::mutex mutex;
  std::condition_variable_any changed;
  std::unique_lock lock(mutex);
  changed.wait(lock, stop, [] { return false; });
}

}  // namespace archway::cli
