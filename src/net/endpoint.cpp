#include "net/endpoint.hpp"

#include "net/socket_address.hpp"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>

namespace lmcache::net {
namespace {

// An address family the machine does not have, or an address it does not carry.
bool address_missing(int error) noexcept {
  return error == EAFNOSUPPORT || error == EADDRNOTAVAIL;
}

Error failure(const std::string& what, const std::string& why, const std::string& cure) {
  std::string text = what + ": " + why;
  if (!cure.empty()) text.append("; ").append(cure);
  return {Cause::kNotServed, std::move(text)};
}

std::string to_text(const SocketAddress& address) {
  return address.host() + ":" + std::to_string(address.port());
}

Result<std::vector<SocketAddress>> resolve(const std::string& host, const EndpointFlags& flags) {
  std::vector<std::string> names{std::string(without_brackets(host))};
  if (host == "localhost") names = {"127.0.0.1", "::1"};
  if (host.empty() || host == "*") names = {"0.0.0.0", "::"};

  std::vector<SocketAddress> out;
  for (const std::string& name : names) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_PASSIVE;
    addrinfo* list = nullptr;
    if (const int code = getaddrinfo(name.c_str(), nullptr, &hints, &list); code != 0) {
      return failure(
          "cannot resolve host '" + name + "'", gai_strerror(code),
          "give " + flags.host + " an address of this machine, or a name that stands for one");
    }
    const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owner{list, &freeaddrinfo};
    for (const addrinfo* i = list; i != nullptr; i = i->ai_next) {
      SocketAddress address;
      std::memcpy(&address.storage, i->ai_addr, i->ai_addrlen);
      address.size = i->ai_addrlen;
      out.push_back(address);
    }
  }
  return out;
}

/// A bound and listening socket; its descriptor is -1 and errno set where it failed.
ListeningSocket try_listen(const SocketAddress& address) {
  ListeningSocket out{::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0),
                      address.family()};
  if (out.fd() < 0) return out;
  const int on = 1;
  // So that a restart can bind while old connections linger; it does not share a live port.
  (void)setsockopt(out.fd(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (address.family() == AF_INET6) {
    (void)setsockopt(out.fd(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
  }
  if (::bind(out.fd(), address.get(), address.size) != 0 || ::listen(out.fd(), SOMAXCONN) != 0) {
    const int error = errno;
    ::close(out.release_fd());
    errno = error;
  }
  return out;
}

Error tcp_failure(const SocketAddress& address, int error, const EndpointFlags& flags) {
  const std::string port = std::to_string(address.port());
  std::string why = std::strerror(error), cure;
  if (error == EADDRINUSE) {
    why = "the port is in use";
    cure = "see who has it with `ss -ltnp 'sport = :" + port + "'`, stop it or choose another " +
           flags.port;
  } else if (error == EACCES) {
    cure = "ports below 1024 need privileges, choose another " + flags.port;
  } else if (address_missing(error)) {
    cure = flags.host + " must be an address of this machine, see `ip address`";
  }
  return failure("cannot listen on " + to_text(address), why, cure);
}

/// One try to bind all addresses to one port. The error code is that of the first address that
/// failed for a reason other than not existing here, and `failed` is that address.
int try_listen_all(std::vector<SocketAddress>& addresses, std::uint16_t port, Listeners& out,
                   SocketAddress& failed) {
  int missing = 0;
  for (SocketAddress& address : addresses) {
    address.set_port(port);
    ListeningSocket socket = try_listen(address);
    if (socket.fd() < 0) {
      const int error = errno;
      failed = address;
      if (!address_missing(error)) return error;
      missing = error;
      continue;
    }
    port = SocketAddress::local(socket.fd()).port();
    out.sockets.push_back(std::move(socket));
  }
  out.port = port;
  return out.sockets.empty() ? missing : 0;
}

/// Whether somebody answers on a unix socket. EAGAIN: somebody does, with a full backlog.
bool unix_socket_alive(const sockaddr_un& name) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return true;
  const bool refused = ::connect(fd, reinterpret_cast<const sockaddr*>(&name), sizeof name) != 0 &&
                       (errno == ECONNREFUSED || errno == ENOENT);
  ::close(fd);
  return !refused;
}

}  // namespace

std::string_view without_brackets(std::string_view host) noexcept {
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  return bracketed ? host.substr(1, host.size() - 2) : host;
}

ListeningSocket::ListeningSocket(ListeningSocket&& other) noexcept
    : fd_(other.release_fd()),
      family_(other.family_),
      path_(std::exchange(other.path_, {})),
      device_(other.device_),
      inode_(other.inode_) {}

ListeningSocket::~ListeningSocket() {
  if (fd_ >= 0) ::close(fd_);
  struct stat now {};
  if (!path_.empty() && ::lstat(path_.c_str(), &now) == 0 && now.st_dev == device_ &&
      now.st_ino == inode_) {
    ::unlink(path_.c_str());
  }
}

Result<Listeners> listen_tcp(const std::string& host, std::uint16_t port,
                             const EndpointFlags& flags) {
  auto addresses = resolve(host, flags);
  if (!addresses) return addresses.error();
  // A free port of the first address may be taken on the second: another one then.
  const int tries = port == 0 ? 16 : 1;
  SocketAddress failed;
  int error = 0;
  for (int i = 0; i < tries; ++i) {
    Listeners out;
    error = try_listen_all(*addresses, port, out, failed);
    if (error == 0) return out;
    if (error != EADDRINUSE) break;
  }
  return tcp_failure(failed, error, flags);
}

Result<ListeningSocket> listen_unix(const std::string& path, const EndpointFlags& flags) {
  const std::string what = "cannot listen on unix socket '" + path + "'";
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof name.sun_path) {
    return failure(what,
                   "the path must have 1 to " + std::to_string(sizeof name.sun_path - 1) + " bytes",
                   "choose a shorter " + flags.path);
  }
  std::memcpy(name.sun_path, path.c_str(), path.size());

  struct stat found {};
  if (::lstat(path.c_str(), &found) == 0) {
    if (!S_ISSOCK(found.st_mode)) {
      return failure(what, "a file that is no socket is there",
                     "remove it or choose another " + flags.path);
    }
    if (unix_socket_alive(name)) {
      return failure(what, "another server answers on it",
                     "stop that one or choose another " + flags.path);
    }
    ::unlink(path.c_str());
  }
  ListeningSocket out{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), AF_UNIX};
  // Nobody can connect before listen(), so there is no moment with the umask's mode.
  if (out.fd() < 0 || ::bind(out.fd(), reinterpret_cast<sockaddr*>(&name), sizeof name) != 0) {
    const int error = errno;
    return failure(what, std::strerror(error),
                   error == ENOENT || error == EACCES || error == EROFS
                       ? "the directory of " + flags.path + " must exist and be writable"
                       : "");
  }
  if (::lstat(path.c_str(), &found) == 0) {
    out.path_ = path;
    out.device_ = found.st_dev;
    out.inode_ = found.st_ino;
  }
  if (::chmod(path.c_str(), 0660) != 0 || ::listen(out.fd(), SOMAXCONN) != 0) {
    return failure(what, std::strerror(errno), "");
  }
  return out;
}

Result<ListeningSocket> adopt_listener(int fd) {
  const auto option = [fd](int name) {
    int value = -1;
    socklen_t size = sizeof value;
    return ::getsockopt(fd, SOL_SOCKET, name, &value, &size) == 0 ? value : -1;
  };
  const auto wrong = [](const char* why) { return Error{Cause::kMalformed, why}; };
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0) return wrong("is not open");
  if (option(SO_TYPE) < 0) return wrong("is no socket");
  if (option(SO_TYPE) != SOCK_STREAM) return wrong("is no stream socket");
  const int family = option(SO_DOMAIN);
  if (family != AF_INET && family != AF_INET6 && family != AF_UNIX)
    return wrong("is neither TCP nor a unix socket");
  if (option(SO_ACCEPTCONN) != 1) return wrong("does not listen");
  if (::fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0 || ::fcntl(fd, F_SETFD, FD_CLOEXEC) != 0)
    return wrong(std::strerror(errno));
  return ListeningSocket{fd, family};
}

Result<Listeners> listen(std::vector<ListeningSocket> passed, const Endpoint& where,
                         const EndpointFlags& flags) {
  Listeners out{std::move(passed), 0};
  for (const ListeningSocket& socket : out.sockets)
    if (out.port == 0) out.port = SocketAddress::local(socket.fd()).port();
  if (!out.sockets.empty()) return out;
  if (where.tcp) {
    auto tcp = listen_tcp(where.host, where.port, flags);
    if (!tcp) return tcp.error();
    out = std::move(*tcp);
  }
  if (!where.path.empty()) {
    auto unix_socket = listen_unix(where.path, flags);
    if (!unix_socket) return unix_socket.error();
    out.sockets.push_back(std::move(*unix_socket));
  }
  return out;
}

std::string peer_name(int fd) {
  const SocketAddress peer = SocketAddress::peer(fd);
  if (peer.family() == AF_UNIX) return "unix";
  return peer.family() == AF_UNSPEC ? "gone" : "tcp " + to_text(peer);
}

}  // namespace lmcache::net
