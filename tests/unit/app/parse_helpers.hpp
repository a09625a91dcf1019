// Short ways to run the command line in a test.
#pragma once

#include "app/cli.hpp"

#include <map>
#include <string>
#include <vector>

namespace lmcache::app {

using Variables = std::map<std::string, std::string>;

inline Environment environment_of(const Variables& variables) {
  return [variables](const char* name) -> const char* {
    const auto found = variables.find(name);
    return found == variables.end() ? nullptr : found->second.c_str();
  };
}

inline ServerConfig parse(const std::vector<std::string>& args, const Variables& variables = {}) {
  return parse_server_flags(args, environment_of(variables));
}

/// The one line of complaint, or "accepted".
inline std::string complaint(const std::vector<std::string>& args,
                             const Variables& variables = {}) {
  try {
    static_cast<void>(parse(args, variables));
  } catch (const UsageError& error) {
    return error.what();
  }
  return "accepted";
}

}  // namespace lmcache::app
