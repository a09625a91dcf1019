#include "net/socket_address.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cstddef>

namespace lmcache::net {
namespace {

using Query = int (*)(int, sockaddr*, socklen_t*);

SocketAddress ask(Query query, int fd) noexcept {
  SocketAddress out;
  out.size = sizeof out.storage;
  if (query(fd, reinterpret_cast<sockaddr*>(&out.storage), &out.size) != 0) return {};
  return out;
}

bool has_port(int family) noexcept {
  return family == AF_INET || family == AF_INET6;
}

}  // namespace

// sin_port and sin6_port lie at the same place.
void SocketAddress::set_port(std::uint16_t port) noexcept {
  if (has_port(family())) reinterpret_cast<sockaddr_in*>(&storage)->sin_port = htons(port);
}

std::uint16_t SocketAddress::port() const noexcept {
  return has_port(family()) ? ntohs(reinterpret_cast<const sockaddr_in*>(&storage)->sin_port) : 0;
}

std::string SocketAddress::host() const {
  if (!has_port(family())) return {};
  std::array<char, INET6_ADDRSTRLEN> text{};
  const bool v6 = family() == AF_INET6;
  const void* bytes =
      v6 ? static_cast<const void*>(&reinterpret_cast<const sockaddr_in6*>(&storage)->sin6_addr)
         : &reinterpret_cast<const sockaddr_in*>(&storage)->sin_addr;
  inet_ntop(family(), bytes, text.data(), text.size());
  return v6 ? std::string("[") + text.data() + "]" : text.data();
}

std::string SocketAddress::path() const {
  constexpr std::size_t kBegin = offsetof(sockaddr_un, sun_path);
  if (family() != AF_UNIX || size <= kBegin) return {};
  const char* name = reinterpret_cast<const sockaddr_un*>(&storage)->sun_path;
  const std::size_t length = std::min<std::size_t>(size, sizeof(sockaddr_un)) - kBegin;
  if (*name != '\0') return {name, std::find(name, name + length, '\0')};
  std::string abstract(name, length);
  abstract.front() = '@';
  return abstract;
}

SocketAddress SocketAddress::local(int fd) noexcept {
  return ask(&getsockname, fd);
}

SocketAddress SocketAddress::peer(int fd) noexcept {
  return ask(&getpeername, fd);
}

}  // namespace lmcache::net
