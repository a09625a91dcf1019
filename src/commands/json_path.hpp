// Fields of what a server answered, read without trusting that they are there.
#pragma once

#include "commands/report.hpp"

#include <initializer_list>

namespace lmcache::commands {

/// The value at a path of keys; null if there is none.
[[nodiscard]] Json at(const Json& from, std::initializer_list<const char*> path);

/// 0 for what is no number.
[[nodiscard]] double number(const Json& value);

}  // namespace lmcache::commands
