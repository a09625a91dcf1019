#include "wire/zmtp_decoder.hpp"

#include "wire/zmtp_command.hpp"

#include <algorithm>
#include <cstring>
#include <string_view>
#include <utility>

namespace lmcache::wire {
namespace {

constexpr std::size_t kBufferBytes = 16 * 1024;
// From here on a frame's body is read straight into the message; below, through the buffer, which
// picks up the frames behind it with the same read.
constexpr std::size_t kDirectBytes = kBufferBytes;

// Positions in the greeting.
constexpr std::size_t kSignatureEnd = 9, kVersionMajor = 10, kVersionMinor = 11;
constexpr std::size_t kMechanismBegin = 12, kMechanismBytes = 20;

std::uint8_t octet(ByteView bytes, std::size_t i) noexcept {
  return std::to_integer<std::uint8_t>(bytes[i]);
}

}  // namespace

ZmtpDecoder::ZmtpDecoder(const ZmtpLimits& limits)
    : limits_(limits), buffer_(std::make_unique_for_overwrite<std::byte[]>(kBufferBytes)) {}

bool ZmtpDecoder::direct() const noexcept {
  return state_ == State::kBody && begin_ == end_ && frame_left_ >= kDirectBytes;
}

std::span<std::byte> ZmtpDecoder::prepare() {
  if (direct()) {
    Message::Body& body = message_.body();
    if (filled_ == body.size()) {
      const std::uint64_t grow =
          std::min<std::uint64_t>(frame_left_, std::max(filled_, kBufferBytes));
      body.resize(filled_ + static_cast<std::size_t>(grow), boost::container::default_init);
    }
    return {body.data() + filled_, body.size() - filled_};
  }
  if (begin_ != 0) {  // what is left is a piece of a header or greeting: a few bytes
    std::memmove(buffer_.get(), buffer_.get() + begin_, buffered());
    end_ = buffered();
    begin_ = 0;
  }
  return {buffer_.get() + end_, kBufferBytes - end_};
}

void ZmtpDecoder::commit(std::size_t size) noexcept {
  if (direct()) {
    filled_ += size;
    frame_left_ -= size;
  } else {
    end_ += size;
  }
}

ZmtpEvent ZmtpDecoder::next() {
  if (complete_) begin_message();
  for (;;) {
    switch (state_) {
      case State::kGreeting:
        return read_greeting();
      case State::kHeader:
        if (!read_header()) {
          return state_ == State::kFailed ? ZmtpEvent::kFailed : ZmtpEvent::kNeedMore;
        }
        break;
      case State::kBody:
        if (!read_body()) return ZmtpEvent::kNeedMore;
        message_.close_frame();
        state_ = State::kHeader;
        if (!more_) {
          complete_ = true;
          return ZmtpEvent::kMessage;
        }
        break;
      case State::kCommand:
        if (!read_command()) return ZmtpEvent::kNeedMore;
        // kNeedMore here means: nothing to tell anybody.
        if (const ZmtpEvent event = end_command(); event != ZmtpEvent::kNeedMore) return event;
        break;
      case State::kFailed:
        return ZmtpEvent::kFailed;
    }
  }
}

void ZmtpDecoder::begin_message() noexcept {
  if (message_.body().capacity() > kBufferBytes) {
    message_ = Message{};
  } else {
    message_.clear();
  }
  filled_ = 0;
  complete_ = false;
}

std::string ZmtpDecoder::error_text() const {
  std::string text{explain(error_)};
  if (!peer_reason_.empty()) text += ": " + peer_reason_;
  return text;
}

std::size_t ZmtpDecoder::allocated_bytes() const noexcept {
  return kBufferBytes + message_.body().capacity() + command_.capacity();
}

ZmtpEvent ZmtpDecoder::fail(ZmtpError error) noexcept {
  error_ = error;
  state_ = State::kFailed;
  return ZmtpEvent::kFailed;
}

bool ZmtpDecoder::refuse(ZmtpError error) noexcept {
  (void)fail(error);
  return false;
}

// Judges each byte as soon as it is there, so that a peer that will never send 64 of them is told
// apart at its first ones.
ZmtpEvent ZmtpDecoder::read_greeting() {
  const ByteView in = view();
  if (in.empty()) return ZmtpEvent::kNeedMore;
  if (octet(in, 0) != 0xff) {
    // ZMTP 1.0 opens with an identity frame: its length, then flags 0.
    if (octet(in, 0) != 0x01) return fail(ZmtpError::kNotZmtp);
    if (in.size() < 2) return ZmtpEvent::kNeedMore;
    return fail(octet(in, 1) == 0 ? ZmtpError::kOldVersion : ZmtpError::kNotZmtp);
  }
  if (in.size() <= kSignatureEnd) return ZmtpEvent::kNeedMore;
  if ((octet(in, kSignatureEnd) & 1) == 0) return fail(ZmtpError::kOldVersion);
  if (in.size() <= kVersionMajor) return ZmtpEvent::kNeedMore;
  if (octet(in, kVersionMajor) < 3) return fail(ZmtpError::kOldVersion);
  if (in.size() < kMechanismBegin + kMechanismBytes) return ZmtpEvent::kNeedMore;
  constexpr std::string_view kNull{"NULL\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", kMechanismBytes};
  if (std::memcmp(in.data() + kMechanismBegin, kNull.data(), kMechanismBytes) != 0) {
    return fail(ZmtpError::kBadMechanism);
  }
  if (in.size() < kZmtpGreetingBytes) return ZmtpEvent::kNeedMore;
  // A version beyond 3 speaks 3.1 to us (RFC 37, version negotiation).
  peer_.minor = octet(in, kVersionMajor) > 3 ? std::uint8_t{1} : octet(in, kVersionMinor);
  begin_ += kZmtpGreetingBytes;
  state_ = State::kHeader;
  return ZmtpEvent::kGreeting;
}

bool ZmtpDecoder::read_header() {
  const ByteView in = view();
  if (in.empty()) return false;
  const std::uint8_t flags = octet(in, 0);
  const std::size_t header = (flags & kFlagLong) != 0 ? 9 : 2;
  if (in.size() < header) return false;
  std::uint64_t size = 0;
  for (std::size_t i = 1; i < header; ++i) size = size << 8 | octet(in, i);
  begin_ += header;

  frame_left_ = size;
  if ((flags & kFlagCommand) != 0) {
    if (size > limits_.command_bytes) return refuse(ZmtpError::kCommandTooLong);
    command_.clear();
    state_ = State::kCommand;
    return true;
  }
  if (!ready_) return refuse(ZmtpError::kNotReady);
  if (message_.frame_count() >= limits_.frames) return refuse(ZmtpError::kTooManyFrames);
  // filled_ never exceeds the limit, so the difference does not wrap.
  if (size > limits_.message_bytes - filled_) return refuse(ZmtpError::kMessageTooLong);
  more_ = (flags & kFlagMore) != 0;
  if (message_.body().capacity() == 0) {
    message_.body().reserve(std::clamp<std::size_t>(buffered(), 32, 256));
  }
  state_ = State::kBody;
  return true;
}

bool ZmtpDecoder::read_body() {
  const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(frame_left_, buffered()));
  Message::Body& body = message_.body();
  // A direct read may have made room that it did not fill.
  if (body.size() < filled_ + size) body.resize(filled_ + size, boost::container::default_init);
  std::copy_n(buffer_.get() + begin_, size, body.data() + filled_);
  filled_ += size;
  begin_ += size;
  frame_left_ -= size;
  return frame_left_ == 0;
}

bool ZmtpDecoder::read_command() {
  const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(frame_left_, buffered()));
  const ByteView in = view().first(size);
  command_.insert(command_.end(), in.begin(), in.end());
  begin_ += size;
  frame_left_ -= size;
  return frame_left_ == 0;
}

ZmtpEvent ZmtpDecoder::end_command() {
  state_ = State::kHeader;
  const auto command = parse_command(command_);
  if (!command) return fail(ZmtpError::kBadCommand);
  if (command->name == "ERROR") {
    peer_reason_ = parse_error_reason(command->data);
    return fail(ZmtpError::kPeerError);
  }
  if (!ready_) return handshake(command->name, command->data);
  if (command->name == "PONG") return ZmtpEvent::kPong;
  if (command->name != "PING") return ZmtpEvent::kNeedMore;
  const auto ping = parse_ping(command->data);
  if (!ping) return fail(ZmtpError::kBadCommand);
  ping_ = *ping;
  return ZmtpEvent::kPing;
}

ZmtpEvent ZmtpDecoder::handshake(std::string_view name, ByteView data) {
  if (name != "READY") return fail(ZmtpError::kNotReady);
  if (const auto wrong = parse_ready(data, peer_)) return fail(*wrong);
  ready_ = true;
  return ZmtpEvent::kReady;
}

}  // namespace lmcache::wire
