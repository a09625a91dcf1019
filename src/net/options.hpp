// What the network layer needs to know, and what it tells about itself. No Asio in here.
#pragma once

#include "wire/zmtp.hpp"

#include <lmcache/config.hpp>

#include <array>
#include <chrono>
#include <cstdint>
#include <string>

namespace lmcache::net {

struct NetOptions {
  bool tcp = true;
  std::string host = "localhost";  ///< name or address; "*" and "" mean every interface
  std::uint16_t port = 0;          ///< 0: any free port, see Server::port()
  std::string unix_path;           ///< empty: no unix socket
  unsigned io_threads = 1;

  std::uint64_t max_message_bytes =
      64ull << 20;  ///< of one message, and of one connection's requests in flight
  std::uint32_t max_frames = 64;
  std::uint32_t max_connections = 4096;
  std::uint64_t max_unsent_bytes =
      64ull << 20;  ///< beyond it a connection is not read from until half has drained
  std::uint32_t max_inflight = 1024;  ///< requests of one connection
  std::chrono::milliseconds handshake_timeout{10000};
  std::chrono::milliseconds heartbeat_interval{10000};  ///< 0: we send no PINGs and drop nobody
  std::chrono::milliseconds heartbeat_timeout{30000};

  [[nodiscard]] static NetOptions from(const ServerConfig& config);
};

/// Counts since the start, except those marked as being of now.
struct NetStats {
  std::uint64_t connections_open = 0;  ///< now
  std::uint64_t connections_accepted = 0;
  std::uint64_t connections_refused = 0;  ///< over max_connections
  std::uint64_t accept_errors = 0;        ///< e.g. out of file descriptors
  std::uint64_t connections_paused = 0;   ///< now: not read from because of a limit
  std::uint64_t handshake_timeouts = 0;
  std::uint64_t heartbeat_timeouts = 0;
  std::uint64_t messages_in = 0;
  std::uint64_t bytes_in = 0;
  std::uint64_t bytes_out = 0;
  std::uint64_t unsent_bytes = 0;  ///< now: replies that the sockets have not taken yet
  std::array<std::uint64_t, wire::kZmtpErrorCount> protocol_errors{};  ///< by wire::ZmtpError
};

}  // namespace lmcache::net
