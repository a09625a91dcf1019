// Lets the first few of a kind through at once, then as many per interval, and counts what it held
// back.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

namespace lmcache::obs {

/// Not thread-safe; its owner's lock guards it.
class RateLimit {
 public:
  using Clock = std::chrono::steady_clock;

  explicit RateLimit(Clock::duration interval, unsigned burst = 1) noexcept
      : interval_(interval), burst_(burst) {}

  /// The number of events held back since the last one let through if this one may pass, else
  /// nothing.
  [[nodiscard]] std::optional<std::uint64_t> admit(Clock::time_point now) noexcept {
    if (now >= end_) {
      end_ = now + interval_;
      admitted_ = 0;
    }
    if (admitted_ == burst_) {
      ++held_back_;
      return std::nullopt;
    }
    ++admitted_;
    const std::uint64_t held_back = held_back_;
    held_back_ = 0;
    return held_back;
  }

 private:
  Clock::duration interval_;
  unsigned burst_;
  Clock::time_point end_ = Clock::time_point::min();  ///< of the interval under way
  unsigned admitted_ = 0;                             ///< in it
  std::uint64_t held_back_ = 0;
};

}  // namespace lmcache::obs
