// A blocking client of the protocol: a ZMTP DEALER with one request in flight. One thread at a
// time. Failures are std::runtime_error with one line that names the server.
#pragma once

#include "load/requests.hpp"
#include "wire/msgpack_reader.hpp"
#include "wire/operations.hpp"
#include "wire/zmtp_decoder.hpp"
#include "wire/zmtp_writer.hpp"

#include <chrono>
#include <functional>
#include <stdexcept>
#include <string>
#include <string_view>

namespace lmcache::load {

/// The user wants it to end.
struct Interrupted : std::runtime_error {
  Interrupted() : std::runtime_error("interrupted") {}
};

/// Whether the user wants it to end. Any thread.
using Stop = std::function<bool()>;

/// A normal reply's result. Valid as long as it lives.
class Reply {
 public:
  explicit Reply(wire::Message message) : message_(std::move(message)) {}
  /// Of an operation that returns nothing: an empty frame.
  [[nodiscard]] wire::MsgpackReader result() const {
    return wire::MsgpackReader(message_.frame_count() > 2 ? message_.frame(2) : wire::ByteView{});
  }

 private:
  wire::Message message_;
};

/// Decimal digits, at most 65535. The resolver takes larger numbers too, and leaves their upper
/// digits out.
[[nodiscard]] bool is_port(std::string_view text) noexcept;

/// What is wrong with a server's URL; empty if it is "tcp://HOST:PORT" or "ipc://PATH".
[[nodiscard]] std::string url_error(const std::string& url);

class Client {
 public:
  /// Connects. Pre: url_error(url) is empty. `patience` bounds that and every call.
  Client(std::string url, std::chrono::milliseconds patience, Stop stop);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  /// One request and its reply. An error reply throws with its text, a server that does not answer
  /// in time with the operation's name; Interrupted when stopped meanwhile.
  Reply call(wire::Op op, Frames payload);
  /// From now on calls are not stopped and have so little time: for tidying up.
  void hurry(std::chrono::milliseconds patience);

  [[nodiscard]] const std::string& url() const { return url_; }

 private:
  using Clock = std::chrono::steady_clock;

  [[noreturn]] void fail(const std::string& text) const;
  void shake_hands(Clock::time_point deadline);
  void wait_until_ready(short events, Clock::time_point deadline) const;
  void flush(Clock::time_point deadline);
  wire::ZmtpEvent next_event(Clock::time_point deadline);
  wire::Message next_message(Clock::time_point deadline);

  std::string url_;
  std::chrono::milliseconds patience_;
  Stop stop_;
  int fd_ = -1;
  wire::ZmtpDecoder decoder_;
  wire::ZmtpWriter writer_;
  std::int64_t next_uid_ = 0;
  std::string doing_ = "the handshake";  ///< what is waited for, for the error's text
};

}  // namespace lmcache::load
