#include "base/thread_pool.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <optional>
#include <utility>

namespace archway {

ThreadPool::ThreadPool(size_t threads) {
  for (size_t i = 0; i < std::max<size_t>(threads, 1); ++i) {
    threads_.emplace_back([this] {
      for (;;) {
        std::function<void()> task;
        {
          auto state = state_.lock();
          state.wait(changed_, [&] { return state->stopping || !state->queue.empty(); });
          if (state->queue.empty()) return;
          task = std::move(state->queue.front());
          state->queue.pop_front();
        }
        task();
      }
    });
  }
}

ThreadPool::~ThreadPool() {
  state_.lock()->stopping = true;
  changed_.notify_all();
}

void ThreadPool::submit(std::function<void()> task) {
  state_.lock()->queue.push_back(std::move(task));
  changed_.notify_one();
}

size_t processor_count() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  return static_cast<size_t>(std::max(1, CPU_COUNT(&set)));
}

Result<void> parallel_for(size_t count, size_t threads, const std::function<Result<void>(size_t)>& body) {
  std::atomic<size_t> next = 0;
  std::atomic<bool> failed = false;
  Sync<std::optional<std::pair<size_t, Error>>> first;
  auto work = [&] {
    for (;;) {
      if (failed) return;
      size_t i = next.fetch_add(1);
      if (i >= count) return;
      auto result = body(i);
      if (result.ok()) continue;
      failed = true;
      auto error = first.lock();
      if (!*error || (*error)->first > i) *error = {i, std::move(result).error()};
    }
  };
  {
    std::vector<std::jthread> helpers;
    for (size_t t = 1; t < std::min(threads, count); ++t) helpers.emplace_back(work);
    work();
  }
  auto error = first.lock();
  if (*error) return (*error)->second;
  return {};
}

}  // namespace archway
