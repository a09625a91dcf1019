#include "net/heartbeat.hpp"

#include <algorithm>

namespace lmcache::net {

void Heartbeat::start(Time now, bool answers) noexcept {
  heard_ = pinged_ = now;
  answers_ = answers;
}

void Heartbeat::received(Time now) noexcept {
  heard_ = now;
  ttl_ = Duration{0};
}

void Heartbeat::resume(Time now) noexcept {
  paused_ = false;
  heard_ = now;
}

Heartbeat::Action Heartbeat::check(Time now) noexcept {
  const Duration silence_max = limit();
  if (silence_max.count() != 0 && now - heard_ >= silence_max) return Action::kDead;
  if (interval_.count() == 0 || now < std::max(heard_, pinged_) + interval_) {
    return Action::kNothing;
  }
  pinged_ = now;
  return Action::kPing;
}

Heartbeat::Time Heartbeat::next() const noexcept {
  Time at = Time::max();
  if (interval_.count() != 0) at = std::max(heard_, pinged_) + interval_;
  if (const Duration silence_max = limit(); silence_max.count() != 0) {
    at = std::min(at, heard_ + silence_max);
  }
  return at;
}

Heartbeat::Duration Heartbeat::limit() const noexcept {
  if (paused_) return Duration{0};
  const Duration own = judges() ? timeout_ : Duration{0};
  if (own.count() == 0 || ttl_.count() == 0) return std::max(own, ttl_);
  return std::min(own, ttl_);
}

}  // namespace lmcache::net
