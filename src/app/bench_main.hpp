// `lmcache bench trace` and `lmcache bench eviction`: the offline simulator's command line.
#pragma once

#include <string>
#include <vector>

namespace lmcache::app {

/// `args` is what follows `lmcache bench`. Prints to stdout and stderr; the exit code: 0, 1 for a
/// failure while running (a file, memory), 2 for a wrong command line.
[[nodiscard]] int run_bench(const std::vector<std::string>& args);

}  // namespace lmcache::app
