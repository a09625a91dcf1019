#include "admin/connection.hpp"

#include "admin/gate.hpp"
#include "obs/log.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/string.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/write.hpp>

#include <algorithm>
#include <exception>
#include <utility>

namespace lmcache::admin {
namespace {

namespace http = boost::beast::http;

// After its last answer a connection gets this long, and may send this much, until it is closed.
constexpr std::chrono::seconds kLingerTime{1};
constexpr std::size_t kLingerBytes = 4u << 20;

// On the slow lane at a time. Connections that wait for it cannot make room for others, so they
// must never be all there are; and whoever comes so late has given up before its turn.
std::size_t slow_requests_max(const HttpOptions& options) {
  return std::clamp<std::size_t>(options.max_connections / 2, 1, 16);
}

constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";

std::string_view view(boost::beast::string_view text) noexcept {
  return {text.data(), text.size()};
}

/// A request that could not be read: what to tell its sender; nothing where nobody listens.
std::optional<Response> answer_to(const boost::system::error_code& error) {
  if (error == http::error::header_limit) return detail(431, "the header is too large");
  if (error == http::error::body_limit) return detail(413, "the body is too large");
  if (error == http::error::end_of_stream || error == http::error::partial_message)
    return std::nullopt;
  const boost::system::error_category& of_http =
      make_error_code(http::error::bad_method).category();
  if (error.category() == of_http) return detail(400, "this is not HTTP: " + error.message());
  return std::nullopt;  // the socket's own errors, and the time limit
}

Response run_handler(const Route& route, const Request& request) noexcept {
  try {
    return route.handler(request);
  } catch (const std::exception& error) {
    obs::log_event(obs::Level::kError, "an admin request failed",
                   {{"path", route.pattern}, {"reason", std::string_view(error.what())}});
    return detail(500, "Internal Server Error");
  }
}

}  // namespace

Connection::Connection(std::shared_ptr<Hall> hall, net::Socket socket)
    : hall_(std::move(hall)),
      stream_(std::move(socket)),
      buffer_(hall_->options.max_header_bytes + (16u << 10)),
      place_(hall_->all.insert(hall_->all.end(), this)) {}

Connection::~Connection() {
  hall_->all.erase(place_);
}

void Connection::start() {
  read();
}

void Connection::close() {
  state_ = State::kWorking;  // its place stays: who closes them all is going through the list
  stream_.close();
}

void Connection::enter(State state) {
  state_ = state;
  hall_->all.splice(hall_->all.end(), hall_->all, place_);
}

void Connection::read() {
  enter(State::kWaiting);
  parser_.emplace();
  parser_->header_limit(hall_->options.max_header_bytes);
  parser_->body_limit(hall_->options.max_body_bytes);
  // One limit for the whole request: a client that sends a byte now and then gains nothing.
  stream_.expires_after(hall_->options.timeout);
  http::async_read_header(
      stream_, buffer_, *parser_,
      [self = shared_from_this()](const boost::system::error_code& error, std::size_t) {
        self->received_header(error);
      });
}

// A client that expects it sends its body only when it has been told to go on.
void Connection::received_header(const boost::system::error_code& error) {
  if (error || hall_->stopping) return received(error);
  const HttpRequest& message = parser_->get();
  const bool expects = message.version() >= 11 && !parser_->is_done() &&
                       boost::beast::iequals(message[http::field::expect], "100-continue");
  if (!expects) return read_body();
  boost::asio::async_write(
      stream_, boost::asio::buffer(kContinue),
      [self = shared_from_this()](const boost::system::error_code& failed, std::size_t) {
        if (failed) return self->close();
        self->read_body();
      });
}

void Connection::read_body() {
  http::async_read(stream_, buffer_, *parser_,
                   [self = shared_from_this()](const boost::system::error_code& error,
                                               std::size_t) { self->received(error); });
}

void Connection::received(const boost::system::error_code& error) {
  state_ = State::kWorking;
  if (hall_->stopping) return;
  head_ = parser_->get().method() == Verb::head;
  if (error) {
    keep_alive_ = false;
    if (auto answer = answer_to(error)) return send(std::move(*answer));
    return close();
  }
  handle(parser_->get());
}

void Connection::handle(const HttpRequest& message) {
  version_ = message.version();
  keep_alive_ = message.keep_alive();
  Request request;
  request.verb = head_ ? Verb::get : message.method();
  if (version_ >= 11 && message.count(http::field::host) != 1)
    return send(detail(400, "one Host header is required"));
  if (!parse_target(view(message.target()), request))
    return send(detail(400, "bad request target"));
  request.body = message.body();
  request.accept = view(message[http::field::accept]);
  auto found = hall_->router.find(request);
  const Route* const* route = std::get_if<const Route*>(&found);
  const Credentials given{view(message[http::field::authorization]),
                          view(message[http::field::origin]), view(message[http::field::host])};
  const bool open = route != nullptr && (*route)->open;
  if (auto refused = check(given, hall_->options.token, open, request.verb))
    return send(std::move(*refused));
  if (route == nullptr) return send(std::move(std::get<Response>(found)));
  run(**route, std::move(request));
}

void Connection::run(const Route& route, Request request) {
  if (route.lane == Lane::kQuick) return send(run_handler(route, request));
  if (hall_->slow_requests >= slow_requests_max(hall_->options))
    return send(detail(503, "too many slow requests wait already; try again later"));
  ++hall_->slow_requests;
  run_slowly(route, std::move(request));
}

void Connection::run_slowly(const Route& route, Request request) {
  boost::asio::post(hall_->slow, [self = shared_from_this(), &route,
                                  request = std::move(request)]() mutable {
    Response response;
    if (!self->hall_->stopping) response = run_handler(route, request);
    // The HTTP thread must be the last to hold the connection: its end changes the hall.
    auto& context = self->hall_->context;
    boost::asio::post(context, [self = std::move(self), response = std::move(response)]() mutable {
      --self->hall_->slow_requests;
      if (!self->hall_->stopping) self->send(std::move(response));
    });
  });
}

void Connection::send(Response response) {
  enter(State::kDelivering);
  response_ = HttpResponse{static_cast<http::status>(response.status), version_};
  response_.set(http::field::content_type, response.type);
  response_.set(http::field::cache_control, "no-store");
  response_.set("X-Content-Type-Options", "nosniff");
  for (const auto& [name, value] : response.headers) response_.set(name, value);
  response_.body() = std::move(response.body);
  response_.keep_alive(keep_alive_);
  response_.prepare_payload();
  if (head_) response_.body().clear();  // its length stays: that of what GET would have told
  stream_.expires_after(hall_->options.timeout);
  http::async_write(stream_, response_,
                    [self = shared_from_this()](const boost::system::error_code& error,
                                                std::size_t) { self->written(error); });
}

void Connection::written(const boost::system::error_code& error) {
  if (error) return close();
  if (keep_alive_) return read();
  boost::system::error_code ignored;
  stream_.socket().shutdown(boost::asio::socket_base::shutdown_send, ignored);
  stream_.expires_after(kLingerTime);
  linger(kLingerBytes);
}

// Closing with bytes unread resets the connection, which may cost the client its answer.
void Connection::linger(std::size_t bytes_left) {
  buffer_.clear();
  stream_.async_read_some(buffer_.prepare(4096),
                          [self = shared_from_this(), bytes_left](
                              const boost::system::error_code& error, std::size_t bytes) {
                            if (error || bytes >= bytes_left) return self->close();
                            self->linger(bytes_left - bytes);
                          });
}

}  // namespace lmcache::admin
