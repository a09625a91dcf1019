#include "app/cli.hpp"
#include "app/help.hpp"
#include "app/suggest.hpp"
#include "commands/run.hpp"
#include "obs/clean_text.hpp"

#include <algorithm>
#include <array>
#include <lmcache/version.hpp>

namespace lmcache::app {
namespace {

Invocation prints(std::string text) {
  return {Invocation::Action::kExit, 0, std::move(text), "", {}, {}};
}

Invocation usage_error(const std::string& command, const std::string& text) {
  return {
      Invocation::Action::kExit, 2, "", command + ": " + obs::clean_text(text, 500) + "\n", {}, {}};
}

bool asks_for_help(const std::vector<std::string>& args) {
  return std::any_of(args.begin(), args.end(),
                     [](const std::string& arg) { return arg == "--help" || arg == "-h"; });
}

/// Subcommands of the reference's command line tool that do not exist here.
constexpr std::array<std::string_view, 5> kOtherCommands{"query", "trace", "coordinator", "tool",
                                                         "mock"};

}  // namespace

Invocation parse_command_line(const std::vector<std::string>& args,
                              const Environment& environment) {
  if (args.empty()) return {Invocation::Action::kExit, 2, "", main_help(), {}, {}};
  const std::string& first = args.front();
  if (first == "--version" || first == "-V") {
    return prints("lmcache " + std::string(kVersion) + "\n");
  }
  if (first == "--help" || first == "-h" || first == "help") return prints(main_help());
  if (first == "bench")
    return {Invocation::Action::kBench, 0, "", "", {}, {args.begin() + 1, args.end()}, {}};
  if (commands::is_command(first)) {
    Invocation invocation{Invocation::Action::kCommand, 0, "", "", {}, {}, {}};
    invocation.command = args;
    return invocation;
  }
  if (first != "server") {
    if (std::find(kOtherCommands.begin(), kOtherCommands.end(), first) != kOtherCommands.end()) {
      return usage_error(
          "lmcache",
          first + " is not supported: that command of the Python package does not exist here");
    }
    std::vector<std::string> known = commands::command_names();
    known.insert(known.end(), {"server", "bench", "--help", "--version"});
    return usage_error("lmcache", "unknown command '" + first + "'" + did_you_mean(first, known));
  }
  const std::vector<std::string> rest(args.begin() + 1, args.end());
  if (asks_for_help(rest)) return prints(server_help());
  if (rest == std::vector<std::string>{"--print-config"}) return prints(server_toml());
  try {
    return {Invocation::Action::kServe, 0, "", "", parse_server_flags(rest, environment), {}, {}};
  } catch (const UsageError& error) {
    return usage_error("lmcache server", error.what());
  }
}

}  // namespace lmcache::app
