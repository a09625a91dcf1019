// The sending half of a ZMTP 3.1 connection, without any I/O: encodes greeting, commands and
// messages into a queue of bytes that a socket drains with gather writes. All is copied: what a
// server says is small, and packed together it goes out in one piece. One owner, one thread at a
// time.
#pragma once

#include "wire/message.hpp"
#include "wire/zmtp.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <string_view>

namespace lmcache::wire {

class ZmtpWriter {
 public:
  /// The whole 64-byte greeting: 3.1, NULL.
  void greeting();
  /// READY of a socket without identity.
  void ready(std::string_view socket_type = "ROUTER");
  /// `reason` is cut at 255 bytes.
  void error(std::string_view reason);
  void ping(std::uint16_t ttl_ds);
  void pong(const ZmtpPing& ping);
  /// One message, or none of it if there is no memory for it. An empty list sends nothing: ZMTP has
  /// no message without frames.
  void message(FrameViews frames);
  /// What `other` has not sent yet, once more: behind what is here.
  void append(const ZmtpWriter& other);

  [[nodiscard]] bool empty() const noexcept { return bytes_ == 0; }
  /// Bytes not yet consumed.
  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }
  /// Bytes this writer has allocated: what a limit test looks at.
  [[nodiscard]] std::size_t allocated_bytes() const noexcept;

  /// Fills `out` with the next bytes to send, in order; returns how many entries were used. Valid
  /// until the next call of anything else.
  [[nodiscard]] std::size_t gather(std::span<ByteView> out) const noexcept;
  /// `size` bytes of what gather() gave were sent.
  void consume(std::size_t size) noexcept;
  void clear() noexcept;

 private:
  /// Not cleared before it is filled.
  using Segment = boost::container::vector<std::byte>;

  void append(ByteView bytes);
  /// Where to put so many bytes more, counted already; to be filled at once.
  std::byte* claim(std::size_t size);
  void command(std::string_view name, ByteView head, ByteView tail);

  std::deque<Segment> segments_;
  std::size_t offset_ = 0;  ///< bytes of the first segment already sent
  std::size_t bytes_ = 0;
  bool open_ = false;  ///< the last segment may be appended to
};

}  // namespace lmcache::wire
