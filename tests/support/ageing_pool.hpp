// A pool as it is after a day of several models: objects of their sizes and of sizes in between
// come and go, and which model is busiest changes every hour. Deterministic for a seed.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <optional>
#include <random>
#include <vector>

#include "pool/allocator.hpp"

namespace lmcache::test {

class AgeingPool {
 public:
  static constexpr double kFill = 0.95;
  static constexpr std::uint64_t kSecondsPerDay = 24 * 3600;

  AgeingPool(std::uint64_t bytes, std::uint64_t seed) : pool_(bytes, 4096), random_(seed) {}

  /// One second: a store of a few objects, for which the oldest go, one in four of them spared once
  /// because it was used. `timed` wraps every call to the allocator.
  template <class Timed>
  void step(std::uint64_t second, const Timed& timed) {
    const std::uint64_t count = 1 + random_() % 8;
    const std::uint64_t size = some_size(second / 3600);
    for (std::uint64_t i = 0; i < count; ++i) place(size, timed);
  }

  [[nodiscard]] const pool::Allocator& pool() const noexcept { return pool_; }
  /// Allocations, and those for which all had gone and there was still no room.
  std::uint64_t allocations = 0, failures = 0;
  /// By how much of the pool less than kFill is in use because gaps were too small: now, summed
  /// over allocations, and at most.
  double lost_now = 0, lost = 0, most_lost = 0;

 private:
  struct Object {
    std::uint64_t offset, bytes;
    bool spared;
  };

  std::uint64_t some_size(std::uint64_t hour) {
    static constexpr std::uint64_t kModels[] = {985'664,    15'420'416, 12'305'408,
                                                33'554'432, 6'291'456,  3'145'728};
    const std::uint64_t choice = random_() % 10;
    if (choice < 5) return kModels[hour % 6];
    if (choice < 8) return kModels[random_() % 6];
    // 1 KiB to 64 MiB, every doubling as likely.
    const std::uint64_t base = std::uint64_t{1024} << random_() % 16;
    return base + random_() % (base + 1);
  }

  template <class Timed>
  void place(std::uint64_t bytes, const Timed& timed) {
    while (static_cast<double>(pool_.used_bytes() + bytes) >
               kFill * static_cast<double>(pool_.total_bytes()) &&
           evict(timed)) {
    }
    ++allocations;
    std::optional<std::uint64_t> offset;
    timed([&] { offset = pool_.allocate(bytes); });
    while (!offset && evict(timed)) timed([&] { offset = pool_.allocate(bytes); });
    if (!offset) {
      ++failures;
      return;
    }
    objects_.push_back({*offset, bytes, false});
    if (!full_) full_ = evictions_ > 0;
    if (!full_) return;
    // What one object less than kFill explains is no loss.
    const double used =
        static_cast<double>(pool_.used_bytes() + bytes) / static_cast<double>(pool_.total_bytes());
    lost_now = std::max(0.0, kFill - used);
    lost += lost_now;
    most_lost = std::max(most_lost, lost_now);
  }

  template <class Timed>
  bool evict(const Timed& timed) {
    while (!objects_.empty()) {
      Object object = objects_.front();
      objects_.pop_front();
      if (!object.spared && random_() % 4 == 0) {
        object.spared = true;
        objects_.push_back(object);
        continue;
      }
      timed([&] { pool_.free(object.offset, object.bytes); });
      ++evictions_;
      return true;
    }
    return false;
  }

  pool::Allocator pool_;
  std::mt19937_64 random_;
  std::deque<Object> objects_;
  std::uint64_t evictions_ = 0;
  bool full_ = false;
};

}  // namespace lmcache::test
