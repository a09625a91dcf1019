// The Stream over a TCP or unix socket. Only what connects sockets includes this.
#pragma once

#include "net/asio_types.hpp"
#include "net/stream.hpp"

#include <memory>

namespace lmcache::net {

[[nodiscard]] std::unique_ptr<Stream> make_socket_stream(Socket socket);

}  // namespace lmcache::net
