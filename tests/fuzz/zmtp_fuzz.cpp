// The ZMTP decoder against arbitrary bytes. The first byte says in what pieces the rest arrives.
#include "wire/zmtp_decoder.hpp"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>

namespace {

using lmcache::wire::Message;
using lmcache::wire::ZmtpDecoder;
using lmcache::wire::ZmtpEvent;
using lmcache::wire::ZmtpLimits;

constexpr ZmtpLimits kLimits{.message_bytes = 1u << 20, .frames = 8, .command_bytes = 512};

void require(bool condition) {
  if (!condition) std::abort();
}

void check(const Message& message) {
  require(message.frame_count() >= 1 && message.frame_count() <= kLimits.frames);
  require(message.byte_count() <= kLimits.message_bytes);
  std::size_t total = 0;
  for (std::size_t i = 0; i < message.frame_count(); ++i) total += message.frame(i).size();
  require(total == message.byte_count());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::size_t piece = data[0] == 0 ? SIZE_MAX : data[0];
  std::size_t at = 1;
  ZmtpDecoder decoder{kLimits};
  while (at < size) {
    const auto room = decoder.prepare();
    require(!room.empty());
    const std::size_t n = std::min({piece, room.size(), size - at});
    std::memcpy(room.data(), data + at, n);
    decoder.commit(n);
    at += n;
    require(decoder.allocated_bytes() <= 64 * 1024 + 2 * at);
    for (ZmtpEvent event; (event = decoder.next()) != ZmtpEvent::kNeedMore;) {
      if (event == ZmtpEvent::kFailed) {
        require(!decoder.error_text().empty());
        return 0;
      }
      if (event == ZmtpEvent::kMessage) check(decoder.message());
    }
  }
  return 0;
}
