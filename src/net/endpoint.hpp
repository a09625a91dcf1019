// Opens listening sockets or takes them over, with errors a person can act on. Plain POSIX,
// blocking name resolution: start-up only.
#pragma once

#include <lmcache/status.hpp>

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lmcache::net {

/// The flags that chose an address, for the cure an error names.
struct EndpointFlags {
  std::string host = "--host", port = "--port", path = "--request-socket";
};

/// IPv6 addresses stand in brackets where a port follows, so people write them that way here too.
[[nodiscard]] std::string_view without_brackets(std::string_view host) noexcept;

/// A listening, non-blocking socket. Closes it, and removes the unix socket's file if that is still
/// the one it made.
class ListeningSocket {
 public:
  ListeningSocket(int fd, int family) noexcept : fd_(fd), family_(family) {}
  ListeningSocket(ListeningSocket&& other) noexcept;
  ListeningSocket& operator=(ListeningSocket&&) = delete;
  ~ListeningSocket();

  [[nodiscard]] int family() const noexcept { return family_; }
  [[nodiscard]] int fd() const noexcept { return fd_; }
  /// The caller closes the descriptor from now on; the file stays ours to remove.
  [[nodiscard]] int release_fd() noexcept { return std::exchange(fd_, -1); }

 private:
  friend Result<ListeningSocket> listen_unix(const std::string& path, const EndpointFlags& flags);

  int fd_ = -1;
  int family_ = 0;
  std::string path_;  ///< unix socket's file; empty: none
  dev_t device_ = 0;
  ino_t inode_ = 0;
};

/// What a server is to listen on.
struct Endpoint {
  bool tcp = true;
  std::string host;
  std::uint16_t port = 0;
  std::string path;  ///< unix socket; empty: none
};

struct Listeners {
  std::vector<ListeningSocket> sockets;
  std::uint16_t port = 0;  ///< of TCP, the same for all that were bound here; 0 without
};

/// `passed` where there are any, without a look at `where`; else binds what that says.
[[nodiscard]] Result<Listeners> listen(std::vector<ListeningSocket> passed, const Endpoint& where,
                                       const EndpointFlags& flags = {});

/// Binds every address `host` stands for ("localhost": 127.0.0.1, and ::1 where the machine has it;
/// "*" or "": all interfaces). Port 0: a free one.
[[nodiscard]] Result<Listeners> listen_tcp(const std::string& host, std::uint16_t port,
                                           const EndpointFlags& flags = {});

/// Mode 0660. A socket file on which nobody answers is replaced; anything else at `path` is an
/// error.
[[nodiscard]] Result<ListeningSocket> listen_unix(const std::string& path,
                                                  const EndpointFlags& flags = {});

/// Takes over a socket that another process made listen; its unix socket's file is that process's.
/// On an error, which says what the descriptor is instead ("does not listen"), it is left alone.
[[nodiscard]] Result<ListeningSocket> adopt_listener(int fd);

/// "tcp 127.0.0.1:51234", "tcp [::1]:51234" or "unix": the peer of a connected socket.
[[nodiscard]] std::string peer_name(int fd);

}  // namespace lmcache::net
