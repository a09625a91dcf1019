// Names shared by both directions of the ZMTP 3.1 codec (RFC 37): limits, protocol errors, what a
// peer said about itself. Pure data; any thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace lmcache::wire {

inline constexpr std::size_t kZmtpGreetingBytes = 64;
inline constexpr std::size_t kZmtpIdentityBytesMax = 255;
inline constexpr std::size_t kZmtpPingContextBytesMax = 16;

/// Bits of a frame's first octet; the others are ignored.
inline constexpr std::uint8_t kFlagMore = 1, kFlagLong = 2, kFlagCommand = 4;

/// What one peer may make us hold.
struct ZmtpLimits {
  std::uint64_t message_bytes = 64ull << 20;  ///< all frames of one message together
  std::uint32_t frames = 64;                  ///< frames of one message
  std::uint32_t command_bytes = 8192;         ///< body of one command (READY's metadata included)
};

/// Why a byte stream is not (or no longer) a usable ZMTP connection. Every one of them ends it.
enum class ZmtpError : std::uint8_t {
  kNotZmtp,         ///< the first bytes are no ZMTP greeting (HTTP, TLS, garbage)
  kOldVersion,      ///< ZMTP 1.0 or 2.0
  kBadMechanism,    ///< security other than NULL
  kNotReady,        ///< something other than READY after the greeting
  kBadMetadata,     ///< READY whose properties do not parse
  kBadSocketType,   ///< a socket type that may not talk to a ROUTER
  kBadIdentity,     ///< identity too long, or starting with the byte 0 (reserved)
  kBadCommand,      ///< a command too short for its own name or fields
  kCommandTooLong,  ///< over ZmtpLimits::command_bytes
  kMessageTooLong,  ///< over ZmtpLimits::message_bytes
  kTooManyFrames,   ///< over ZmtpLimits::frames
  kPeerError,       ///< the peer sent ERROR
};
inline constexpr std::size_t kZmtpErrorCount = 12;

/// Stable snake_case name ("not_zmtp"), part of the metrics.
[[nodiscard]] std::string_view to_string(ZmtpError error) noexcept;

/// One sentence for a log line or an ERROR command; shorter than 256 bytes.
[[nodiscard]] std::string_view explain(ZmtpError error) noexcept;

/// True where the peer is owed an ERROR command before the connection is closed: it speaks our
/// version, and the handshake is not over.
[[nodiscard]] bool owes_error_command(ZmtpError error) noexcept;

/// What the peer's greeting and READY said.
struct ZmtpPeer {
  std::uint8_t minor = 0;   ///< 3.<minor>
  std::string socket_type;  ///< "DEALER", "REQ" or "ROUTER"
  std::string identity;     ///< empty: none given
};

/// A peer's PING.
struct ZmtpPing {
  std::uint16_t ttl_ds = 0;  ///< tenths of a second after which it wants a silent connection closed
  std::uint8_t context_size = 0;
  std::array<std::byte, kZmtpPingContextBytesMax> context{};
};

}  // namespace lmcache::wire
