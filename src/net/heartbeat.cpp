#include "net/heartbeat.hpp"

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
  if (now >= ttl_end()) return Action::kDead;
  const bool over = now >= timeout_end();
  // A check that comes a whole grace late does not know whether the answer is among what has not
  // been read meanwhile: it asks again.
  if (over && asked() && now - pinged_ <= 2 * grace()) return Action::kDead;
  if (!over && (interval_.count() == 0 || now < std::max(heard_, pinged_) + interval_))
    return Action::kNothing;
  pinged_ = now;
  return Action::kPing;
}

Heartbeat::Time Heartbeat::next() const noexcept {
  const Time ping = interval_.count() == 0 ? Time::max() : std::max(heard_, pinged_) + interval_;
  return std::min({ping, ttl_end(), timeout_end()});
}

Heartbeat::Time Heartbeat::ttl_end() const noexcept {
  return paused_ || ttl_.count() == 0 ? Time::max() : heard_ + ttl_;
}

Heartbeat::Time Heartbeat::timeout_end() const noexcept {
  if (paused_ || !judges()) return Time::max();
  return asked() ? std::max(heard_ + timeout_, pinged_ + grace()) : heard_ + timeout_;
}

}  // namespace lmcache::net
