// Where the server can listen, and what it says where it cannot.
#include "wire_test.hpp"

#include <gmock/gmock.h>
#include <sys/un.h>

#include <fstream>

namespace lmcache::test {
namespace {

using testing::HasSubstr;

class Listen : public WireTest {
 protected:
  /// The error text of a server started with `with`; empty when it started.
  std::string failure(const net::NetOptions& with) {
    net::Server other{with, handler};
    const Status status = other.start();
    return status ? "" : status.error().text;
  }
};

bool machine_has_ipv6_loopback() {
  const int fd = ::socket(AF_INET6, SOCK_STREAM, 0);
  if (fd < 0) return false;
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_addr = IN6ADDR_LOOPBACK_INIT;
  const bool bound = ::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  ::close(fd);
  return bound;
}

TEST_F(Listen, LocalhostIsBothLoopbackAddresses) {
  options.host = "localhost";
  start();
  dealer().round_trip({"v4"});
  if (!machine_has_ipv6_loopback()) GTEST_SKIP() << "no ::1 on this machine";
  ZmqPeer peer{context, zmq::socket_type::dealer};
  peer.socket().set(zmq::sockopt::ipv6, true);
  peer.connect("tcp://[::1]:" + std::to_string(server->port()));
  peer.round_trip({"v6"});
  EXPECT_TRUE(handler.last_name().starts_with("tcp [::1]:"));
}

TEST_F(Listen, EveryInterface) {
  options.host = "*";
  start();
  dealer().round_trip({"hello"});
}

TEST_F(Listen, TcpAndUnixTogether) {
  const TemporaryFolder folder;
  options.unix_path = folder / "s";
  start();
  dealer().round_trip({"tcp"});
  ZmqPeer peer{context, zmq::socket_type::dealer};
  peer.connect("ipc://" + options.unix_path);
  peer.round_trip({"unix"});
}

TEST_F(Listen, BusyPort) {
  start();
  net::NetOptions same = options;
  same.port = server->port();
  const std::string text = failure(same);
  EXPECT_THAT(text, HasSubstr("127.0.0.1:" + std::to_string(same.port)));
  EXPECT_THAT(text, HasSubstr("in use"));
  EXPECT_THAT(text, HasSubstr("choose another --port"));
}

TEST_F(Listen, ABusyPortLeavesNoUnixSocketBehind) {
  const TemporaryFolder folder;
  start();
  net::NetOptions same = options;
  same.port = server->port();
  same.unix_path = folder / "s";
  EXPECT_NE(failure(same), "");
  EXPECT_FALSE(std::filesystem::exists(same.unix_path));
}

TEST_F(Listen, ThePortIsFreeAgainAfterStop) {
  start();
  dealer().round_trip({"leaves a connection in TIME_WAIT"});
  options.port = server->port();
  server->stop();
  EXPECT_EQ(failure(options), "");
}

TEST_F(Listen, HostsThatAreNotOurs) {
  options.host = "no such host";
  EXPECT_THAT(failure(options), HasSubstr("cannot resolve host 'no such host'"));
  options.host = "192.0.2.1";  // reserved for documentation
  EXPECT_THAT(failure(options), HasSubstr("--host must be an address of this machine"));
}

TEST_F(Listen, UnixSocketOfALiveServerIsLeftAlone) {
  const TemporaryFolder folder;
  options.tcp = false;
  options.unix_path = folder / "s";
  start();
  EXPECT_THAT(failure(options), HasSubstr("another server answers on it"));
  ZmqPeer peer{context, zmq::socket_type::dealer};
  peer.connect("ipc://" + options.unix_path);
  peer.round_trip({"still served"});
}

TEST_F(Listen, AStaleUnixSocketIsReplaced) {
  const TemporaryFolder folder;
  options.tcp = false;
  options.unix_path = folder / "s";
  const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  options.unix_path.copy(name.sun_path, sizeof name.sun_path - 1);
  ASSERT_EQ(::bind(fd, reinterpret_cast<const sockaddr*>(&name), sizeof name), 0);
  ::close(fd);  // as a killed server leaves it
  start();
  ZmqPeer peer{context, zmq::socket_type::dealer};
  peer.connect("ipc://" + options.unix_path);
  peer.round_trip({"served"});
}

TEST_F(Listen, UnixPathsThatCannotBe) {
  const TemporaryFolder folder;
  options.tcp = false;
  options.unix_path = folder / "file";
  std::ofstream{options.unix_path} << "precious";
  EXPECT_THAT(failure(options), HasSubstr("a file that is no socket is there"));
  EXPECT_TRUE(std::filesystem::exists(options.unix_path));
  options.unix_path = folder / "no/folder";
  EXPECT_THAT(failure(options), HasSubstr("must exist and be writable"));
  options.unix_path = folder / std::string(200, 'x');
  EXPECT_THAT(failure(options), HasSubstr("1 to 107 bytes"));
}

TEST_F(Listen, StopRemovesOnlyItsOwnUnixSocket) {
  const TemporaryFolder folder;
  options.tcp = false;
  options.unix_path = folder / "s";
  start();
  std::filesystem::remove(options.unix_path);
  std::ofstream{options.unix_path} << "another's";
  server->stop();
  EXPECT_TRUE(std::filesystem::exists(options.unix_path));
}

}  // namespace
}  // namespace lmcache::test
