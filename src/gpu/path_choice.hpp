// Kernel and DMA, or the copy engines alone: which moves a transfer faster now. Learnt from the
// transfers themselves.
//
// An idle GPU packs faster than the link takes; one whose engine keeps it busy does not: without
// MPS the kernels of two processes take turns, so a copy kernel waits for its time slice of some
// 2 ms, and the engine's stand still meanwhile.
//
// Threads: one at a time.
#pragma once

#include <chrono>
#include <cstdint>

namespace lmcache::gpu {

enum class Path : std::uint8_t { kStaged, kDirect };

class PathChoice {
 public:
  using Clock = std::chrono::steady_clock;

  /// Shorter transfers tell more of the polling than of the link.
  static constexpr std::uint64_t kLeastBytes = 4ull << 20;
  static constexpr std::uint64_t kFirstSamples = 4;
  static constexpr std::chrono::seconds kTryAgain{1}, kTryAtLast{64};

  /// What either path moved lately decides. The copy engines alone are worth a try once, and again
  /// whenever kernels are slower than they have been. While they are in use kernels get a try now
  /// and then, after twice the time when the last one was in vain: it slows the engine down.
  [[nodiscard]] Path choose(Clock::time_point now) const noexcept;

  /// A transfer that nothing but the GPU and the link could delay took this long, until `now`.
  void learn(Path path, std::uint64_t bytes, Clock::duration took, Clock::time_point now) noexcept;

 private:
  struct Rate {
    double lately = 0, best = 0;  ///< bytes per microsecond
    std::uint64_t samples = 0;
    Clock::time_point last;
  };
  Rate staged_, direct_;
  Clock::duration try_staged_after_ = kTryAgain;
};

/// Whether planning a large transfer of one registration for the copy engines may be worth its
/// time: it takes milliseconds, and where rectangles were too small once they mostly are again.
class DirectPlans {
 public:
  using Clock = PathChoice::Clock;
  [[nodiscard]] bool due(Clock::time_point now) const noexcept { return now >= next_; }
  /// What a plan came to. In vain: not again for twice as long as the last time.
  void planned(bool worthwhile, Clock::time_point now) noexcept;

 private:
  Clock::time_point next_ = Clock::time_point::min();
  Clock::duration pause_ = PathChoice::kTryAgain;
};

}  // namespace lmcache::gpu
