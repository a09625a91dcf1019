#include "app/service_manager.hpp"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <utility>

namespace lmcache::app {
namespace {

constexpr std::chrono::seconds kStatusInterval{5};

std::optional<std::int64_t> number_in(const char* variable) {
  const char* text = std::getenv(variable);
  if (text == nullptr) return std::nullopt;
  const std::string_view view(text);
  std::int64_t number = 0;
  const auto [end, failed] = std::from_chars(view.data(), view.data() + view.size(), number);
  if (failed != std::errc{} || end != view.data() + view.size()) return std::nullopt;
  return number;
}

}  // namespace

bool notify_service_manager(const std::string& message) {
  const char* path = std::getenv("NOTIFY_SOCKET");
  if (path == nullptr || (path[0] != '/' && path[0] != '@')) return false;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::size_t length = std::strlen(path);
  if (length >= sizeof address.sun_path) return false;
  std::memcpy(address.sun_path, path, length);
  if (path[0] == '@') address.sun_path[0] = '\0';
  const int fd = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length);
  const ssize_t sent = ::sendto(fd, message.data(), message.size(), MSG_NOSIGNAL,
                                reinterpret_cast<const sockaddr*>(&address), size);
  ::close(fd);
  return sent == static_cast<ssize_t>(message.size());
}

std::optional<std::chrono::microseconds> watchdog_interval() {
  const auto timeout = number_in("WATCHDOG_USEC");
  if (!timeout || *timeout <= 1) return std::nullopt;
  if (std::getenv("WATCHDOG_PID") != nullptr && number_in("WATCHDOG_PID") != ::getpid())
    return std::nullopt;
  return std::chrono::microseconds(*timeout / 2);
}

ServiceManager::ServiceManager(boost::asio::io_context& loop, Source source)
    : source_(std::move(source)),
      timer_(loop),
      interval_(watchdog_interval().value_or(kStatusInterval)),
      watched_(watchdog_interval().has_value()) {
  interval_ = std::min<std::chrono::microseconds>(interval_, kStatusInterval);
}

void ServiceManager::ready() {
  last_status_ = source_.status();
  if (!notify_service_manager("READY=1\nSTATUS=" + last_status_)) return;
  beat();
}

void ServiceManager::stopping() {
  notify_service_manager("STOPPING=1\nSTATUS=finishing the requests in flight");
}

void ServiceManager::beat() {
  timer_.expires_after(interval_);
  timer_.async_wait([this](const boost::system::error_code& cancelled) {
    if (cancelled) return;
    if (watched_ && source_.well()) notify_service_manager("WATCHDOG=1");
    if (std::string status = source_.status(); status != last_status_) {
      last_status_ = std::move(status);
      notify_service_manager("STATUS=" + last_status_);
    }
    beat();
  });
}

}  // namespace lmcache::app
