// The admin HTTP server: one thread of its own for connections, one for slow routes, nothing shared
// with the request path. Slow, silent, huge and malformed clients cost it a connection slot at
// most, and of those the one that has waited longest goes first.
#pragma once

#include "admin/options.hpp"
#include "admin/router.hpp"
#include "net/endpoint.hpp"

#include <lmcache/status.hpp>

#include <cstdint>
#include <memory>
#include <vector>

namespace lmcache::admin {

class HttpServer {
 public:
  /// What handlers of `router` refer to must outlive the server.
  HttpServer(HttpOptions options, Router router);
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;
  ~HttpServer();  ///< stop()

  /// Binds, unless sockets were `passed` to it, and starts to serve. On an error nothing is left
  /// bound or running; its text says what was tried, why it failed and what to do. Once per server.
  [[nodiscard]] Status start(std::vector<net::ListeningSocket> passed = {});

  /// The TCP port bound; 0 without TCP.
  [[nodiscard]] std::uint16_t port() const noexcept;

  /// Closes everything and joins the threads; a handler that runs is waited for, requests behind it
  /// are dropped. Idempotent.
  void stop();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace lmcache::admin
