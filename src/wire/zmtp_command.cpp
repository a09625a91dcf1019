#include "wire/zmtp_command.hpp"

#include <algorithm>
#include <cctype>

namespace lmcache::wire {
namespace {

std::string_view text(ByteView bytes) noexcept {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

bool same_name(std::string_view a, std::string_view b) noexcept {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) {
    return std::tolower(static_cast<unsigned char>(x)) ==
           std::tolower(static_cast<unsigned char>(y));
  });
}

/// Cuts `size` bytes off the front of `rest`; nothing when it has fewer.
std::optional<ByteView> take(ByteView& rest, std::size_t size) noexcept {
  if (rest.size() < size) return std::nullopt;
  const ByteView front = rest.first(size);
  rest = rest.subspan(size);
  return front;
}

std::size_t big_endian(ByteView bytes) noexcept {
  std::size_t value = 0;
  for (const std::byte b : bytes) value = value << 8 | std::to_integer<std::size_t>(b);
  return value;
}

/// Cuts a value behind its `width`-byte big-endian length.
std::optional<ByteView> take_sized(ByteView& rest, std::size_t width) noexcept {
  const auto length = take(rest, width);
  if (!length) return std::nullopt;
  return take(rest, big_endian(*length));
}

}  // namespace

std::optional<ZmtpCommand> parse_command(ByteView body) noexcept {
  const auto name = take_sized(body, 1);
  if (!name || name->empty()) return std::nullopt;
  return ZmtpCommand{text(*name), body};
}

std::optional<ZmtpError> parse_ready(ByteView data, ZmtpPeer& peer) {
  while (!data.empty()) {
    const auto name = take_sized(data, 1);
    if (!name || name->empty()) return ZmtpError::kBadMetadata;
    const auto value = take_sized(data, 4);
    if (!value) return ZmtpError::kBadMetadata;
    if (same_name(text(*name), "Socket-Type")) peer.socket_type = text(*value);
    if (same_name(text(*name), "Identity")) {
      if (value->size() > kZmtpIdentityBytesMax) return ZmtpError::kBadIdentity;
      peer.identity = text(*value);
    }
  }
  const std::string_view type = peer.socket_type;
  if (type != "DEALER" && type != "REQ" && type != "ROUTER") return ZmtpError::kBadSocketType;
  // Generated identities start with 0 in libzmq; a given one that does could pose as another
  // peer's.
  if (!peer.identity.empty() && peer.identity.front() == '\0') return ZmtpError::kBadIdentity;
  return std::nullopt;
}

std::optional<ZmtpPing> parse_ping(ByteView data) noexcept {
  const auto ttl = take(data, 2);
  if (!ttl) return std::nullopt;
  ZmtpPing ping;
  ping.ttl_ds = static_cast<std::uint16_t>(big_endian(*ttl));
  const ByteView context = data.first(std::min(data.size(), kZmtpPingContextBytesMax));
  ping.context_size = static_cast<std::uint8_t>(context.size());
  std::copy(context.begin(), context.end(), ping.context.begin());
  return ping;
}

std::string parse_error_reason(ByteView data) {
  const auto reason = take_sized(data, 1);
  if (!reason) return {};
  std::string out{text(*reason)};
  std::replace_if(
      out.begin(), out.end(), [](char c) { return c < 0x20 || c > 0x7e; }, '?');
  return out;
}

}  // namespace lmcache::wire
