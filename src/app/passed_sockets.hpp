// Sockets that the service manager opened for this process (systemd's socket activation). They stay
// open while the server restarts, so that a connection attempt waits instead of being refused.
#pragma once

#include "net/endpoint.hpp"

#include <lmcache/config.hpp>

#include <vector>

namespace lmcache::app {

struct PassedSockets {
  std::vector<net::ListeningSocket> request, http;
};

/// Takes over what $LISTEN_FDS, $LISTEN_PID and $LISTEN_FDNAMES speak of: descriptors from 3 on,
/// for the admin HTTP if named "http", else for requests. `config` then says where they listen.
/// None if the variables are unset or mean another process. Throws std::runtime_error, one line,
/// where they are wrong, a descriptor is no listening stream socket, or flags contradict. Start-up
/// only.
[[nodiscard]] PassedSockets take_passed_sockets(ServerConfig& config);

}  // namespace lmcache::app
