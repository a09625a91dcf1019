// Accepts connections on one listening socket, on the I/O thread it was given, and deals them out.
// Internal to src/net.
#pragma once

#include "net/asio_types.hpp"
#include "net/endpoint.hpp"
#include "net/io_thread.hpp"
#include "net/shared.hpp"

#include <chrono>
#include <memory>
#include <optional>
#include <vector>

namespace lmcache::net {

class Acceptor : public std::enable_shared_from_this<Acceptor> {
 public:
  using Threads = std::vector<std::shared_ptr<IoThread>>;

  /// `threads` is where connections go, to the least loaded one; the acceptor lives on the first.
  Acceptor(ListeningSocket socket, std::shared_ptr<Shared> shared, const Threads& threads);

  // On the first of the threads, except that start() may be called before it runs.
  void start();
  void close();

 private:
  void accept_next();
  void accepted(const boost::system::error_code& error, Socket socket,
                const std::shared_ptr<IoThread>& thread);
  void back_off();

  std::optional<ListeningSocket> listening_;  ///< without its descriptor: the unix socket's file
  std::shared_ptr<Shared> shared_;
  Threads threads_;
  SocketAcceptor acceptor_;
  Timer timer_;
  std::chrono::milliseconds pause_{0};
};

}  // namespace lmcache::net
