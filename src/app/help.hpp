// The flag tables as people read them: --help and docs/SERVER_FLAGS.md.
#pragma once

#include <string>
#include <vector>

namespace lmcache::app {

[[nodiscard]] std::string main_help();
[[nodiscard]] std::string server_help();

/// configs/server.toml and /etc/lmcache/server.toml: every setting, commented out, with its
/// default.
[[nodiscard]] std::string server_toml();

/// The tables of docs/SERVER_FLAGS.md, from the flags themselves; a test keeps the file equal to
/// it.
[[nodiscard]] std::string server_flags_markdown();

/// Every long flag of `lmcache server` that a config file may name, also the refused ones: all but
/// --config and --help.
[[nodiscard]] std::vector<std::string> flag_names();

}  // namespace lmcache::app
