// Lets the first of a kind through at once, then one per interval, and counts what it held back.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

namespace lmcache::obs {

/// Not thread-safe; its owner's lock guards it.
class RateLimit {
 public:
  using Clock = std::chrono::steady_clock;

  explicit RateLimit(Clock::duration interval) noexcept : interval_(interval) {}

  /// The number of events held back since the last one let through if this one may pass, else
  /// nothing.
  [[nodiscard]] std::optional<std::uint64_t> admit(Clock::time_point now) noexcept {
    if (last_ && now - *last_ < interval_) {
      ++held_back_;
      return std::nullopt;
    }
    last_ = now;
    const std::uint64_t held_back = held_back_;
    held_back_ = 0;
    return held_back;
  }

 private:
  Clock::duration interval_;
  std::optional<Clock::time_point> last_;
  std::uint64_t held_back_ = 0;
};

}  // namespace lmcache::obs
