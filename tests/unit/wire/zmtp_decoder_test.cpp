#include "wire/zmtp_decoder.hpp"
#include "support/zmtp_peer.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

namespace lmcache::wire {
namespace {

using namespace std::string_literals;
using test::command;
using test::frame;
using test::greeting;
using test::handshake;
using test::property;
using test::ready;

constexpr ZmtpLimits kSmall{.message_bytes = 1000, .frames = 4, .command_bytes = 200};

/// What a decoder says about a byte stream, as text that compares well.
using Log = std::vector<std::string>;

std::string describe(ZmtpDecoder& decoder, ZmtpEvent event) {
  switch (event) {
    case ZmtpEvent::kNeedMore:
      return "need more";
    case ZmtpEvent::kGreeting:
      return "greeting 3." + std::to_string(decoder.peer().minor);
    case ZmtpEvent::kReady:
      return "ready " + decoder.peer().socket_type + " '" + decoder.peer().identity + "'";
    case ZmtpEvent::kMessage: {
      const Message& message = decoder.message();
      std::string out = "message";
      for (std::size_t i = 0; i < message.frame_count(); ++i) {
        out += " [" + std::string{test::text(message.frame(i))} + "]";
      }
      return out;
    }
    case ZmtpEvent::kPing: {
      const ZmtpPing& ping = decoder.ping();
      return "ping " + std::to_string(ping.ttl_ds) + " " +
             std::string{test::text(ByteView{ping.context}.first(ping.context_size))};
    }
    case ZmtpEvent::kPong:
      return "pong";
    case ZmtpEvent::kFailed:
      return "failed " + std::string{to_string(decoder.error())};
  }
  return "?";
}

/// Everything that can be told after `bytes`; ends after a failure.
void drain(ZmtpDecoder& decoder, Log& log) {
  for (ZmtpEvent event; (event = decoder.next()) != ZmtpEvent::kNeedMore;) {
    log.push_back(describe(decoder, event));
    if (event == ZmtpEvent::kFailed) return;
  }
}

/// Feeds in pieces of at most `piece` bytes, the first one of `first` bytes.
Log decode(std::string_view in, std::size_t piece = SIZE_MAX, std::size_t first = SIZE_MAX,
           const ZmtpLimits& limits = {}) {
  ZmtpDecoder decoder{limits};
  Log log;
  std::size_t next = std::min(first, piece);
  while (!in.empty()) {
    const auto room = decoder.prepare();
    EXPECT_FALSE(room.empty());
    const std::size_t n = std::min({next, room.size(), in.size()});
    std::memcpy(room.data(), in.data(), n);
    decoder.commit(n);
    in.remove_prefix(n);
    next = piece;
    drain(decoder, log);
    if (!log.empty() && log.back().starts_with("failed")) break;
  }
  return log;
}

Log decode_limited(std::string_view in) {
  return decode(in, SIZE_MAX, SIZE_MAX, kSmall);
}

const std::string kEverything =
    handshake("me") + frame("one", 1) + command("PING", "\0\x0a"s + "ctx") + frame("", 1) +
    frame(std::string(300, 'x')) + command("PONG", "ctx") + command("FUTURE", "stuff") +
    frame("short in long form", 2) + frame("last", 0x80 /* reserved: ignored */);
const Log kEverythingLog{"greeting 3.1",  "ready DEALER 'me'",
                         "ping 10 ctx",   "message [one] [] [" + std::string(300, 'x') + "]",
                         "pong",          "message [short in long form]",
                         "message [last]"};

TEST(ZmtpDecoder, ReadsAConnectionFromOneRead) {
  EXPECT_EQ(decode(kEverything), kEverythingLog);
}

TEST(ZmtpDecoder, ReadsAConnectionByteByByte) {
  EXPECT_EQ(decode(kEverything, 1), kEverythingLog);
}

TEST(ZmtpDecoder, ReadsAConnectionSplitAnywhere) {
  for (std::size_t split = 1; split < kEverything.size(); ++split) {
    ASSERT_EQ(decode(kEverything, SIZE_MAX, split), kEverythingLog) << "split at " << split;
  }
}

TEST(ZmtpDecoder, TellsOtherProtocolsByTheirFirstByte) {
  EXPECT_EQ(decode("G"), Log{"failed not_zmtp"});
  EXPECT_EQ(decode("GET / HTTP/1.1\r\n\r\n"), Log{"failed not_zmtp"});
  EXPECT_EQ(decode("\x16\x03\x01"), Log{"failed not_zmtp"});
  EXPECT_EQ(decode("\x01X"), Log{"failed not_zmtp"});
}

TEST(ZmtpDecoder, TellsOldVersions) {
  EXPECT_EQ(decode("\x01\x00"s), Log{"failed old_version"});                    // 1.0
  EXPECT_EQ(decode("\xff\0\0\0\0\0\0\0\x01\x00"s), Log{"failed old_version"});  // 1.0, long
  EXPECT_EQ(decode("\xff\0\0\0\0\0\0\0\x01\x7f\x00"s),
            Log{"failed old_version"});  // 1.0 in disguise
  EXPECT_EQ(decode("\xff\0\0\0\0\0\0\0\x01\x7f\x01"s), Log{"failed old_version"});  // 2.0
  EXPECT_EQ(decode("\xff\0\0\0\0\0\0\0\x01\x7f\x02"s), Log{"failed old_version"});  // 2.1
}

TEST(ZmtpDecoder, AcceptsNewerVersionsAs31) {
  EXPECT_EQ(decode(greeting(3, 0)), Log{"greeting 3.0"});
  EXPECT_EQ(decode(greeting(4, 7)), Log{"greeting 3.1"});
}

TEST(ZmtpDecoder, RefusesOtherMechanisms) {
  EXPECT_EQ(decode(greeting(3, 1, "PLAIN")), Log{"failed bad_mechanism"});
  EXPECT_EQ(decode(greeting(3, 1, "NULLX")), Log{"failed bad_mechanism"});
  EXPECT_EQ(decode(greeting(3, 1, "NUL")), Log{"failed bad_mechanism"});
}

TEST(ZmtpDecoder, WantsReadyFirst) {
  const Log expected{"greeting 3.1", "failed not_ready"};
  EXPECT_EQ(decode(greeting() + frame("hello")), expected);
  EXPECT_EQ(decode(greeting() + command("PING", "\0\0"s)), expected);
  EXPECT_EQ(decode(greeting() + command("FUTURE")), expected);
}

TEST(ZmtpDecoder, RefusesMetadataThatDoesNotParse) {
  const Log expected{"greeting 3.1", "failed bad_metadata"};
  const std::string good = property("Socket-Type", "DEALER");
  for (std::size_t cut = 1; cut < good.size(); ++cut) {
    EXPECT_EQ(decode(greeting() + command("READY", good.substr(0, cut))), expected) << cut;
  }
  EXPECT_EQ(decode(greeting() + command("READY", good + "\0"s)), expected);
  EXPECT_EQ(decode(greeting() + command("READY", good + "\x01X\xff\xff\xff\xff"s)), expected);
}

TEST(ZmtpDecoder, AcceptsOnlySocketTypesThatTalkToARouter) {
  for (const char* type : {"DEALER", "REQ", "ROUTER"}) {
    EXPECT_EQ(decode(greeting() + ready("", type)).back(), "ready "s + type + " ''");
  }
  for (const char* type : {"REP", "PUB", "SUB", "PULL", "PUSH", "PAIR", "dealer", ""}) {
    EXPECT_EQ(decode(greeting() + ready("", type)).back(), "failed bad_socket_type") << type;
  }
  EXPECT_EQ(decode(greeting() + command("READY")).back(), "failed bad_socket_type");
}

TEST(ZmtpDecoder, ReadsPropertiesInAnyCaseAndSkipsUnknownOnes) {
  const std::string data = property("X-Thing", "anything") + property("SOCKET-type", "REQ") +
                           property("identity", "id") + property("Resource", "");
  EXPECT_EQ(decode(greeting() + command("READY", data)).back(), "ready REQ 'id'");
}

TEST(ZmtpDecoder, BoundsIdentities) {
  const std::string longest(255, 'i');
  EXPECT_EQ(decode(greeting() + ready(longest)).back(), "ready DEALER '" + longest + "'");
  EXPECT_EQ(decode(greeting() + ready(std::string(256, 'i'))).back(), "failed bad_identity");
  EXPECT_EQ(decode(greeting() + ready("\0abcd"s)).back(), "failed bad_identity");
  EXPECT_EQ(decode(greeting() + ready("a\0b"s)).back(), "ready DEALER 'a\0b'"s);
}

TEST(ZmtpDecoder, RefusesMalformedCommands) {
  EXPECT_EQ(decode(handshake() + frame("", 4)).back(), "failed bad_command");
  EXPECT_EQ(decode(handshake() + frame("\x05PIN", 4)).back(), "failed bad_command");
  EXPECT_EQ(decode(handshake() + frame("\0PING"s, 4)).back(), "failed bad_command");
  EXPECT_EQ(decode(handshake() + command("PING", "\0"s)).back(), "failed bad_command");
  EXPECT_EQ(decode(greeting() + frame("", 4)).back(), "failed bad_command");
}

TEST(ZmtpDecoder, CutsAPingContextAt16Bytes) {
  EXPECT_EQ(decode(handshake() + command("PING", "\x01\x02"s + "0123456789abcdef")).back(),
            "ping 258 0123456789abcdef");
  EXPECT_EQ(decode(handshake() + command("PING", "\0\0"s + "0123456789abcdefXYZ")).back(),
            "ping 0 0123456789abcdef");
}

TEST(ZmtpDecoder, EndsWithThePeersErrorInAnyPhase) {
  const std::string error = command("ERROR", "\x06no\nway");
  for (const std::string& before : {greeting(), handshake()}) {
    ZmtpDecoder decoder{ZmtpLimits{}};
    const std::string in = before + error;
    std::memcpy(decoder.prepare().data(), in.data(), in.size());
    decoder.commit(in.size());
    Log log;
    drain(decoder, log);
    EXPECT_EQ(log.back(), "failed peer_error");
    EXPECT_EQ(decoder.error_text(), "the peer reported an error: no?way");
  }
  EXPECT_EQ(decode(handshake() + command("ERROR")).back(), "failed peer_error");
}

TEST(ZmtpDecoder, StaysFailed) {
  ZmtpDecoder decoder{ZmtpLimits{}};
  *decoder.prepare().data() = std::byte{'G'};
  decoder.commit(1);
  EXPECT_EQ(decoder.next(), ZmtpEvent::kFailed);
  EXPECT_EQ(decoder.next(), ZmtpEvent::kFailed);
  EXPECT_EQ(decoder.error(), ZmtpError::kNotZmtp);
}

TEST(ZmtpDecoder, BoundsFramesPerMessage) {
  std::string four, five;
  for (int i = 0; i < 4; ++i) four += frame("f", i < 3 ? 1 : 0);
  for (int i = 0; i < 5; ++i) five += frame("f", i < 4 ? 1 : 0);
  EXPECT_EQ(decode_limited(handshake() + four + four).back(), "message [f] [f] [f] [f]");
  EXPECT_EQ(decode_limited(handshake() + four + four).size(), 4u);
  EXPECT_EQ(decode_limited(handshake() + five).back(), "failed too_many_frames");
}

TEST(ZmtpDecoder, BoundsBytesPerMessage) {
  const std::string most = frame(std::string(600, 'a'), 1) + frame(std::string(400, 'b'));
  EXPECT_EQ(decode_limited(handshake() + most + most).size(), 4u);
  EXPECT_EQ(decode_limited(handshake() + frame(std::string(1001, 'a'))).back(),
            "failed message_too_long");
  EXPECT_EQ(decode_limited(handshake() + frame(std::string(600, 'a'), 1) + "\x00\xff"s +
                           std::string(255, 'b'))
                .back(),
            "message [" + std::string(600, 'a') + "] [" + std::string(255, 'b') + "]");
  EXPECT_EQ(
      decode_limited(handshake() + frame(std::string(600, 'a'), 1) + frame(std::string(401, 'b')))
          .back(),
      "failed message_too_long");
}

TEST(ZmtpDecoder, JudgesALengthByItsHeaderAlone) {
  EXPECT_EQ(decode_limited(handshake() + "\x02"s + test::length64(1001)).back(),
            "failed message_too_long");
  EXPECT_EQ(decode(handshake() + "\x02"s + test::length64(UINT64_MAX)).back(),
            "failed message_too_long");
  EXPECT_EQ(decode(handshake() + frame("x", 1) + "\x02"s + test::length64(UINT64_MAX)).back(),
            "failed message_too_long");
  EXPECT_EQ(decode(handshake() + "\x06"s + test::length64(8193)).back(), "failed command_too_long");
  EXPECT_EQ(decode(greeting() + "\x06"s + test::length64(UINT64_MAX)).back(),
            "failed command_too_long");
  EXPECT_EQ(
      decode_limited(handshake() + command("FUTURE", std::string(193, 'c')) + frame("m")).back(),
      "message [m]");
}

TEST(ZmtpDecoder, ALyingLengthTakesNoMemory) {
  ZmtpDecoder decoder{ZmtpLimits{}};
  const std::size_t idle = decoder.allocated_bytes();
  std::string in = handshake() + "\x02"s + test::length64(64u << 20);
  std::memcpy(decoder.prepare().data(), in.data(), in.size());
  decoder.commit(in.size());
  Log log;
  drain(decoder, log);
  (void)decoder.prepare();
  EXPECT_LE(decoder.allocated_bytes(), idle + 32 * 1024);

  // And later never more than twice what has arrived.
  std::size_t arrived = 0;
  while (arrived < (3u << 20)) {
    const auto room = decoder.prepare();
    const std::size_t n = std::min<std::size_t>(room.size(), 10000);
    std::memset(room.data(), 'x', n);
    decoder.commit(n);
    arrived += n;
    ASSERT_EQ(decoder.next(), ZmtpEvent::kNeedMore);
    ASSERT_LE(decoder.allocated_bytes(), idle + std::max<std::size_t>(2 * arrived, 32 * 1024));
  }
}

TEST(ZmtpDecoder, AMessageThatNobodyTookServesTheNextWithItsMemory) {
  ZmtpDecoder decoder{ZmtpLimits{}};
  const auto feed = [&decoder](std::string_view in) {
    while (!in.empty()) {
      const auto room = decoder.prepare();
      const std::size_t n = std::min(room.size(), in.size());
      std::memcpy(room.data(), in.data(), n);
      decoder.commit(n);
      in.remove_prefix(n);
      while (!in.empty() && decoder.next() != ZmtpEvent::kNeedMore) {
      }
    }
  };
  feed(handshake() + frame("a", 1) + frame("first"));
  while (decoder.next() != ZmtpEvent::kMessage) {
  }
  const std::size_t allocated = decoder.allocated_bytes();
  const std::byte* const memory = decoder.message().body().data();
  feed(frame("second"));
  ASSERT_EQ(decoder.next(), ZmtpEvent::kMessage);
  EXPECT_EQ(decoder.message().body().data(), memory);

  const Message taken = std::move(decoder.message());
  feed(frame("third"));
  ASSERT_EQ(decoder.next(), ZmtpEvent::kMessage);
  EXPECT_EQ(test::text(taken.frame(0)), "second");
  EXPECT_EQ(test::text(decoder.message().frame(0)), "third");

  // What a large one took is not kept.
  feed(frame(std::string(1u << 20, 'x')));
  ASSERT_EQ(decoder.next(), ZmtpEvent::kMessage);
  ASSERT_EQ(decoder.message().byte_count(), 1u << 20);
  ASSERT_EQ(decoder.next(), ZmtpEvent::kNeedMore);
  EXPECT_LE(decoder.allocated_bytes(), allocated);
}

TEST(ZmtpDecoder, ReadsLargeFramesStraightIntoTheMessage) {
  ZmtpDecoder decoder{ZmtpLimits{}};
  std::string body(1u << 20, '\0');
  for (std::size_t i = 0; i < body.size(); ++i) body[i] = static_cast<char>(i * 31 >> 3);
  const std::string stream = handshake() + frame("a", 1) + frame(body, 1) + frame("z") + frame("n");
  std::string_view in = stream;
  std::size_t reads = 0, largest = 0;
  std::vector<Message> messages;
  while (!in.empty()) {
    const auto room = decoder.prepare();
    const std::size_t n = std::min(room.size(), in.size());
    largest = std::max(largest, n);
    std::memcpy(room.data(), in.data(), n);
    decoder.commit(n);
    in.remove_prefix(n);
    ++reads;
    for (ZmtpEvent e; (e = decoder.next()) != ZmtpEvent::kNeedMore;) {
      ASSERT_NE(e, ZmtpEvent::kFailed);
      if (e == ZmtpEvent::kMessage) messages.push_back(std::move(decoder.message()));
    }
  }
  ASSERT_EQ(messages.size(), 2u);
  ASSERT_EQ(messages[0].frame_count(), 3u);
  EXPECT_EQ(test::text(messages[0].frame(0)), "a");
  EXPECT_TRUE(test::text(messages[0].frame(1)) == body);
  EXPECT_EQ(test::text(messages[0].frame(2)), "z");
  EXPECT_EQ(test::text(messages[1].frame(0)), "n");
  EXPECT_GT(largest, 256u << 10);  // doubling, not 64 reads of the buffer's size
  EXPECT_LT(reads, 12u);
}

TEST(ZmtpErrors, HaveDistinctNamesAndFitAnErrorCommand) {
  std::vector<std::string_view> names;
  for (std::size_t i = 0; i < kZmtpErrorCount; ++i) {
    const auto error = static_cast<ZmtpError>(i);
    EXPECT_NE(to_string(error), "unknown");
    EXPECT_LT(explain(error).size(), 256u);
    names.push_back(to_string(error));
  }
  std::ranges::sort(names);
  EXPECT_EQ(std::ranges::adjacent_find(names), names.end());
}

}  // namespace
}  // namespace lmcache::wire
