#include "app/passed_sockets.hpp"

#include "app/parse_value.hpp"
#include "net/socket_address.hpp"
#include "obs/log.hpp"

#include <unistd.h>

#include <cstdlib>
#include <limits>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace lmcache::app {
namespace {

constexpr int kFirst = 3;
constexpr int kMost = 64;

[[noreturn]] void refuse(const std::string& what) {
  throw std::runtime_error("socket activation: " + what);
}

std::string_view variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

/// One per descriptor; systemd's own word where nobody gave one is "unknown".
std::vector<std::string> names(std::size_t count) {
  std::string_view left = variable("LISTEN_FDNAMES");
  if (left.empty()) return std::vector<std::string>(count, "unknown");
  std::vector<std::string> out;
  for (;;) {
    const std::size_t end = left.find(':');
    out.emplace_back(left.substr(0, end));
    if (end == std::string_view::npos) break;
    left.remove_prefix(end + 1);
  }
  if (out.size() != count)
    refuse("$LISTEN_FDS says " + std::to_string(count) + " sockets, $LISTEN_FDNAMES has " +
           std::to_string(out.size()) + " names");
  return out;
}

bool is_for_requests(const std::string& name) {
  return name == "request" || name == "unknown" || name.ends_with(".socket");
}

net::ListeningSocket take(int fd, const std::string& name) {
  const std::string which = "descriptor " + std::to_string(fd) + ", named '" + name + "', ";
  if (name != "http" && !is_for_requests(name))
    refuse(which + "is for nothing here; FileDescriptorName= must be 'request' or 'http'");
  auto socket = net::adopt_listener(fd);
  if (!socket)
    refuse(which + socket.error().text + "; the .socket unit needs ListenStream= and Accept=no");
  return std::move(*socket);
}

/// The settings that say where a server listens.
struct Place {
  bool& tcp;
  std::string& host;
  std::uint16_t& port;
  std::string& path;
  const char* path_flag;
};

/// Writes down where the first TCP and the first unix socket listen.
void describe(const std::vector<net::ListeningSocket>& sockets, Place place) {
  if (sockets.empty()) return;
  if (!place.path.empty())
    refuse(std::string("the service manager passes sockets, so ") + place.path_flag +
           " has no say; put ListenStream=" + place.path + " into the .socket unit instead");
  place.tcp = false;
  for (const net::ListeningSocket& socket : sockets) {
    const auto address = net::SocketAddress::local(socket.fd());
    if (socket.family() == AF_UNIX) {
      if (place.path.empty()) place.path = address.path();
    } else if (!std::exchange(place.tcp, true)) {
      place.host = address.host();
      place.port = address.port();
    }
  }
}

}  // namespace

PassedSockets take_passed_sockets(ServerConfig& config) {
  PassedSockets out;
  const auto pid = parse_integer(variable("LISTEN_PID"), 1, std::numeric_limits<pid_t>::max());
  if (pid != ::getpid()) return out;
  const std::string_view text = variable("LISTEN_FDS");
  const auto count = parse_integer(text, 1, kMost);
  if (!count)
    refuse("$LISTEN_FDS is '" + std::string(text) + "'; it must be a number from 1 to " +
           std::to_string(kMost));
  const std::vector<std::string> named = names(static_cast<std::size_t>(*count));
  for (int i = 0; i < *count; ++i) {
    const std::string& name = named[static_cast<std::size_t>(i)];
    (name == "http" ? out.http : out.request).push_back(take(kFirst + i, name));
  }
  if (!config.http && !out.http.empty())
    refuse("a socket is named 'http', but there is --no-http; drop one of the two");
  describe(out.request,
           {config.tcp, config.host, config.port, config.request_socket, "--request-socket"});
  describe(out.http, {config.http_tcp, config.http_host, config.http_port, config.http_socket,
                      "--http-socket"});
  obs::log_event(obs::Level::kInfo, "sockets of the service manager are served",
                 {{"request", out.request.size()}, {"http", out.http.size()}});
  return out;
}

}  // namespace lmcache::app
