#include "net/options.hpp"

namespace lmcache::net {

NetOptions NetOptions::from(const ServerConfig& config) {
  NetOptions out;
  out.tcp = config.tcp;
  out.host = config.host;
  out.port = config.port;
  out.unix_path = config.request_socket;
  out.io_threads = config.io_threads;
  out.max_message_bytes = config.max_message_bytes;
  out.max_frames = config.max_frames;
  out.max_connections = config.max_connections;
  out.max_unsent_bytes = config.max_unsent_bytes;
  out.max_inflight = config.max_inflight;
  out.handshake_timeout = config.handshake_timeout;
  out.heartbeat_interval = config.heartbeat_interval;
  out.heartbeat_timeout = config.heartbeat_timeout;
  return out;
}

}  // namespace lmcache::net
