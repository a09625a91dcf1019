#pragma once

#include "app/passed_sockets.hpp"

#include <lmcache/config.hpp>

namespace lmcache::app {

/// Runs the daemon from start to stop and returns the exit code: 0 after an orderly stop, 1 when
/// the deadline cut it short or a second signal did. Signals are the caller's (early_signals.hpp)
/// until the server is about to listen. Start-up that fails (a busy port, an L1 larger
/// than memory) throws std::exception whose text is one line with the cause and the cure; main()
/// prints it and exits 1. Logging is set up and config.instance_id is filled in by the caller.
/// `passed` sockets are served on instead of binding any for that purpose.
[[nodiscard]] int run_server(const ServerConfig& config, PassedSockets passed);

}  // namespace lmcache::app
