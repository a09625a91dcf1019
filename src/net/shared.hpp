// What all connections of one server share. Lives as long as the last of them, which may be longer
// than the server: a reply slot keeps its connection.
#pragma once

#include "net/handler.hpp"
#include "net/identity_table.hpp"
#include "net/options.hpp"

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>

namespace lmcache::net {

/// The live form of NetStats. Relaxed: figures, not synchronisation.
struct Counters {
  using Count = std::atomic<std::uint64_t>;

  static void add(Count& count, std::uint64_t n = 1) noexcept {
    count.fetch_add(n, std::memory_order_relaxed);
  }
  static void sub(Count& count, std::uint64_t n = 1) noexcept {
    count.fetch_sub(n, std::memory_order_relaxed);
  }
  [[nodiscard]] NetStats read() const noexcept;

  Count open{0}, accepted{0}, refused{0}, accept_errors{0}, paused{0};
  Count handshake_timeouts{0}, heartbeat_timeouts{0}, messages_in{0};
  Count bytes_in{0}, bytes_out{0}, unsent{0};
  std::array<Count, wire::kZmtpErrorCount> protocol_errors{};
};

struct Shared {
  Shared(NetOptions o, Handler& h) : options(std::move(o)), handler(h) {}

  /// Takes a place among max_connections; false when there is none. Any thread.
  [[nodiscard]] bool open_connection();
  void close_connection() noexcept;
  /// Waits until no connection is open (true) or until `deadline` or interrupt() (false).
  [[nodiscard]] bool wait_until_none(std::chrono::steady_clock::time_point deadline);
  void interrupt();

  const NetOptions options;
  Handler& handler;  ///< not used after the I/O threads have ended
  Counters counters;
  IdentityTable identities;

 private:
  std::mutex mutex_;  ///< guards interrupted_ and the change of counters.open to 0
  std::condition_variable changed_;
  bool interrupted_ = false;
};

}  // namespace lmcache::net
