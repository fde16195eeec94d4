#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace archway {

// Jobs by host: at most `per_host` of one host at once, hosts in turn, so that a slow one does not hold up the others. Threads are begun
// as they are needed. Destroying it drops what has not begun and waits for what has. Thread safe.
class HostQueue {
 public:
  using Job = std::function<void()>;
  using TimePoint = std::chrono::steady_clock::time_point;
  HostQueue(size_t per_host, size_t max_threads) : per_host_(per_host), max_threads_(max_threads) {}
  ~HostQueue();
  HostQueue(const HostQueue&) = delete;

  // Not before `when`.
  void submit(const std::string& host, Job job, TimePoint when = {});
  size_t waiting(const std::string& host) const;  // that have not begun

 private:
  struct Host {
    std::deque<Job> jobs;
    size_t running = 0;
    bool listed = false;  // in ready_
  };
  void work();
  void list(const std::string& name, Host& host);
  void move_due();
  void call_worker();

  const size_t per_host_, max_threads_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, Host> hosts_;  // that have a job waiting or running
  std::deque<std::string> ready_;      // that have a job waiting and may run one more
  std::multimap<TimePoint, std::pair<std::string, Job>> delayed_;
  size_t idle_ = 0;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace archway
