// One HTTP connection: reads a request, has it answered, reads the next. Lives on the HTTP thread.
// Internal to src/admin.
#pragma once

#include "admin/options.hpp"
#include "admin/router.hpp"
#include "net/asio_types.hpp"

#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>

#include <atomic>
#include <list>
#include <memory>
#include <optional>

namespace lmcache::admin {

class Connection;

/// What all connections of one server share. HTTP thread only, except `options`, `router` and
/// `stopping`.
struct Hall {
  Hall(HttpOptions o, Router r) : options(std::move(o)), router(std::move(r)) {}

  const HttpOptions options;
  const Router router;
  boost::asio::io_context context{1};  ///< the HTTP thread's
  boost::asio::io_context slow{1};     ///< the slow lane's
  std::list<Connection*> all;     ///< open ones; first those that have been in their state longest
  std::size_t slow_requests = 0;  ///< that the slow lane has not answered yet
  std::atomic<bool> stopping{false};
};

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  enum class State : std::uint8_t {
    kWaiting,    ///< for a request or for its rest: nobody would miss an answer
    kWorking,    ///< its request is being answered, or it is closed
    kDelivering  ///< its answer leaves as fast as the client takes it
  };

  Connection(std::shared_ptr<Hall> hall, net::Socket socket);
  ~Connection();

  void start();
  /// Closes the socket; what is under way ends with an error.
  void close();
  [[nodiscard]] State state() const noexcept { return state_; }

 private:
  using HttpRequest = boost::beast::http::request<boost::beast::http::string_body>;
  using HttpResponse = boost::beast::http::response<boost::beast::http::string_body>;

  void enter(State state);
  void read();
  void received_header(const boost::system::error_code& error);
  void read_body();
  void received(const boost::system::error_code& error);
  void handle(const HttpRequest& request);
  void run(const Route& route, Request request);
  void run_slowly(const Route& route, Request request);
  void send(Response response);
  void written(const boost::system::error_code& error);
  void linger(std::size_t bytes_left);

  std::shared_ptr<Hall> hall_;
  boost::beast::basic_stream<boost::asio::generic::stream_protocol, net::Executor> stream_;
  boost::beast::flat_buffer buffer_;
  std::optional<boost::beast::http::request_parser<boost::beast::http::string_body>> parser_;
  HttpResponse response_;
  std::list<Connection*>::iterator place_;
  unsigned version_ = 11;
  bool keep_alive_ = true;
  bool head_ = false;  ///< the request is HEAD: answered as GET, but without the body
  State state_ = State::kWaiting;
};

}  // namespace lmcache::admin
