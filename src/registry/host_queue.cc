#include "registry/host_queue.h"

#include <utility>

namespace archway {

HostQueue::~HostQueue() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void HostQueue::list(const std::string& name, Host& host) {
  if (host.listed || host.jobs.empty() || host.running >= per_host_) return;
  host.listed = true;
  ready_.push_back(name);
}

void HostQueue::submit(const std::string& host, Job job, TimePoint when) {
  std::lock_guard lock(mutex_);
  if (when > std::chrono::steady_clock::now()) {
    delayed_.emplace(when, std::pair(host, std::move(job)));
  } else {
    Host& of = hosts_[host];
    of.jobs.push_back(std::move(job));
    list(host, of);
  }
  call_worker();
}

// Somebody to take what is ready, or to wait for what is delayed. A worker that takes a job calls the next in turn.
void HostQueue::call_worker() {
  if (stopping_ || (ready_.empty() && delayed_.empty())) return;
  if (idle_ > 0) return changed_.notify_one();
  if (threads_.size() < max_threads_) threads_.emplace_back([this] { work(); });
}

size_t HostQueue::waiting(const std::string& host) const {
  std::lock_guard lock(mutex_);
  auto found = hosts_.find(host);
  return found == hosts_.end() ? 0 : found->second.jobs.size();
}

void HostQueue::move_due() {
  auto now = std::chrono::steady_clock::now();
  while (!delayed_.empty() && delayed_.begin()->first <= now) {
    auto [host, job] = std::move(delayed_.begin()->second);
    delayed_.erase(delayed_.begin());
    Host& of = hosts_[host];
    of.jobs.push_back(std::move(job));
    list(host, of);
  }
}

void HostQueue::work() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    move_due();
    if (ready_.empty()) {
      ++idle_;
      if (delayed_.empty()) {
        changed_.wait(lock);
      } else {
        auto first = delayed_.begin()->first;  // a copy: others may take the entry out meanwhile
        changed_.wait_until(lock, first);
      }
      --idle_;
      continue;
    }
    std::string name = std::move(ready_.front());
    ready_.pop_front();
    Host& host = hosts_[name];
    host.listed = false;
    Job job = std::move(host.jobs.front());
    host.jobs.pop_front();
    ++host.running;
    list(name, host);
    call_worker();
    lock.unlock();
    job();
    job = nullptr;
    lock.lock();
    Host& after = hosts_[name];
    --after.running;
    list(name, after);
    if (after.jobs.empty() && after.running == 0) hosts_.erase(name);
  }
}

}  // namespace archway
