// Talks to the service manager that started this process (systemd's notification protocol): ready,
// stopping, a line of status, and a watchdog that is fed only while every loop is alive. Without
// one all of it does nothing.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include <chrono>
#include <functional>
#include <optional>
#include <string>

namespace lmcache::app {

/// One datagram to the socket that $NOTIFY_SOCKET names; '@' stands for an abstract one. False if
/// there is none or it does not take it.
bool notify_service_manager(const std::string& message);

/// How often systemd wants to hear from us: half of $WATCHDOG_USEC, if $WATCHDOG_PID is us or
/// unset.
[[nodiscard]] std::optional<std::chrono::microseconds> watchdog_interval();

/// Lives on one event loop, which must have ended when it is destroyed.
class ServiceManager {
 public:
  struct Source {
    std::function<std::string()> status;  ///< one line for `systemctl status`
    std::function<bool()> well;           ///< false: the watchdog goes hungry
  };
  ServiceManager(boost::asio::io_context& loop, Source source);

  /// READY=1, and from now on status and watchdog.
  void ready();
  /// STOPPING=1. Status goes on, and so does the watchdog.
  void stopping();

 private:
  void beat();

  Source source_;
  boost::asio::steady_timer timer_;
  std::chrono::microseconds interval_;
  bool watched_;
  std::string last_status_;
};

}  // namespace lmcache::app
