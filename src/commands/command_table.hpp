// The command line of the commands, declared once for parsing, suggestions and the manual page.
// Internal to src/commands, but for visit_commands() in run.hpp.
#pragma once

#include "commands/command.hpp"
#include "commands/run.hpp"

#include <functional>
#include <string>

namespace lmcache::commands {

/// What the flags said; filled by CLI11 while it parses.
struct Given {
  std::string url, format = "terminal", output, token_file;
  double timeout_seconds = 10;
  bool quiet = false;
  // Of one command each
  std::string what, salt, model;
  double limit_gb = 0;
  std::uint64_t limit = 1000;
  bool force = false;
  Plan plan;
  TopOptions top;
  std::ostream* out = nullptr;  ///< for what is written before the command has ended
};

using Action = std::function<Result<Outcome>(const Target&)>;

/// Declares every command; the one that was given sets `action`. `given` and `action` outlive
/// `app`'s use.
void declare(CLI::App& app, Given& given, Action& action);

}  // namespace lmcache::commands
