#include "app/bench_main.hpp"

#include "app/bench_command.hpp"
#include "app/cli.hpp"
#include "commands/unknown_word.hpp"
#include "obs/clean_text.hpp"

#include <cstdio>

namespace lmcache::app {
namespace {

/// The commands and the command line they share.
class BenchCommandLine {
 public:
  BenchCommandLine() {
    app_.require_subcommand(1);
    add("trace", "write a seeded request trace", make_bench_trace());
    add("eviction", "run eviction policies over a request trace", make_bench_eviction());
    add("server", "load one server, or two in turn, and check what comes back",
        make_bench_server());
  }
  BenchCommandLine(const BenchCommandLine&) = delete;
  BenchCommandLine& operator=(const BenchCommandLine&) = delete;

  [[nodiscard]] CLI::App& app() { return app_; }
  /// The one that was given. Pre: parsing has succeeded.
  [[nodiscard]] BenchCommand& chosen() {
    for (const auto& [app, command] : commands_)
      if (app->parsed()) return *command;
    throw std::logic_error("no command was given");
  }

 private:
  void add(const char* name, const char* help, std::unique_ptr<BenchCommand> command) {
    CLI::App* app = app_.add_subcommand(name, help);
    command->add_flags(*app);
    commands_.emplace_back(app, std::move(command));
  }

  CLI::App app_{"measurements", "lmcache bench"};
  std::vector<std::pair<CLI::App*, std::unique_ptr<BenchCommand>>> commands_;
};

int fail(int code, const char* text) {
  std::fprintf(stderr, "lmcache bench: %s\n", obs::clean_text(text, 500).c_str());
  return code;
}

}  // namespace

int run_bench(const std::vector<std::string>& args) {
  BenchCommandLine line;
  CLI::App& app = line.app();
  try {
    if (const std::string mistake = commands::unknown_word(app, args); !mistake.empty())
      return fail(2, mistake.c_str());
    app.parse(std::vector<std::string>(args.rbegin(), args.rend()));
  } catch (const CLI::CallForHelp&) {
    const auto given = app.get_subcommands();
    const CLI::App* shown = given.empty() ? &app : given.front();
    std::fputs(shown->help(shown == &app ? "" : app.get_name()).c_str(), stdout);
    return 0;
  } catch (const CLI::ParseError& error) {
    return fail(2, error.what());
  }
  try {
    return line.chosen().run();
  } catch (const UsageError& error) {
    return fail(2, error.what());
  } catch (const std::exception& error) {
    return fail(1, error.what());
  }
}

void visit_bench(const std::function<void(const CLI::App&)>& visit) {
  BenchCommandLine line;
  visit(line.app());
}

}  // namespace lmcache::app
