// The commands that ask a running server: ping, describe, kvcache, quota; and doctor,
// which looks at the machine too.
#pragma once

#include <ostream>
#include <string>
#include <string_view>
#include <vector>

namespace lmcache::commands {

/// Whether `name` is one of them.
[[nodiscard]] bool is_command(std::string_view name);

/// `args` begins with a command's name. Writes the report to `out` and, on failure, one line to
/// `err`. 0: done; 1: the server is unwell, unreachable or refused; 2: the command line is wrong.
[[nodiscard]] int run(const std::vector<std::string>& args, std::ostream& out, std::ostream& err);

}  // namespace lmcache::commands
