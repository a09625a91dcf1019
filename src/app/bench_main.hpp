// `lmcache bench trace`, `eviction` and `server`: their command line.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace CLI {  // NOLINT(readability-identifier-naming): the library's name
class App;
}

namespace lmcache::app {

/// `args` is what follows `lmcache bench`. Prints to stdout and stderr; the exit code: 0, 1 for a
/// failure while running (a file, memory, a server, bytes that came back wrong), 2 for a wrong
/// command line.
[[nodiscard]] int run_bench(const std::vector<std::string>& args);

/// Calls visit with the commands and their options, as CLI11 knows them: for the manual page.
void visit_bench(const std::function<void(const CLI::App&)>& visit);

}  // namespace lmcache::app
