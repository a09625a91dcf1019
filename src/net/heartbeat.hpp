// Decides when to PING a silent peer and when to give it up. Pure arithmetic on the times it is
// told, so that tests need no clock. One owner, one thread.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace lmcache::net {

class Heartbeat {
 public:
  using Clock = std::chrono::steady_clock;
  using Time = Clock::time_point;
  enum class Action : std::uint8_t { kNothing, kPing, kDead };

  /// `interval` 0 switches our PINGs and the judgement by `timeout` off. A peer is given up after
  /// `timeout`, but only for a PING that it has not answered within `interval` (or `timeout`, if
  /// that is shorter): it owes us nothing while we did not ask, say because we were stopped.
  Heartbeat(std::chrono::milliseconds interval, std::chrono::milliseconds timeout) noexcept
      : interval_(interval), timeout_(timeout) {}

  /// The handshake is over. `answers`: the peer's version knows PING (ZMTP 3.1); others are judged
  /// only after they have answered one.
  void start(Time now, bool answers) noexcept;
  /// Bytes arrived. Ends what an earlier PING's TTL asked for.
  void received(Time now) noexcept;
  /// The peer sent PING and wants to be dropped when it is silent for `ttl` (0: no wish).
  void peer_ping(std::chrono::milliseconds ttl) noexcept { ttl_ = ttl; }
  void peer_pong() noexcept { answers_ = true; }
  /// Whether silence ends the connection, so that an open one proves its peer alive.
  [[nodiscard]] bool judges() const noexcept {
    return answers_ && interval_.count() != 0 && timeout_.count() != 0;
  }
  /// While we do not read, silence means nothing.
  void pause() noexcept { paused_ = true; }
  void resume(Time now) noexcept;

  /// What to do now. kPing is counted as done.
  [[nodiscard]] Action check(Time now) noexcept;
  /// When to check again; Time::max() when there is nothing to wait for.
  [[nodiscard]] Time next() const noexcept;

 private:
  using Duration = std::chrono::milliseconds;
  /// How long a peer has for its PONG.
  [[nodiscard]] Duration grace() const noexcept { return std::min(interval_, timeout_); }
  /// A PING was sent after the last byte that arrived.
  [[nodiscard]] bool asked() const noexcept { return pinged_ > heard_; }
  /// When silence ends the connection by the peer's own wish, and by our judgement; Time::max():
  /// never. The latter only if it was asked by then.
  [[nodiscard]] Time ttl_end() const noexcept;
  [[nodiscard]] Time timeout_end() const noexcept;

  Duration interval_, timeout_, ttl_{0};
  Time heard_{}, pinged_{};
  bool answers_ = false;
  bool paused_ = false;
};

}  // namespace lmcache::net
