#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace archway::scheduler {

// Sorts as Go's sort.Slice does, to the order of equal elements: kube-scheduler sorts victims with it, and which of
// two equal pods is evicted follows from that order. Pattern-defeating quicksort (Orson Peters), with the thresholds
// and the deterministic shuffle of Go's variant.
template <class T, class Less>
class UnstableSort {
 public:
  UnstableSort(std::vector<T>& items, Less order) : items_(items), less_(std::move(order)) {}
  void run() {
    long count = static_cast<long>(items_.size());
    quick(0, count, static_cast<int>(std::bit_width(static_cast<unsigned long>(count))));
  }

 private:
  enum class Hint { Unknown, Increasing, Decreasing };
  struct Pivot {
    long at;
    Hint hint;
  };
  static constexpr long kInsertion = 12, kNinther = 50, kMostSwaps = 12;

  bool less(long a, long b) { return less_(items_[static_cast<size_t>(a)], items_[static_cast<size_t>(b)]); }
  void swap(long a, long b) { std::swap(items_[static_cast<size_t>(a)], items_[static_cast<size_t>(b)]); }

  void quick(long begin, long end, int limit) {
    bool balanced = true, partitioned = true;
    for (;;) {
      long length = end - begin;
      if (length <= kInsertion) return insertion(begin, end);
      if (limit == 0) return heap(begin, end);
      if (!balanced) {
        shuffle(begin, end);
        --limit;
      }
      Pivot pivot = choose(begin, end);
      if (pivot.hint == Hint::Decreasing) {
        for (long i = begin, j = end - 1; i < j; ++i, --j) swap(i, j);
        pivot = {(end - 1) - (pivot.at - begin), Hint::Increasing};
      }
      if (balanced && partitioned && pivot.hint == Hint::Increasing && nearly_sorted(begin, end)) return;
      // Nothing here is less than what lies before: all that equals the pivot is in place.
      if (begin > 0 && !less(begin - 1, pivot.at)) {
        begin = partition_equal(begin, end, pivot.at);
        continue;
      }
      auto [middle, was_partitioned] = partition(begin, end, pivot.at);
      partitioned = was_partitioned;
      long left = middle - begin, right = end - middle;
      balanced = std::min(left, right) >= length / 8;
      if (left < right) {
        quick(begin, middle, limit);
        begin = middle + 1;
      } else {
        quick(middle + 1, end, limit);
        end = middle;
      }
    }
  }

  void insertion(long begin, long end) {
    for (long i = begin + 1; i < end; ++i) {
      for (long j = i; j > begin && less(j, j - 1); --j) swap(j, j - 1);
    }
  }

  void sift_down(long low, long high, long first) {
    for (long root = low;;) {
      long child = 2 * root + 1;
      if (child >= high) return;
      if (child + 1 < high && less(first + child, first + child + 1)) ++child;
      if (!less(first + root, first + child)) return;
      swap(first + root, first + child);
      root = child;
    }
  }

  void heap(long begin, long end) {
    long count = end - begin;
    for (long i = (count - 1) / 2; i >= 0; --i) sift_down(i, count, begin);
    for (long i = count - 1; i >= 0; --i) {
      swap(begin, begin + i);
      sift_down(0, i, begin);
    }
  }

  std::pair<long, bool> partition(long begin, long end, long pivot) {
    swap(begin, pivot);
    long i = begin + 1, j = end - 1;
    auto advance = [&] {
      while (i <= j && less(i, begin)) ++i;
      while (i <= j && !less(j, begin)) --j;
    };
    advance();
    bool already = i > j;
    while (i <= j) {
      swap(i++, j--);
      advance();
    }
    swap(j, begin);
    return {j, already};
  }

  long partition_equal(long begin, long end, long pivot) {
    swap(begin, pivot);
    long i = begin + 1, j = end - 1;
    for (;;) {
      while (i <= j && !less(begin, i)) ++i;
      while (i <= j && less(begin, j)) --j;
      if (i > j) return i;
      swap(i++, j--);
    }
  }

  bool nearly_sorted(long begin, long end) {
    long i = begin + 1;
    for (int step = 0; step < 5; ++step) {
      while (i < end && !less(i, i - 1)) ++i;
      if (i == end) return true;
      if (end - begin < kNinther) return false;
      swap(i, i - 1);
      if (i - begin >= 2) {
        for (long j = i - 1; j >= 1 && less(j, j - 1); --j) swap(j, j - 1);
      }
      if (end - i >= 2) {
        for (long j = i + 1; j < end && less(j, j - 1); ++j) swap(j, j - 1);
      }
    }
    return false;
  }

  void shuffle(long begin, long end) {
    long length = end - begin;
    if (length < 8) return;
    uint64_t random = static_cast<uint64_t>(length);
    uint64_t mask = (uint64_t(1) << std::bit_width(static_cast<unsigned long>(length))) - 1;
    long at = begin + (length / 4) * 2 - 1;
    for (long i = 0; i < 3; ++i) {
      random ^= random << 13;
      random ^= random >> 7;
      random ^= random << 17;
      long other = static_cast<long>(random & mask);
      if (other >= length) other -= length;
      swap(at - 1 + i, begin + other);
    }
  }

  long median(long a, long b, long c, long& swaps) {
    auto order = [&](long& x, long& y) {
      if (!less(y, x)) return;
      ++swaps;
      std::swap(x, y);
    };
    order(a, b);
    order(b, c);
    order(a, b);
    return b;
  }

  Pivot choose(long begin, long end) {
    long length = end - begin, swaps = 0;
    long i = begin + length / 4, j = begin + length / 4 * 2, k = begin + length / 4 * 3;
    if (length >= kNinther) {
      i = median(i - 1, i, i + 1, swaps);
      j = median(j - 1, j, j + 1, swaps);
      k = median(k - 1, k, k + 1, swaps);
    }
    j = median(i, j, k, swaps);
    Hint hint = swaps == 0 ? Hint::Increasing : swaps == kMostSwaps ? Hint::Decreasing : Hint::Unknown;
    return {j, hint};
  }

  std::vector<T>& items_;
  Less less_;
};

template <class T, class Less>
void unstable_sort(std::vector<T>& items, Less less) {
  UnstableSort<T, Less>(items, std::move(less)).run();
}

}  // namespace archway::scheduler
