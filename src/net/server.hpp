// The request socket: a ROUTER without ZeroMQ. Listens on TCP and/or a unix socket, runs the I/O
// threads, and hands every message to a Handler on the thread of the connection it came from.
//
// Threads. The functions below may be called from any thread but the server's own I/O threads (they
// wait for those). The handler must outlive the server; reply slots may outlive both.
#pragma once

#include "net/endpoint.hpp"
#include "net/handler.hpp"
#include "net/options.hpp"

#include <lmcache/status.hpp>

#include <chrono>
#include <cstdint>
#include <memory>
#include <vector>

namespace lmcache::net {

class Server {
 public:
  Server(NetOptions options, Handler& handler);
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  ~Server();  ///< stop()

  /// Binds, unless sockets were `passed` to it, and starts to serve. On an error nothing is left
  /// bound or running, and its text says what was tried, why it failed and what to do. Once per
  /// server.
  [[nodiscard]] Status start(std::vector<ListeningSocket> passed = {});

  /// The TCP port bound; 0 without TCP.
  [[nodiscard]] std::uint16_t port() const noexcept;

  /// No connection is accepted from here on, the unix socket's file is gone if it was ours.
  /// Idempotent.
  void stop_accepting();

  /// stop_accepting(), then: no request is read any more, those in flight are answered, connections
  /// are closed once their replies are sent. True when all are; false at `deadline` or when stop()
  /// came in between (what is left stays open until stop()).
  bool drain(std::chrono::steady_clock::time_point deadline);

  /// Closes everything and joins the threads; every Connection has been destroyed when
  /// it returns. Idempotent; may be called while another thread drains.
  void stop();

  [[nodiscard]] NetStats stats() const noexcept;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace lmcache::net
