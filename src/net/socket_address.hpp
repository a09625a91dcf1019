// The address of a socket of any family. Plain POSIX.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <string>

namespace lmcache::net {

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;

  [[nodiscard]] int family() const noexcept { return storage.ss_family; }
  [[nodiscard]] const sockaddr* get() const noexcept {
    return reinterpret_cast<const sockaddr*>(&storage);
  }
  // Of an IPv4 or IPv6 address; 0 of another.
  void set_port(std::uint16_t port) noexcept;
  [[nodiscard]] std::uint16_t port() const noexcept;

  /// "127.0.0.1" or "[::1]"; empty of another family.
  [[nodiscard]] std::string host() const;
  /// "/run/x.sock", or "@x" of an abstract one; empty of another family, and of no name.
  [[nodiscard]] std::string path() const;

  /// What the socket is bound to, and connected to; nothing of what is no socket or has none.
  [[nodiscard]] static SocketAddress local(int fd) noexcept;
  [[nodiscard]] static SocketAddress peer(int fd) noexcept;
};

}  // namespace lmcache::net
