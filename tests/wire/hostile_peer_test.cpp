// Peers that are slow, silent, wrong or malicious; and that nobody else notices them.
#include "wire_test.hpp"

#include <sys/resource.h>

namespace lmcache::test {
namespace {

using namespace std::chrono_literals;
using namespace std::string_literals;
using wire::ZmtpError;

class HostilePeer : public WireTest {
 protected:
  [[nodiscard]] std::uint64_t errors(ZmtpError error) const {
    return stats().protocol_errors[static_cast<std::size_t>(error)];
  }
};

TEST_F(HostilePeer, NeverCompletesTheHandshake) {
  options.handshake_timeout = 300ms;
  start();
  RawPeer silent{server->port()}, halfway{server->port()};
  ASSERT_TRUE(halfway.send(greeting()));
  EXPECT_EQ(silent.read_all(), greeting());
  EXPECT_TRUE(halfway.read_all().starts_with(greeting()));
  EXPECT_EQ(stats().handshake_timeouts, 2u);
  EXPECT_EQ(handler.opened_count, 0);
  dealer().round_trip({"others are fine"});
}

TEST_F(HostilePeer, SpeaksSomethingElse) {
  start();
  ZmqPeer good = dealer();
  good.round_trip({"before"});
  const std::vector<std::pair<std::string, ZmtpError>> cases{
      {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", ZmtpError::kNotZmtp},
      {"\x16\x03\x01\x02\x00"s, ZmtpError::kNotZmtp},
      {std::string(100, '\xee'), ZmtpError::kNotZmtp},
      {"\x01\x00"s, ZmtpError::kOldVersion},
      {"\xff\0\0\0\0\0\0\0\x01\x7f\x01\x05"s, ZmtpError::kOldVersion},
      {greeting(3, 1, "CURVE"), ZmtpError::kBadMechanism},
  };
  for (const auto& [bytes, error] : cases) {
    SCOPED_TRACE(wire::to_string(error));
    const std::uint64_t before = errors(error);
    RawPeer peer{server->port()};
    EXPECT_EQ(peer.read(64), greeting());
    ASSERT_TRUE(peer.send(bytes));
    EXPECT_EQ(peer.read_all(), "");
    EXPECT_EQ(errors(error), before + 1);
  }
  good.round_trip({"after"});
}

TEST_F(HostilePeer, HasTheWrongSocketType) {
  start();
  RawPeer peer{server->port()};
  ASSERT_TRUE(peer.send(greeting() + ready("", "SUB")));
  const std::string all = peer.read_all();
  EXPECT_NE(all.find("\x05"
                     "ERROR"),
            std::string::npos);
  EXPECT_NE(all.find("Socket-Type must be DEALER, REQ or ROUTER"), std::string::npos);
  EXPECT_EQ(errors(ZmtpError::kBadSocketType), 1u);
}

TEST_F(HostilePeer, SendsATooLongMessage) {
  options.max_message_bytes = 100000;
  start();
  ZmqPeer good = dealer(), bad = dealer();
  good.round_trip({std::string(100000, 'g')});
  bad.round_trip({"hello"});
  bad.send({std::string(100001, 'b')});
  EXPECT_TRUE(eventually([this] { return errors(ZmtpError::kMessageTooLong) == 1; }));
  // Counted first, then told to the handler.
  EXPECT_TRUE(eventually(
      [this] { return handler.last_reason() == wire::explain(ZmtpError::kMessageTooLong); }));
  good.round_trip({"still here"});
  bad.round_trip({"reconnected"});
}

TEST_F(HostilePeer, SendsTooManyFrames) {
  start();
  ZmqPeer peer = dealer();
  peer.round_trip(Frames(64, "f"));
  peer.send(Frames(65, "f"));
  EXPECT_TRUE(eventually([this] { return errors(ZmtpError::kTooManyFrames) == 1; }));
}

TEST_F(HostilePeer, DoesNotReadItsReplies) {
  options.max_unsent_bytes = 1u << 20;
  start();
  RawPeer slow{server->port()};
  slow.shake_hands();
  const std::string request = frame(std::string(64u << 10, 's'));
  constexpr int kRequests = 600;  // more than kernel buffers and our limit hold
  std::thread sender{[&] {
    for (int i = 0; i < kRequests; ++i) ASSERT_TRUE(slow.send(request));
  }};
  EXPECT_TRUE(eventually([this] { return stats().connections_paused == 1; }));
  EXPECT_GT(stats().unsent_bytes, options.max_unsent_bytes);
  EXPECT_LT(stats().unsent_bytes, options.max_unsent_bytes + 2 * request.size());
  ZmqPeer good = dealer();
  for (int i = 0; i < 100; ++i) good.round_trip({"served", std::to_string(i)});
  EXPECT_EQ(stats().connections_paused, 1u);
  for (int i = 0; i < kRequests; ++i) ASSERT_TRUE(slow.read(request.size()) == request) << i;
  sender.join();
  EXPECT_TRUE(eventually([this] { return stats().connections_paused == 0; }));
}

TEST_F(HostilePeer, HasMoreInFlightThanAllowed) {
  options.max_inflight = 4;
  start();
  ZmqPeer greedy = dealer(), good = dealer();
  for (int i = 0; i < 10; ++i) greedy.send({"hold", std::to_string(i)});
  EXPECT_TRUE(eventually([this] { return handler.held_count == 4; }));
  EXPECT_TRUE(eventually([this] { return stats().connections_paused == 1; }));
  good.round_trip({"served"});
  EXPECT_EQ(handler.held_count, 4);
  for (int i = 0; i < 10; ++i) {
    // Four at a time: answering those lets the next ones in.
    if (i % 4 == 0) {
      const int next = std::min(4, 10 - i);
      ASSERT_TRUE(eventually([&] { return handler.held_count == next; }));
      handler.release();
    }
    EXPECT_EQ(greedy.receive(), (Frames{"hold", std::to_string(i)}));
  }
}

TEST_F(HostilePeer, IsSilentlyDead) {
  options.heartbeat_interval = 50ms;
  options.heartbeat_timeout = 1500ms;
  start();
  RawPeer dead{server->port()};
  dead.shake_hands();
  ZmqPeer good = dealer();
  good.round_trip({"alive"});
  const std::string all = dead.read_all();
  EXPECT_TRUE(all.starts_with(command("PING", "\0\0"s)));
  EXPECT_EQ(stats().heartbeat_timeouts, 1u);
  EXPECT_TRUE(eventually([this] { return handler.closed_count == 1; }));
  good.round_trip({"alive still"});
  EXPECT_EQ(stats().connections_accepted, 2u);
}

TEST_F(HostilePeer, IsNotJudgedWhileItIsNotRead) {
  options.heartbeat_interval = 10ms;
  options.heartbeat_timeout = 50ms;
  options.max_inflight = 1;
  start();
  RawPeer peer{server->port()};
  peer.shake_hands({}, frame("hold"));
  // Ten PINGs unanswered are twice the timeout.
  const std::string ping = command("PING", "\0\0"s);
  for (int i = 0; i < 10; ++i) ASSERT_EQ(peer.read(ping.size()), ping);
  EXPECT_EQ(stats().heartbeat_timeouts, 0u);
  EXPECT_EQ(stats().connections_open, 1u);
  handler.release();
  const std::string rest = peer.read_all();  // and from now on it is
  EXPECT_NE(rest.find(frame("hold")), std::string::npos);
  EXPECT_EQ(stats().heartbeat_timeouts, 1u);
}

TEST_F(HostilePeer, GoneWhileItIsNotReadIsNoticed) {
  options.heartbeat_interval = 10ms;
  options.max_inflight = 1;
  start();
  RawPeer peer{server->port()};
  peer.shake_hands();
  ASSERT_TRUE(peer.send(frame("hold")));
  ASSERT_TRUE(eventually([this] { return handler.held_count == 1; }));
  peer.close();
  EXPECT_TRUE(eventually([this] { return handler.closed_count == 1; }));
  handler.release();  // goes nowhere
}

TEST_F(HostilePeer, AsksToBeDroppedByTtl) {
  options.heartbeat_interval = 0ms;
  start();
  RawPeer peer{server->port()};
  peer.shake_hands();
  ASSERT_TRUE(peer.send(command("PING", "\0\x01ttl"s)));
  EXPECT_EQ(peer.read_all(), command("PONG", "ttl"));
  EXPECT_EQ(stats().heartbeat_timeouts, 1u);
}

TEST_F(HostilePeer, TakesMoreConnectionsThanAllowed) {
  options.max_connections = 2;
  start();
  RawPeer first{server->port()}, second{server->port()};
  first.shake_hands();
  second.shake_hands();
  RawPeer third{server->port()};
  EXPECT_EQ(third.read_all(), "");
  EXPECT_EQ(stats().connections_refused, 1u);
  first.close();
  ASSERT_TRUE(eventually([this] { return stats().connections_open == 1; }));
  RawPeer fourth{server->port()};
  fourth.shake_hands();
  EXPECT_EQ(stats().connections_accepted, 3u);
}

TEST_F(HostilePeer, OutOfDescriptorsTheServerWaitsAndGoesOn) {
#ifdef LMCACHE_SANITIZED
  GTEST_SKIP() << "UBSan opens a pipe to check an object's type, which fails here by design";
#endif
  start();
  RawPeer served{server->port()};
  served.shake_hands();
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const int waiting = ::socket(AF_INET, SOCK_STREAM, 0);
  ASSERT_GE(waiting, 0);
  rlimit low = before;
  low.rlim_cur = static_cast<rlim_t>(waiting);  // nothing below is free
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &low), 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(server->port());
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(::connect(waiting, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  const bool failed = eventually([this] { return stats().accept_errors >= 2; });
  const std::uint64_t errors_by_then = stats().accept_errors;
  EXPECT_TRUE(served.send(frame("still served")));
  EXPECT_EQ(served.read(frame("still served").size()), frame("still served"));
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_TRUE(failed);
  EXPECT_LT(errors_by_then, 100u);  // backed off, not spinning
  EXPECT_TRUE(eventually([this] { return stats().connections_open == 2; }));
  ::close(waiting);
}

}  // namespace
}  // namespace lmcache::test
