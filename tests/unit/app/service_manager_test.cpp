// The notification protocol against a socket of our own.
#include "app/service_manager.hpp"

#include <gmock/gmock.h>

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <cstring>

namespace lmcache::app {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

/// What systemd does on its side, at an abstract address.
class Manager {
 public:
  Manager() : fd_(::socket(AF_UNIX, SOCK_DGRAM, 0)) {
    const std::string name = "lmcache-notify-" + std::to_string(::getpid());
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path + 1, name.data(), name.size());
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
    EXPECT_EQ(::bind(fd_, reinterpret_cast<sockaddr*>(&address), size), 0);
    const timeval patience{20, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    ::setenv("NOTIFY_SOCKET", ("@" + name).c_str(), 1);
  }
  ~Manager() {
    ::close(fd_);
    for (const char* variable : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"})
      ::unsetenv(variable);
  }
  /// The next message; empty if there is none.
  std::string next(int flags = 0) {
    std::array<char, 1024> buffer{};
    const ssize_t n = ::recv(fd_, buffer.data(), buffer.size(), flags);
    return n < 0 ? "" : std::string(buffer.data(), static_cast<std::size_t>(n));
  }

 private:
  int fd_;
};

TEST(ServiceManager, WithoutOneNothingHappens) {
  ::unsetenv("NOTIFY_SOCKET");
  EXPECT_FALSE(notify_service_manager("READY=1"));
  boost::asio::io_context loop;
  ServiceManager manager(loop, {[] { return std::string("x"); }, [] { return true; }});
  manager.ready();
  EXPECT_EQ(loop.run(), 0u);
}

TEST(ServiceManager, TellsWhenItIsReadyAndWhenItStops) {
  Manager systemd;
  boost::asio::io_context loop;
  ServiceManager manager(loop, {[] { return std::string("serving"); }, [] { return true; }});
  manager.ready();
  EXPECT_EQ(systemd.next(), "READY=1\nSTATUS=serving");
  manager.stopping();
  EXPECT_THAT(systemd.next(), StartsWith("STOPPING=1\n"));
}

TEST(ServiceManager, FeedsTheWatchdogOnlyWhileAllIsWell) {
  Manager systemd;
  ::setenv("WATCHDOG_USEC", "2000", 1);
  ::setenv("WATCHDOG_PID", std::to_string(::getpid()).c_str(), 1);
  boost::asio::io_context loop;
  bool well = true;
  int asked = 0;
  ServiceManager manager(loop, {[] { return std::string("serving"); },
                                [&] {
                                  ++asked;
                                  return well;
                                }});
  manager.ready();
  EXPECT_THAT(systemd.next(), StartsWith("READY=1"));
  loop.run_one();
  EXPECT_EQ(systemd.next(), "WATCHDOG=1");
  well = false;
  loop.run_one();
  EXPECT_EQ(asked, 2);
  EXPECT_EQ(systemd.next(MSG_DONTWAIT), "");
}

TEST(ServiceManager, AWatchdogForAnotherProcessIsNotOurs) {
  Manager systemd;
  ::setenv("WATCHDOG_USEC", "2000000", 1);
  EXPECT_EQ(watchdog_interval(), std::chrono::seconds(1));
  ::setenv("WATCHDOG_PID", "1", 1);
  EXPECT_FALSE(watchdog_interval());
  ::unsetenv("WATCHDOG_PID");
  for (const char* bad : {"", "x", "-5", "0", "99999999999999999999"}) {
    ::setenv("WATCHDOG_USEC", bad, 1);
    EXPECT_FALSE(watchdog_interval()) << bad;
  }
}

}  // namespace
}  // namespace lmcache::app
