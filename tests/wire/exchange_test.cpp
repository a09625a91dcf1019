// What well-behaved libzmq peers see.
#include "wire_test.hpp"

#include <sys/stat.h>

namespace lmcache::test {
namespace {

using namespace std::chrono_literals;

class Exchange : public WireTest {};

TEST_F(Exchange, DealerGetsItsFramesBack) {
  start();
  ZmqPeer peer = dealer();
  peer.round_trip({"uid", "op"});
  peer.round_trip({"", "", "after empty frames"});
  peer.round_trip({std::string(255, 's'), std::string(256, 'l')});
  EXPECT_TRUE(handler.last_name().starts_with("tcp 127.0.0.1:"));
}

TEST_F(Exchange, RequesterAndRouterPeersAreServedToo) {
  start();
  ZmqPeer requester{context, zmq::socket_type::req};
  requester.connect(server->port());
  requester.round_trip({"question"});

  ZmqPeer router{context, zmq::socket_type::router};
  router.socket().set(zmq::sockopt::connect_routing_id, "server");
  router.socket().set(zmq::sockopt::router_mandatory, true);
  router.connect(server->port());
  router.round_trip({"server", "uid", "op"});
}

TEST_F(Exchange, LargeAndManyFrames) {
  start();
  ZmqPeer peer = dealer();
  std::string large(10u << 20, '\0');
  for (std::size_t i = 0; i < large.size(); ++i) large[i] = static_cast<char>(i * 7 >> 2);
  peer.round_trip({"uid", large, "tail"});
  Frames many(60);
  for (std::size_t i = 0; i < many.size(); ++i) many[i] = std::string(i * 37, 'f');
  peer.round_trip(many);
}

TEST_F(Exchange, KeepsTheOrderOfManyRequestsInFlight) {
  start();
  ZmqPeer peer = dealer();
  for (int i = 0; i < 5000; ++i) peer.send({std::to_string(i), "op"});
  for (int i = 0; i < 5000; ++i) ASSERT_EQ(peer.receive(), (Frames{std::to_string(i), "op"}));
}

TEST_F(Exchange, RepliesFromAnotherThread) {
  options.io_threads = 2;
  start();
  ZmqPeer a = dealer(), b = dealer();
  int sent = 0, received = 0;
  while (received < 3000) {
    for (; sent < received + 64 && sent < 3000; ++sent) {
      a.send({"worker", std::to_string(sent)});
      b.send({"worker", std::to_string(sent)});
    }
    ASSERT_EQ(a.receive(), (Frames{"worker", std::to_string(received)}));
    ASSERT_EQ(b.receive(), (Frames{"worker", std::to_string(received)}));
    ++received;
  }
}

TEST_F(Exchange, UnixSocket) {
  const TemporaryFolder folder;
  options.unix_path = folder / "s";
  options.tcp = false;
  start();
  EXPECT_EQ(server->port(), 0);
  struct stat found {};
  ASSERT_EQ(::lstat(options.unix_path.c_str(), &found), 0);
  EXPECT_TRUE(S_ISSOCK(found.st_mode));
  EXPECT_EQ(found.st_mode & 0777, 0660u);
  ZmqPeer peer{context, zmq::socket_type::dealer};
  peer.connect("ipc://" + options.unix_path);
  peer.round_trip({"uid", std::string(1u << 20, 'u')});
  EXPECT_EQ(handler.last_name(), "unix");
  server->stop();
  EXPECT_FALSE(std::filesystem::exists(options.unix_path));
}

TEST_F(Exchange, TwoHundredConnections) {
  options.io_threads = 2;
  start();
  std::vector<ZmqPeer> peers;
  for (int i = 0; i < 200; ++i) peers.push_back(dealer());
  for (ZmqPeer& peer : peers) peer.send({"uid", "op"});
  for (ZmqPeer& peer : peers) EXPECT_EQ(peer.receive(), (Frames{"uid", "op"}));
  EXPECT_EQ(stats().connections_open, 200u);
  peers.clear();
  EXPECT_TRUE(eventually([this] { return stats().connections_open == 0; }));
  EXPECT_EQ(handler.closed_count, 200);
}

TEST_F(Exchange, GivenIdentitiesAreUniqueAsInLibzmq) {
  start();
  ZmqPeer first{context, zmq::socket_type::dealer}, second{context, zmq::socket_type::dealer};
  first.socket().set(zmq::sockopt::routing_id, "same");
  second.socket().set(zmq::sockopt::routing_id, "same");
  first.connect(server->port());
  first.round_trip({"first"});
  second.connect(server->port());
  second.send({"second"});
  ASSERT_TRUE(eventually([this] { return stats().connections_paused == 1; }));
  first.round_trip({"still the only one"});
  EXPECT_EQ(stats().messages_in, 2u);
  first.socket().close();
  EXPECT_EQ(second.receive(), Frames{"second"});
  second.round_trip({"more"});
  EXPECT_EQ(stats().connections_accepted, 2u);
}

TEST_F(Exchange, AnswersHeartbeatsOfLibzmq) {
  options.heartbeat_interval = 0ms;
  start();
  ZmqPeer peer{context, zmq::socket_type::dealer};
  peer.socket().set(zmq::sockopt::heartbeat_ivl, 10);
  peer.socket().set(zmq::sockopt::heartbeat_timeout, kPatienceMs);
  peer.socket().set(zmq::sockopt::heartbeat_ttl, kPatienceMs);
  peer.connect(server->port());
  peer.round_trip({"a"});
  const auto before = stats();
  ASSERT_TRUE(eventually([&] { return stats().bytes_in > before.bytes_in + 90; }));
  EXPECT_TRUE(eventually([&] { return stats().bytes_out > before.bytes_out + 60; }));
  peer.round_trip({"b"});
  EXPECT_EQ(stats().connections_accepted, 1u);
}

TEST_F(Exchange, LibzmqAnswersOurHeartbeats) {
  options.heartbeat_interval = 10ms;
  options.heartbeat_timeout = std::chrono::milliseconds{kPatienceMs};
  start();
  ZmqPeer peer = dealer();
  peer.round_trip({"a"});
  const auto before = stats();
  ASSERT_TRUE(eventually([&] { return stats().bytes_in > before.bytes_in + 70; }));
  peer.round_trip({"b"});
  EXPECT_EQ(stats().connections_accepted, 1u);
  EXPECT_EQ(stats().heartbeat_timeouts, 0u);
}

}  // namespace
}  // namespace lmcache::test
