// The commands that ask a running server: ping, describe, status, top, kvcache, quota; and doctor,
// which looks at the machine too.
#pragma once

#include <functional>
#include <ostream>
#include <string>
#include <vector>

namespace CLI {  // NOLINT(readability-identifier-naming): the library's name
class App;
}

namespace lmcache::commands {

[[nodiscard]] std::vector<std::string> command_names();
/// Whether `name` is one of them.
[[nodiscard]] bool is_command(const std::string& name);

/// Calls visit with all commands and their options, as CLI11 knows them: for the manual page.
void visit_commands(const std::function<void(const CLI::App&)>& visit);

/// `args` begins with a command's name. Writes the report to `out` and, on failure, one line to
/// `err`. 0: done; 1: the server is unwell, unreachable or refused; 2: the command line is wrong.
[[nodiscard]] int run(const std::vector<std::string>& args, std::ostream& out, std::ostream& err);

}  // namespace lmcache::commands
