// Where the admin server listens and what it puts up with. No Asio in here.
#pragma once

#include <lmcache/config.hpp>
#include <lmcache/status.hpp>

#include <chrono>
#include <cstdint>
#include <string>

namespace lmcache::admin {

struct HttpOptions {
  std::string host = "127.0.0.1";
  std::uint16_t port = 0;   ///< 0: any free one, see HttpServer::port()
  bool tcp = true;          ///< false: on the unix socket only
  std::string socket_path;  ///< unix socket, mode 0660; empty: none
  std::string token;        ///< bearer token that requests must carry; empty: none

  std::uint32_t max_connections = 256;        ///< beyond: the one that has waited longest is closed
  std::chrono::milliseconds timeout{10'000};  ///< for a request to arrive, or an answer to leave
  std::uint32_t max_header_bytes = 8u << 10;
  std::uint64_t max_body_bytes = 1u << 20;

  /// Reads the token file; its first line, 16 to 4096 printable bytes, is the token.
  [[nodiscard]] static Result<HttpOptions> from(const ServerConfig& config);
};

}  // namespace lmcache::admin
