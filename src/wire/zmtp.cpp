#include "wire/zmtp.hpp"

namespace lmcache::wire {

std::string_view to_string(ZmtpError error) noexcept {
  switch (error) {
    case ZmtpError::kNotZmtp:
      return "not_zmtp";
    case ZmtpError::kOldVersion:
      return "old_version";
    case ZmtpError::kBadMechanism:
      return "bad_mechanism";
    case ZmtpError::kNotReady:
      return "not_ready";
    case ZmtpError::kBadMetadata:
      return "bad_metadata";
    case ZmtpError::kBadSocketType:
      return "bad_socket_type";
    case ZmtpError::kBadIdentity:
      return "bad_identity";
    case ZmtpError::kBadCommand:
      return "bad_command";
    case ZmtpError::kCommandTooLong:
      return "command_too_long";
    case ZmtpError::kMessageTooLong:
      return "message_too_long";
    case ZmtpError::kTooManyFrames:
      return "too_many_frames";
    case ZmtpError::kPeerError:
      return "peer_error";
  }
  return "unknown";
}

std::string_view explain(ZmtpError error) noexcept {
  switch (error) {
    case ZmtpError::kNotZmtp:
      return "the peer does not speak ZMTP";
    case ZmtpError::kOldVersion:
      return "the peer speaks ZMTP 1.0 or 2.0; 3.0 or newer is needed (libzmq 4.0 or newer)";
    case ZmtpError::kBadMechanism:
      return "the peer asks for a security mechanism other than NULL";
    case ZmtpError::kNotReady:
      return "READY expected after the greeting";
    case ZmtpError::kBadMetadata:
      return "malformed READY metadata";
    case ZmtpError::kBadSocketType:
      return "Socket-Type must be DEALER, REQ or ROUTER";
    case ZmtpError::kBadIdentity:
      return "Identity must have at most 255 bytes and not start with a zero byte";
    case ZmtpError::kBadCommand:
      return "malformed command";
    case ZmtpError::kCommandTooLong:
      return "command longer than allowed";
    case ZmtpError::kMessageTooLong:
      return "message longer than allowed";
    case ZmtpError::kTooManyFrames:
      return "message with more frames than allowed";
    case ZmtpError::kPeerError:
      return "the peer reported an error";
  }
  return "unknown protocol error";
}

bool owes_error_command(ZmtpError error) noexcept {
  return error == ZmtpError::kNotReady || error == ZmtpError::kBadMetadata ||
         error == ZmtpError::kBadSocketType || error == ZmtpError::kBadIdentity;
}

}  // namespace lmcache::wire
