#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include "kube/client.h"

// One of several replicas does what only one should: a Lease of coordination.k8s.io, taken and renewed as client-go's leader
// election does it.
namespace archway::admission {

struct LeaseOptions {
  std::string name_space, name, identity;  // identity: the pod's name, and something that differs after a restart
  std::chrono::seconds duration = std::chrono::seconds(15);  // others wait this long after the last renewal they saw
  std::chrono::seconds renew_deadline = std::chrono::seconds(10);  // who could not renew for this long stops
  std::chrono::milliseconds retry = std::chrono::seconds(2);
  // Time since some moment, that never goes back; tests bring their own. When others' clocks differ does not matter: what is measured is
  // how long a record has not changed.
  std::function<std::chrono::milliseconds()> monotonic = {};
  std::function<void(std::chrono::milliseconds, std::stop_token)> sleep = {};
  Clock* clock = nullptr;  // what is written into the object
};

class Lease {
 public:
  Lease(std::shared_ptr<kube::Client> client, LeaseOptions options);

  // Takes or renews it. True: ours now. An error says that nobody could be asked; whether it is still ours, holds() knows.
  Result<bool> try_hold(std::stop_token stop = {});
  // Ours, as far as we know without asking: the last renewal is younger than the deadline.
  bool holds() const;
  // Gives it away at once, so that another need not wait.
  Result<void> release(std::stop_token stop = {});

  // Until stopped: waits for the lease, runs `lead` on a thread of its own while it is held, and stops it (and waits for it) when it is lost.
  void run(const std::function<void(std::stop_token)>& lead, std::stop_token stop);

 private:
  std::chrono::milliseconds now() const;
  void sleep(std::chrono::milliseconds duration, std::stop_token stop) const;
  Json renewed(const Json& spec, bool take_over) const;
  Result<bool> renew(std::stop_token stop);
  void hold_while(const std::function<void(std::stop_token)>& lead, std::stop_token stop);

  std::shared_ptr<kube::Client> client_;
  LeaseOptions options_;
  std::string observed_;  // the last record seen, as text
  std::chrono::milliseconds observed_at_{0};
  std::optional<std::chrono::milliseconds> renewed_at_;
};

}  // namespace archway::admission
