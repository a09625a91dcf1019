// From argv, a config file and the environment to a ServerConfig, or to the one line that says why
// not. Pure: prints nothing, reads nothing but the file that --config names.
#pragma once

#include <lmcache/config.hpp>

#include <functional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace lmcache::app {

/// The user asked for something that cannot be had: exit code 2 and what() as one line (printable,
/// no prefix).
struct UsageError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// A variable's value, nullptr when unset. std::getenv, or a test's own.
using Environment = std::function<const char*(const char* name)>;

/// `args` is what follows `lmcache server`, without --help. Command line over config file over
/// environment over default. Throws UsageError.
[[nodiscard]] ServerConfig parse_server_flags(const std::vector<std::string>& args,
                                              const Environment& environment);

/// What `lmcache ARGS...` is to do.
struct Invocation {
  enum class Action { kExit, kServe, kBench, kCommand } action = Action::kExit;
  int exit_code = 0;
  std::string out;                        ///< for stdout
  std::string err;                        ///< for stderr
  ServerConfig config;                    ///< for kServe
  std::vector<std::string> args = {};     ///< for kBench: what follows
  std::vector<std::string> command = {};  ///< for kCommand: its name and arguments
};

/// `args` is argv without the program's name. Does not throw UsageError: exit_code and err say it.
[[nodiscard]] Invocation parse_command_line(const std::vector<std::string>& args,
                                            const Environment& environment);

}  // namespace lmcache::app
