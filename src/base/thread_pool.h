#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <thread>
#include <vector>

#include "base/result.h"
#include "base/sync.h"

namespace archway {

// A fixed number of threads over one queue. The destructor runs what is queued, then joins.
class ThreadPool {
 public:
  explicit ThreadPool(size_t threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  void submit(std::function<void()> task);
  size_t size() const { return threads_.size(); }

 private:
  struct State {
    std::deque<std::function<void()>> queue;
    bool stopping = false;
  };
  Sync<State> state_;
  std::condition_variable changed_;
  std::vector<std::jthread> threads_;
};

// The number of processors this process may use (at least 1).
size_t processor_count();

// Runs body(0) ... body(count-1) on up to `threads` threads, the caller's among them, and waits
// for all. After the first failure no new index is begun; the error of the lowest failed index is returned.
Result<void> parallel_for(size_t count, size_t threads, const std::function<Result<void>(size_t)>& body);

}  // namespace archway
