#include "admin/server.hpp"

#include "admin/connection.hpp"
#include "obs/pulse.hpp"

#include <boost/asio/error.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>

#include <pthread.h>

#include <algorithm>
#include <future>
#include <optional>
#include <thread>
#include <utility>

namespace lmcache::admin {
namespace {

constexpr std::chrono::milliseconds kAcceptPause{100};

/// Accepts on one socket for as long as it is open.
class Door : public std::enable_shared_from_this<Door> {
 public:
  Door(std::shared_ptr<Hall> hall, net::ListeningSocket socket)
      : hall_(std::move(hall)),
        listening_(std::move(socket)),
        acceptor_(hall_->context),
        timer_(hall_->context) {
    acceptor_.assign({listening_->family(), 0}, listening_->fd());
    static_cast<void>(listening_->release_fd());
  }

  void accept() {
    if (!acceptor_.is_open()) return;
    acceptor_.async_accept(
        hall_->context,
        [self = shared_from_this()](const boost::system::error_code& error, net::Socket socket) {
          self->accepted(error, std::move(socket));
        });
  }

  void close() {
    boost::system::error_code ignored;
    acceptor_.close(ignored);
    timer_.cancel();
    listening_.reset();
  }

 private:
  void accepted(const boost::system::error_code& error, net::Socket socket) {
    if (!acceptor_.is_open()) return;
    if (!error) {
      if (make_room()) std::make_shared<Connection>(hall_, std::move(socket))->start();
      return accept();
    }
    if (error == boost::asio::error::connection_aborted) return accept();
    // Out of descriptors or memory, and it stays so for a while.
    timer_.expires_after(kAcceptPause);
    timer_.async_wait([self = shared_from_this()](const boost::system::error_code& cancelled) {
      if (!cancelled) self->accept();
    });
  }

  /// A probe must get in however many clients sit there and say nothing, or ask and do not read:
  /// the one that has waited longest makes room, or else the one whose answer has been leaving
  /// longest. False if all are being answered.
  bool make_room() {
    if (hall_->all.size() < hall_->options.max_connections) return true;
    return close_oldest(Connection::State::kWaiting) ||
           close_oldest(Connection::State::kDelivering);
  }

  bool close_oldest(Connection::State state) {
    const auto found = std::ranges::find(hall_->all, state, &Connection::state);
    if (found == hall_->all.end()) return false;
    (*found)->close();
    return true;
  }

  std::shared_ptr<Hall> hall_;
  std::optional<net::ListeningSocket> listening_;  ///< without its descriptor: the socket's file
  net::SocketAcceptor acceptor_;
  net::Timer timer_;
};

/// A thread that runs a loop until it has been told to finish and the loop has run dry.
class LoopThread {
 public:
  LoopThread(boost::asio::io_context& context, const char* name, const char* pulse_name)
      : context_(context), guard_(make_work_guard(context)), name_(name), pulse_name_(pulse_name) {}

  void start() {
    thread_ = std::thread([this] {
      pthread_setname_np(pthread_self(), name_);
      obs::Pulse pulse(pulse_name_);
      obs::run_beating(context_, pulse);
    });
  }
  void finish() {
    guard_.reset();
    thread_.join();
  }
  [[nodiscard]] bool running() const noexcept { return thread_.joinable(); }

 private:
  boost::asio::io_context& context_;
  boost::asio::executor_work_guard<net::Executor> guard_;
  const char* name_;
  const char* pulse_name_;
  std::thread thread_;
};

}  // namespace

struct HttpServer::Impl {
  Impl(HttpOptions options, Router router)
      : hall(std::make_shared<Hall>(std::move(options), std::move(router))) {}

  std::shared_ptr<Hall> hall;
  std::vector<std::shared_ptr<Door>> doors;
  std::uint16_t port = 0;
  LoopThread thread{hall->context, "lmcache-http", "HTTP thread"};
  LoopThread slow_thread{hall->slow, "lmcache-admin", "admin thread"};
};

HttpServer::HttpServer(HttpOptions options, Router router)
    : impl_(std::make_unique<Impl>(std::move(options), std::move(router))) {}

HttpServer::~HttpServer() {
  stop();
}

Status HttpServer::start(std::vector<net::ListeningSocket> passed) {
  const HttpOptions& options = impl_->hall->options;
  auto listeners =
      net::listen(std::move(passed), {options.tcp, options.host, options.port, options.socket_path},
                  {"--http-host", "--http-port", "--http-socket"});
  if (!listeners) return listeners.error();
  impl_->port = listeners->port;
  for (auto& socket : listeners->sockets) {
    impl_->doors.push_back(std::make_shared<Door>(impl_->hall, std::move(socket)));
    impl_->doors.back()->accept();
  }
  impl_->thread.start();
  impl_->slow_thread.start();
  return {};
}

std::uint16_t HttpServer::port() const noexcept {
  return impl_->port;
}

void HttpServer::stop() {
  if (!impl_->thread.running()) return;
  // Connections keep the hall, whose loops keep handlers, which keep connections: both loops must
  // run dry. After this no request is taken, and what waits on the slow lane is not run.
  std::promise<void> closed;
  boost::asio::post(impl_->hall->context, [&impl = *impl_, &closed] {
    impl.hall->stopping = true;
    for (const auto& door : impl.doors) door->close();
    for (Connection* connection : impl.hall->all) connection->close();
    closed.set_value();
  });
  closed.get_future().wait();
  impl_->slow_thread.finish();
  impl_->thread.finish();
  impl_->doors.clear();
}

}  // namespace lmcache::admin
