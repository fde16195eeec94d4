#pragma once

#include <cstdint>
#include <stop_token>
#include <string>

#include "base/result.h"

// What verbs that serve have in common.
namespace archway::cli {

struct ListenAddress {
  std::string host;
  uint16_t port = 0;
};

// --listen: "127.0.0.1:5000", "[::1]:5000", ":5000" for every address, "5000" for a port of the loopback address.
Result<ListenAddress> parse_listen_address(const std::string& text);

// Each connection takes a descriptor, and another while a blob is sent.
void raise_descriptor_limit();
void wait_for_stop(std::stop_token stop);

}  // namespace archway::cli
