// A flag of `lmcache server` in words, the same in --help and in the manual page.
#pragma once

#include "app/flag.hpp"

#include <string>

namespace lmcache::app {

/// "--port N", "--http, --no-http".
[[nodiscard]] std::string left_side(const ServerFlag& flag);
/// The default, or "empty".
[[nodiscard]] std::string fallback_of(const ServerFlag& flag);
/// Meaning, default and range.
[[nodiscard]] std::string explain(const ServerFlag& flag);

/// The first names of all refused flags, separated by blanks.
[[nodiscard]] std::string refused_names();

}  // namespace lmcache::app
