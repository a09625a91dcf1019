// The vocabulary of the two flag tables: flags that act (server_flags.cpp) and flags that are
// refused (refused_flags.cpp).
#pragma once

#include <lmcache/config.hpp>

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lmcache::app {

/// What the command line said before defaults that follow other flags are filled in.
struct Draft {
  ServerConfig config;
  std::optional<unsigned> max_gpu_workers, max_cpu_workers;  ///< absent: follow config.max_workers
  bool observability = true;  ///< false: neither metrics nor a log of failed requests
};

/// Outcome of giving a flag a value: accepted, or not in the allowed range, or refused for a reason
/// of its own.
struct Refusal {
  std::string reason;  ///< empty: say the allowed range
};

/// One flag that acts.
struct ServerFlag {
  std::string name;      ///< "--port"
  std::string negation;  ///< "--no-..." for switches that have one
  std::string value;     ///< placeholder in the help; empty: a switch
  std::string allowed;   ///< range as a person reads it; empty for switches
  std::string fallback;  ///< default as a person reads it
  std::string help;
  std::function<std::optional<Refusal>(Draft&, const std::string&)>
      set;  ///< switches get "true" or "false"
};

struct FlagGroup {
  std::string title;
  std::vector<ServerFlag> flags;
};

/// Every flag of `lmcache server` that acts, in the order of --help.
[[nodiscard]] const std::vector<FlagGroup>& server_flags();

/// One flag (or a few that belong together) of the reference that this server knows and refuses.
struct RefusedFlag {
  std::vector<std::string_view> names;
  std::string_view fallback;  ///< the reference's default, for the documentation
  std::string_view reason;    ///< completes "--x is not supported: "
  /// The value that asks for what this server does anyway, and is therefore accepted.
  std::optional<std::string_view> harmless = std::nullopt;
};

[[nodiscard]] const std::vector<RefusedFlag>& refused_flags();

/// Environment variables that the reference reads for features this server does not have.
struct RefusedVariable {
  std::string_view name;
  std::string_view reason;
  bool is_switch = false;  ///< only 1, true and yes ask for the feature
};

[[nodiscard]] const std::vector<RefusedVariable>& refused_variables();

}  // namespace lmcache::app
