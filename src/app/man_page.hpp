// The manual pages, from the same tables as --help; docs/man has them, and a test keeps the files
// equal to these.
#pragma once

#include <string>

namespace lmcache::app {

/// lmcache(1): every command and its options.
[[nodiscard]] std::string lmcache_man();
/// lmcache-server(8): every flag of the daemon.
[[nodiscard]] std::string lmcache_server_man();

}  // namespace lmcache::app
