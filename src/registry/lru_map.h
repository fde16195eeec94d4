#pragma once

#include <list>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

namespace archway {

// Values by text, at most `max` of them; the least lately used goes first. Used by one thread at a time.
template <class V>
class LruMap {
 public:
  explicit LruMap(size_t max) : max_(max) {}
  LruMap(const LruMap&) = delete;
  void limit(size_t max) { max_ = max; }  // from the next put() on

  V* find(std::string_view key) {
    auto found = places_.find(key);
    if (found == places_.end()) return nullptr;
    entries_.splice(entries_.begin(), entries_, found->second);
    return &found->second->second;
  }
  void put(std::string_view key, V value) {
    if (V* have = find(key)) {
      *have = std::move(value);
      return;
    }
    entries_.emplace_front(std::string(key), std::move(value));
    places_.emplace(entries_.front().first, entries_.begin());
    if (entries_.size() <= max_) return;
    places_.erase(entries_.back().first);
    entries_.pop_back();
  }
  void erase(std::string_view key) {
    auto found = places_.find(key);
    if (found == places_.end()) return;
    auto entry = found->second;
    places_.erase(found);
    entries_.erase(entry);
  }
  size_t size() const { return entries_.size(); }
  const std::list<std::pair<std::string, V>>& entries() const { return entries_; }

 private:
  size_t max_;
  std::list<std::pair<std::string, V>> entries_;  // the last used first
  std::unordered_map<std::string_view, typename std::list<std::pair<std::string, V>>::iterator> places_;
};

}  // namespace archway
