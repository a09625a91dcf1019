#include "wire/zmtp_writer.hpp"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

namespace lmcache::wire {
namespace {

// Size at which a segment of packed frames is closed; also what an idle connection may keep.
constexpr std::size_t kPackedBytes = 16 * 1024;
constexpr std::size_t kLeastSegmentBytes = 512;

ByteView view(std::string_view text) noexcept {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

[[nodiscard]] constexpr bool is_long(std::size_t length) noexcept {
  return length > 255;
}

/// Of a frame with its header: flags and length, in 2 or 9 bytes.
[[nodiscard]] constexpr std::size_t frame_bytes(std::size_t length) noexcept {
  return (is_long(length) ? 9 : 2) + length;
}

/// Returns where what the header announces goes.
std::byte* put_header(std::byte* to, std::uint8_t flags, std::size_t length) noexcept {
  if (!is_long(length)) {
    *to++ = std::byte{flags};
    *to++ = static_cast<std::byte>(length);
    return to;
  }
  *to++ = static_cast<std::byte>(flags | kFlagLong);
  for (unsigned shift = 64; shift > 0; shift -= 8)
    *to++ = static_cast<std::byte>(std::uint64_t{length} >> (shift - 8));
  return to;
}

std::byte* put(std::byte* to, ByteView bytes) noexcept {
  return std::copy(bytes.begin(), bytes.end(), to);
}

}  // namespace

void ZmtpWriter::greeting() {
  std::array<std::byte, kZmtpGreetingBytes> bytes{};
  bytes[0] = std::byte{0xff};
  bytes[8] = std::byte{1};  // with 0xff and 0x7f: what libzmq sends, also a ZMTP 1.0 identity frame
  bytes[9] = std::byte{0x7f};
  bytes[10] = std::byte{3};
  bytes[11] = std::byte{1};
  std::ranges::copy(view("NULL"), bytes.begin() + 12);
  append(bytes);
}

void ZmtpWriter::ready(std::string_view socket_type) {
  using namespace std::string_view_literals;
  std::string type("\x0bSocket-Type\0\0\0"sv);
  type.append(1, static_cast<char>(socket_type.size())).append(socket_type);
  command("READY", view(type), view("\x08Identity\0\0\0\0"sv));
}

void ZmtpWriter::error(std::string_view reason) {
  reason = reason.substr(0, 255);
  const std::array length{static_cast<std::byte>(reason.size())};
  command("ERROR", length, view(reason));
}

void ZmtpWriter::ping(std::uint16_t ttl_ds) {
  const std::array ttl{static_cast<std::byte>(ttl_ds >> 8), static_cast<std::byte>(ttl_ds & 0xff)};
  command("PING", ttl, {});
}

void ZmtpWriter::pong(const ZmtpPing& ping) {
  command("PONG", ByteView{ping.context}.first(ping.context_size), {});
}

void ZmtpWriter::message(FrameViews frames) {
  std::size_t size = 0;
  for (const ByteView frame : frames) size += frame_bytes(frame.size());
  if (size == 0) return;
  std::byte* to = claim(size);
  for (std::size_t i = 0; i < frames.size(); ++i) {
    const std::uint8_t flags = i + 1 < frames.size() ? kFlagMore : std::uint8_t{0};
    to = put(put_header(to, flags, frames[i].size()), frames[i]);
  }
}

void ZmtpWriter::append(const ZmtpWriter& other) {
  std::size_t skip = other.offset_;
  for (const Segment& segment : other.segments_) {
    append(ByteView{segment.data(), segment.size()}.subspan(skip));
    skip = 0;
  }
}

std::size_t ZmtpWriter::gather(std::span<ByteView> out) const noexcept {
  std::size_t used = 0, skip = offset_;
  for (const Segment& segment : segments_) {
    if (used == out.size() || bytes_ == 0) break;
    out[used++] = ByteView{segment.data(), segment.size()}.subspan(skip);
    skip = 0;
  }
  return used;
}

void ZmtpWriter::consume(std::size_t size) noexcept {
  bytes_ -= size;
  offset_ += size;
  while (!segments_.empty() && offset_ >= segments_.front().size()) {
    if (open_ && segments_.size() == 1) {  // keep the packing segment for the next reply
      segments_.front().clear();
      offset_ = 0;
      return;
    }
    offset_ -= segments_.front().size();
    segments_.pop_front();
  }
}

std::size_t ZmtpWriter::allocated_bytes() const noexcept {
  std::size_t bytes = 0;
  for (const Segment& segment : segments_) bytes += segment.capacity();
  return bytes;
}

void ZmtpWriter::clear() noexcept {
  segments_.clear();
  offset_ = bytes_ = 0;
  open_ = false;
}

void ZmtpWriter::append(ByteView bytes) {
  if (!bytes.empty()) put(claim(bytes.size()), bytes);
}

// What is large gets a segment that goes once it is sent; with it would stay what it took.
std::byte* ZmtpWriter::claim(std::size_t size) {
  if (!open_ || segments_.back().size() + size > kPackedBytes) {
    Segment segment;
    segment.reserve(std::max(size, kLeastSegmentBytes));
    if (bytes_ == 0) clear();  // nothing is sent of a segment that was kept empty
    segments_.push_back(std::move(segment));
    open_ = size <= kPackedBytes;
  } else if (Segment& tail = segments_.back(); tail.size() + size > tail.capacity()) {
    tail.reserve(std::max(tail.size() + size, 2 * tail.capacity()));
  }
  Segment& tail = segments_.back();
  const std::size_t at = tail.size();
  tail.resize(at + size, boost::container::default_init);
  bytes_ += size;
  return tail.data() + at;
}

void ZmtpWriter::command(std::string_view name, ByteView head, ByteView tail) {
  const std::size_t size = 1 + name.size() + head.size() + tail.size();
  std::byte* to = put_header(claim(frame_bytes(size)), kFlagCommand, size);
  *to++ = static_cast<std::byte>(name.size());
  put(put(put(to, view(name)), head), tail);
}

}  // namespace lmcache::wire
