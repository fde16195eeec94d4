#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"

namespace archway::build {

// A socket by which a program in a container reaches the user's ssh-agent: it may list keys and have things signed, and nothing else - keys
// cannot be added, removed or locked (draft-ietf-sshm-ssh-agent, 3). Each connection has one of its own to the agent. Ends when destroyed;
// its socket's file stays.
class AgentRelay {
 public:
  // Listens at `place`, whose file gets that owner and mode. Invalid where `agent` is no socket.
  static Result<std::unique_ptr<AgentRelay>> start(const std::string& agent, const std::string& place, uint32_t mode, uint32_t uid, uint32_t gid);
  ~AgentRelay();

 private:
  struct State;
  explicit AgentRelay(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

inline constexpr uint32_t kMaxAgentMessageBytes = 256 * 1024;  // as in OpenSSH
inline constexpr size_t kMaxAgentConnections = 64;             // of one socket at once; more are hung up on

}  // namespace archway::build
