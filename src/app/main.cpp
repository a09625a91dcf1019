#include "app/bench_main.hpp"
#include "app/cli.hpp"
#include "app/early_signals.hpp"
#include "app/heap.hpp"
#include "app/host.hpp"
#include "app/passed_sockets.hpp"
#include "app/server_main.hpp"
#include "commands/run.hpp"
#include "obs/clean_text.hpp"
#include "obs/log.hpp"

#include <boost/uuid/random_generator.hpp>
#include <boost/uuid/uuid_io.hpp>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <iostream>
#include <stdexcept>
#include <string_view>
#include <utility>

namespace {

using namespace lmcache;

void warn_of_open_addresses(const ServerConfig& config) {
  if (config.tcp && !app::is_loopback_host(config.host)) {
    obs::warn_at_every_level(
        "the protocol has no authentication: whoever reaches this address can read and "
        "change the cache; bind a loopback address or a trusted network",
        {{"host", config.host}});
  }
  if (config.http && config.http_tcp && config.http_token_file.empty() &&
      !app::is_loopback_host(config.http_host)) {
    obs::warn_at_every_level(
        "the admin HTTP asks for no token: whoever reaches this address can read its "
        "state and clear the cache; bind a loopback address or give --http-token-file",
        {{"http_host", config.http_host}});
  }
}

int serve(ServerConfig config) {
  app::keep_freed_memory();
  const Status logging = obs::setup_logging({obs::parse_level(config.log_level).value(),
                                             obs::parse_log_format(config.log_format).value(),
                                             config.request_logging, config.log_file});
  if (!logging) throw std::runtime_error(logging.error().text);
  if (config.instance_id.empty()) {
    config.instance_id = to_string(boost::uuids::random_generator()());
  }
  app::PassedSockets passed = app::take_passed_sockets(config);
  warn_of_open_addresses(config);
  return app::run_server(config, std::move(passed));
}

/// After what was logged, and not at all where stderr would hold up the end.
int failed(const char* text, int code) {
  if (obs::finish_log())
    std::fprintf(stderr, "lmcache server: %s\n", obs::clean_text(text, 500).c_str());
  return code;
}

int run(app::Invocation& invocation) {
  std::fputs(invocation.out.c_str(), stdout);
  std::fputs(invocation.err.c_str(), stderr);
  if (invocation.action == app::Invocation::Action::kBench) return app::run_bench(invocation.args);
  if (invocation.action == app::Invocation::Action::kExit) return invocation.exit_code;
  if (invocation.action == app::Invocation::Action::kCommand)
    return commands::run(invocation.command, std::cout, std::cerr);
  return serve(std::move(invocation.config));
}

/// The exit code of a command that would have this one: whoever asked for output that could not be
/// written (a full disk) must not take it for whole. std::cout goes through stdout too.
int after_output(int code) {
  errno = 0;
  const bool failed = std::fflush(stdout) != 0 || std::ferror(stdout) != 0;
  if (!failed || code != 0) return code;
  std::fprintf(stderr, "lmcache: cannot write to stdout: %s\n",
               errno != 0 ? std::strerror(errno) : "some of it failed");
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  // Before anything that may take time; the other commands have their own ways with signals.
  if (argc > 1 && std::string_view(argv[1]) == "server") app::obey_early_signals();
  try {
    const std::vector<std::string> args(argv + 1, argv + argc);
    auto invocation =
        app::parse_command_line(args, [](const char* name) { return std::getenv(name); });
    return after_output(run(invocation));
  } catch (const app::UsageError& error) {
    return failed(error.what(), 2);
  } catch (const std::exception& error) {
    return failed(error.what(), 1);
  }
}
