// Takes one command's body apart: its name, and the fields of the commands a ROUTER cares about.
// Views point into the caller's bytes. Any thread; nothing is trusted.
#pragma once

#include "wire/message.hpp"
#include "wire/zmtp.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace lmcache::wire {

struct ZmtpCommand {
  std::string_view name;  ///< "READY", "PING", ...
  ByteView data;          ///< what follows the name
};

/// Nothing when the body is shorter than the name it announces, or has no name.
[[nodiscard]] std::optional<ZmtpCommand> parse_command(ByteView body) noexcept;

/// Fills socket_type and identity from READY's properties (names in any case, unknown ones skipped,
/// the last of a repeated one counts). Returns the first thing wrong, or nothing.
[[nodiscard]] std::optional<ZmtpError> parse_ready(ByteView data, ZmtpPeer& peer);

/// Nothing without a whole TTL. A context beyond 16 bytes is cut, as libzmq does.
[[nodiscard]] std::optional<ZmtpPing> parse_ping(ByteView data) noexcept;

/// ERROR's reason, unprintable bytes replaced by '?'; empty when malformed.
[[nodiscard]] std::string parse_error_reason(ByteView data);

}  // namespace lmcache::wire
