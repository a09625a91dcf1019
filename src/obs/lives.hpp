// How long objects stay in L1 and when they are used again: histograms of a sample, as the
// reference has them. A chunk is in the sample by its hash, so that one that is not costs a
// comparison. Of one that is there is a row in a bounded table, behind a mutex that is innermost
// and held for a few steps; scrapes read the histograms without it. Any thread.
#pragma once

#include "obs/histogram.hpp"
#include "obs/label_table.hpp"

#include <chrono>
#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <unordered_map>

namespace lmcache::obs {

/// Upper bounds in seconds, the reference's. What was evicted is waited for up to the last of the
/// second row.
inline constexpr std::array<double, 13> kLifeBounds{1,   5,   15,   30,   60,   120,  300,
                                                    600, 900, 1800, 3600, 7200, 14400};
inline constexpr std::array<double, 7> kEvictReuseBounds{1, 5, 15, 30, 60, 120, 300};
/// Upper bounds in seconds, or in chunks.
inline constexpr std::array<double, 15> kReuseBounds{0,   5,   10,   25,   50,   75,   100,  250,
                                                     500, 750, 1000, 2500, 5000, 7500, 10000};

class Lives {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr std::size_t kRowsMax = 65536;  ///< of each of the two tables
  static constexpr std::chrono::seconds kEvictedWait{300};

  /// By cache_salt.
  struct Reuse {
    Histogram<kReuseBounds> seconds, chunks;
    Counter accesses;  ///< of chunks, in the sample or not
  };

  /// The share of chunks, 0 to 1, that is in the sample from now on.
  void sample(double share) noexcept;
  /// `chunk`: a word of its hash.
  [[nodiscard]] bool samples(std::uint64_t chunk) const noexcept {
    return chunk < below_.load(std::memory_order_relaxed);
  }

  // Objects that are in the sample, by a number that stands for their name.
  void written(std::uint64_t object, Clock::time_point now);
  void read(std::uint64_t object, Clock::time_point now);
  void evicted(std::uint64_t object, Clock::time_point now);

  /// A transfer reads or writes so many chunks; the number of the first in the stream of accesses
  /// of this salt.
  [[nodiscard]] std::uint64_t count_accesses(const std::string& salt, std::uint64_t chunks);
  /// One of them that is in the sample, by a number for it and its rank.
  void accessed(const std::string& salt, std::uint64_t chunk, std::uint64_t number, bool is_read,
                Clock::time_point now);

  Histogram<kLifeBounds> lifetime, idle_before_evict, reuse_gap;
  Histogram<kEvictReuseBounds> evict_reuse_gap;
  LabelTable<Reuse, 1, 64, 0> reuse;

 private:
  struct Life {
    Clock::time_point written, used;
    bool evicted = false;  ///< `used` is when
  };
  struct Access {
    Clock::time_point when;
    std::uint64_t number = 0;
  };
  void forget_evicted(Clock::time_point now);

  std::atomic<std::uint64_t> below_{0};
  std::mutex mutex_;  // guards all below
  std::unordered_map<std::uint64_t, Life> lives_;
  std::deque<std::pair<std::uint64_t, Clock::time_point>> evicted_;  // oldest first
  std::unordered_map<std::uint64_t, Access> accesses_;
  std::deque<std::uint64_t> admitted_;  // keys of accesses_, oldest first
};

}  // namespace lmcache::obs
