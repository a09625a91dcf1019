// Draining and stopping.
#include "wire_test.hpp"

#include <future>

namespace lmcache::test {
namespace {

using namespace std::chrono_literals;

class Shutdown : public WireTest {
 protected:
  static std::chrono::steady_clock::time_point in(std::chrono::milliseconds time) {
    return std::chrono::steady_clock::now() + time;
  }
  [[nodiscard]] bool refuses_connections() const {
    const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(server->port());
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const bool refused =
        ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 &&
        errno == ECONNREFUSED;
    ::close(fd);
    return refused;
  }
};

TEST_F(Shutdown, DrainAnswersWhatIsInFlight) {
  start();
  ZmqPeer busy = dealer(), idle = dealer();
  busy.send({"hold", std::string(5u << 20, 'h')});
  idle.round_trip({"idle"});
  ASSERT_TRUE(eventually([this] { return handler.held_count == 1; }));
  auto drained = std::async(std::launch::async, [&] {
    return server->drain(in(std::chrono::milliseconds{kPatienceMs}));
  });
  ASSERT_TRUE(eventually([this] { return stats().connections_open == 1; }));
  handler.release();
  EXPECT_EQ(busy.receive(), (Frames{"hold", std::string(5u << 20, 'h')}));
  EXPECT_TRUE(drained.get());
  EXPECT_EQ(handler.closed_count, 2);
}

TEST_F(Shutdown, NobodyConnectsWhileDraining) {
  start();
  server->stop_accepting();
  server->stop_accepting();
  EXPECT_TRUE(refuses_connections());
  EXPECT_TRUE(server->drain(in(0ms)));
}

TEST_F(Shutdown, DrainEndsAtItsDeadline) {
  start();
  ZmqPeer peer = dealer();
  peer.send({"hold"});
  ASSERT_TRUE(eventually([this] { return handler.held_count == 1; }));
  EXPECT_FALSE(server->drain(in(10ms)));
  server->stop();
  EXPECT_EQ(handler.closed_count, 1);
  handler.release();
}

TEST_F(Shutdown, StopEndsADrain) {
  start();
  ZmqPeer peer = dealer();
  peer.send({"hold"});
  ASSERT_TRUE(eventually([this] { return handler.held_count == 1; }));
  auto drained =
      std::async(std::launch::async, [&] { return server->drain(in(std::chrono::hours{1})); });
  ASSERT_TRUE(eventually([this] { return refuses_connections(); }));  // it is under way
  server->stop();
  EXPECT_FALSE(drained.get());
}

TEST_F(Shutdown, SlotsMayOutliveTheServer) {
  options.io_threads = 2;
  start();
  ZmqPeer a = dealer(), b = dealer();
  a.send({"hold"});
  b.send({"hold"});
  ASSERT_TRUE(eventually([this] { return handler.held_count == 2; }));
  server.reset();
  handler.release();
  EXPECT_EQ(handler.closed_count, 2);
}

TEST_F(Shutdown, StopWhileRepliesArriveFromAnotherThread) {
  for (int round = 0; round < 20; ++round) {
    start();
    ZmqPeer peer = dealer();
    for (int i = 0; i < 200; ++i) peer.send({"worker"});
    EXPECT_EQ(peer.receive(), Frames{"worker"});
    server->stop();
    EXPECT_EQ(stats().connections_open, 0u);
  }
}

TEST_F(Shutdown, StopWithoutStart) {
  net::Server never{options, handler};
  never.stop();
  EXPECT_FALSE(never.drain(in(0ms)));
}

}  // namespace
}  // namespace lmcache::test
