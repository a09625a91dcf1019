#include "net/acceptor.hpp"

#include "net/session.hpp"
#include "net/socket_stream.hpp"

#include <boost/asio/dispatch.hpp>
#include <boost/asio/error.hpp>

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <utility>

namespace lmcache::net {
namespace {

constexpr std::chrono::milliseconds kPauseFirst{50}, kPauseMax{1000};

PeerId next_peer_id() noexcept {
  static std::atomic<PeerId> last{0};
  return last.fetch_add(1, std::memory_order_relaxed) + 1;
}

void adopt(const std::shared_ptr<IoThread>& thread, const std::shared_ptr<Shared>& shared,
           Socket socket) {
  try {
    const PeerId peer = next_peer_id();
    std::string name = peer_name(socket.native_handle());
    thread->adopt(
        peer, std::make_shared<Session>(thread, shared, make_socket_stream(std::move(socket)), peer,
                                        std::move(name)));
  } catch (const std::exception&) {  // no memory for it: it gives its place back unused
    Counters::add(shared->counters.accept_errors);
    thread->drop_load();
    shared->close_connection();
  }
}

}  // namespace

Acceptor::Acceptor(ListeningSocket socket, std::shared_ptr<Shared> shared, const Threads& threads)
    : listening_(std::move(socket)),
      shared_(std::move(shared)),
      threads_(threads),
      acceptor_(threads.front()->context()),
      timer_(threads.front()->context()) {
  acceptor_.assign({listening_->family(), 0}, listening_->fd());
  (void)listening_->release_fd();
}

void Acceptor::start() {
  accept_next();
}

void Acceptor::close() {
  boost::system::error_code ignored;
  acceptor_.close(ignored);
  timer_.cancel();
  listening_.reset();
}

void Acceptor::accept_next() {
  if (!acceptor_.is_open()) return;
  auto thread = *std::ranges::min_element(
      threads_, {}, [](const std::shared_ptr<IoThread>& t) { return t->load(); });
  acceptor_.async_accept(
      thread->context(),
      [self = shared_from_this(), thread](const boost::system::error_code& error, Socket socket) {
        self->accepted(error, std::move(socket), thread);
      });
}

void Acceptor::accepted(const boost::system::error_code& error, Socket socket,
                        const std::shared_ptr<IoThread>& thread) {
  if (!acceptor_.is_open()) return;
  if (error) {
    // A peer that hung up first is nobody's trouble; out of descriptors or memory stays for a
    // while.
    if (error == boost::asio::error::connection_aborted) return accept_next();
    Counters::add(shared_->counters.accept_errors);
    return back_off();
  }
  pause_ = {};
  if (shared_->open_connection()) {
    thread->add_load();
    const int on = 1;  // fails, harmlessly, on a unix socket
    (void)setsockopt(socket.native_handle(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    boost::asio::dispatch(thread->context(),
                          [thread, shared = shared_, socket = std::move(socket)]() mutable {
                            adopt(thread, shared, std::move(socket));
                          });
  }
  accept_next();
}

void Acceptor::back_off() {
  pause_ = std::clamp(pause_ * 2, kPauseFirst, kPauseMax);
  timer_.expires_after(pause_);
  timer_.async_wait([self = shared_from_this()](const boost::system::error_code& error) {
    if (!error) self->accept_next();
  });
}

}  // namespace lmcache::net
