#include "net/shared.hpp"

namespace lmcache::net {

NetStats Counters::read() const noexcept {
  NetStats out;
  out.connections_open = open;
  out.connections_accepted = accepted;
  out.connections_refused = refused;
  out.accept_errors = accept_errors;
  out.connections_paused = paused;
  out.handshake_timeouts = handshake_timeouts;
  out.heartbeat_timeouts = heartbeat_timeouts;
  out.messages_in = messages_in;
  out.bytes_in = bytes_in;
  out.bytes_out = bytes_out;
  out.unsent_bytes = unsent;
  for (std::size_t i = 0; i < protocol_errors.size(); ++i) {
    out.protocol_errors[i] = protocol_errors[i];
  }
  return out;
}

bool Shared::open_connection() {
  if (counters.open.fetch_add(1) >= options.max_connections) {
    close_connection();
    Counters::add(counters.refused);
    return false;
  }
  Counters::add(counters.accepted);
  return true;
}

void Shared::close_connection() noexcept {
  const std::lock_guard lock{mutex_};
  if (counters.open.fetch_sub(1) == 1) changed_.notify_all();
}

bool Shared::wait_until_none(std::chrono::steady_clock::time_point deadline) {
  std::unique_lock lock{mutex_};
  changed_.wait_until(lock, deadline, [this] { return interrupted_ || counters.open == 0; });
  return !interrupted_ && counters.open == 0;
}

void Shared::interrupt() {
  const std::lock_guard lock{mutex_};
  interrupted_ = true;
  changed_.notify_all();
}

}  // namespace lmcache::net
