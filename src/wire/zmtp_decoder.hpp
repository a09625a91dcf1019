// The receiving half of a ZMTP 3.x connection with the NULL mechanism, without any I/O.
//
//   for (;;) {
//     n = read(socket, decoder.prepare()); decoder.commit(n);
//     while ((event = decoder.next()) != ZmtpEvent::kNeedMore) ...act on it...
//   }
//
// Memory: one fixed read buffer, and a message body that grows with the bytes that have arrived (at
// most to twice their number), never by a length a peer announced. The body of a large frame is
// read straight into the message. One owner, one thread at a time.
#pragma once

#include "wire/message.hpp"
#include "wire/zmtp.hpp"

#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace lmcache::wire {

enum class ZmtpEvent : std::uint8_t {
  kNeedMore,  ///< everything committed is used up: read again
  kGreeting,  ///< the peer speaks ZMTP 3.x with NULL: it is owed our READY
  kReady,     ///< the handshake is over; peer() is complete
  kMessage,   ///< message()
  kPing,      ///< ping() is owed a PONG
  kPong,      ///< an answer to our PING
  kFailed,    ///< error(); the same for every later call
};

class ZmtpDecoder {
 public:
  explicit ZmtpDecoder(const ZmtpLimits& limits);

  /// Where to read to: never empty, valid until the next call of anything. Only after kNeedMore (or
  /// at the start).
  [[nodiscard]] std::span<std::byte> prepare();
  /// `size` bytes of the prepared span were filled.
  void commit(std::size_t size) noexcept;

  /// The next thing that happened. Commands unknown to a ROUTER are skipped.
  [[nodiscard]] ZmtpEvent next();

  /// After kMessage, until the next call of next(). What is not moved from serves the next message
  /// with its memory.
  [[nodiscard]] Message& message() noexcept { return message_; }
  [[nodiscard]] const ZmtpPeer& peer() const noexcept { return peer_; }
  [[nodiscard]] const ZmtpPing& ping() const noexcept { return ping_; }
  [[nodiscard]] ZmtpError error() const noexcept { return error_; }
  /// explain(error()) with what the peer said, where it said something. Printable, one line.
  [[nodiscard]] std::string error_text() const;

  /// Bytes this decoder has allocated: what a limit test looks at.
  [[nodiscard]] std::size_t allocated_bytes() const noexcept;

 private:
  enum class State : std::uint8_t { kGreeting, kHeader, kBody, kCommand, kFailed };

  [[nodiscard]] std::size_t buffered() const noexcept { return end_ - begin_; }
  [[nodiscard]] ByteView view() const noexcept { return {buffer_.get() + begin_, buffered()}; }
  [[nodiscard]] bool direct() const noexcept;
  ZmtpEvent fail(ZmtpError error) noexcept;
  bool refuse(ZmtpError error) noexcept;  ///< fail(), for those that return false then
  void begin_message() noexcept;
  ZmtpEvent read_greeting();
  /// True when a whole header was read and state_ has moved on.
  bool read_header();
  /// True when the frame or command is complete.
  bool read_body();
  bool read_command();
  ZmtpEvent end_command();
  ZmtpEvent handshake(std::string_view name, ByteView data);

  ZmtpLimits limits_;
  std::unique_ptr<std::byte[]> buffer_;
  std::size_t begin_ = 0, end_ = 0;  ///< unread part of buffer_

  State state_ = State::kGreeting;
  bool ready_ = false;            ///< handshake over
  bool more_ = false;             ///< the current frame is followed by another one of its message
  bool complete_ = false;         ///< message_ has been given out
  std::uint64_t frame_left_ = 0;  ///< bytes of the current frame or command still to come
  Message message_;
  std::size_t filled_ =
      0;  ///< bytes of message_'s body that have arrived; its size() may be larger
  Bytes command_;

  ZmtpPeer peer_;
  ZmtpPing ping_;
  ZmtpError error_{};
  std::string peer_reason_;
};

}  // namespace lmcache::wire
