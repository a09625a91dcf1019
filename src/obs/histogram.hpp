// A counter and a histogram of atomics. Any thread.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

namespace lmcache::obs {

/// Only grows.
class Counter {
 public:
  /// What it was before.
  std::uint64_t add(std::uint64_t n = 1) noexcept {
    return count_.fetch_add(n, std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint64_t value() const noexcept {
    return count_.load(std::memory_order_relaxed);
  }

 private:
  std::atomic<std::uint64_t> count_{0};
};

/// Observations by upper bound. A scrape may see one in `sum` before it sees it in a bucket.
template <const auto& kBounds>
class Histogram {
 public:
  static constexpr std::size_t kBuckets = kBounds.size() + 1;  ///< the last has no bound

  void observe(double value) noexcept {
    std::size_t bucket = 0;
    while (bucket < kBounds.size() && value > kBounds[bucket]) ++bucket;
    buckets_[bucket].add();
    sum_.fetch_add(value, std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint64_t bucket(std::size_t i) const noexcept { return buckets_[i].value(); }
  [[nodiscard]] double sum() const noexcept { return sum_.load(std::memory_order_relaxed); }
  [[nodiscard]] static std::span<const double> bounds() noexcept { return kBounds; }

 private:
  std::array<Counter, kBuckets> buckets_;
  std::atomic<double> sum_{0};
};

}  // namespace lmcache::obs
