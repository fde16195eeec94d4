#pragma once

#include <condition_variable>
#include <mutex>
#include <utility>

namespace archway {

// A value that can only be reached with its mutex held:
//     Sync<State> state;
//     auto locked = state.lock();  locked->count++;
template <class T>
class Sync {
 public:
  Sync() = default;
  explicit Sync(T value) : value_(std::move(value)) {}

  class Locked {
   public:
    T* operator->() { return &owner_.value_; }
    T& operator*() { return owner_.value_; }
    // Waits until `ready` holds; the lock is released meanwhile.
    template <class Ready>
    void wait(std::condition_variable& changed, Ready ready) {
      changed.wait(lock_, std::move(ready));
    }

   private:
    friend class Sync;
    explicit Locked(Sync& owner) : owner_(owner), lock_(owner.mutex_) {}
    Sync& owner_;
    std::unique_lock<std::mutex> lock_;
  };
  Locked lock() { return Locked(*this); }

 private:
  std::mutex mutex_;
  T value_{};
};

}  // namespace archway
