#include "commands/command_table.hpp"

#include <lmcache/version.hpp>

#include <CLI/CLI.hpp>

#include <charconv>
#include <cmath>

namespace lmcache::commands {
namespace {

/// How to reach the server, and in which form to say what it said.
void add_target(CLI::App& app, Given& given) {
  app.add_option("--url", given.url,
                 "admin HTTP of the server, http://HOST:PORT or unix:/PATH "
                 "(default http://localhost:8080)")
      ->check([](const std::string& url) {
        const auto endpoint = parse_url(url);
        return endpoint ? std::string() : endpoint.error().text;
      });
  app.add_option("--format", given.format, "terminal or json")
      ->check(CLI::IsMember({"terminal", "json"}));
  app.add_option("--token-file", given.token_file, "file whose first line is the bearer token");
  app.add_option("--timeout-seconds", given.timeout_seconds, "time to wait for the answer")
      ->check(CLI::Range(0.1, 3600.0));
}

/// What becomes of a report.
void add_delivery(CLI::App& app, Given& given) {
  app.add_option("--output", given.output, "also write the report to this file");
  app.add_flag("-q,--quiet", given.quiet, "print nothing; the exit code tells");
}

/// What is wrong with a limit; how much is too much is the server's to say.
std::string limit_error(const std::string& text) {
  double value = 0;
  const char* end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, value);
  if (read.ec == std::errc{} && read.ptr == end && std::isfinite(value) && value >= 0) return "";
  return "'" + text + "' is not allowed; allowed: a number, 0 or more";
}

void declare_top(CLI::App* command, TopOptions& options) {
  command->add_option("--interval-seconds", options.interval_seconds, "time between two looks")
      ->check(CLI::Range(0.1, 3600.0))
      ->capture_default_str();
  command->add_option("--iterations", options.iterations, "intervals to show; 0: until Ctrl-C")
      ->capture_default_str();
  command->add_flag("--once", options.once, "one interval as plain text, also on a terminal");
}

}  // namespace

void declare(CLI::App& app, Given& given, Action& action) {
  app.require_subcommand(1);
  const auto asking = [&](CLI::App* parent, const char* name, const char* help, Action does) {
    CLI::App* command = parent->add_subcommand(name, help);
    add_target(*command, given);
    command->final_callback([&action, does = std::move(does)] { action = does; });
    return command;
  };
  const auto leaf = [&](CLI::App* parent, const char* name, const char* help, Action does) {
    CLI::App* command = asking(parent, name, help, std::move(does));
    add_delivery(*command, given);
    return command;
  };
  leaf(&app, "ping", "Whether a server or an engine is alive",
       [&](const Target& target) { return ping(target, given.what == "engine"); })
      ->add_option("target", given.what, "kvcache or engine")
      ->required()
      ->check(CLI::IsMember({"kvcache", "engine"}));
  leaf(&app, "describe", "The cache, its models and their KV layouts",
       [](const Target& target) { return describe(target); })
      ->add_option("target", given.what, "kvcache")
      ->required()
      ->check(CLI::IsMember({"kvcache"}));

  leaf(&app, "status", "What the server says of itself; all of it with --format json",
       [](const Target& target) { return status(target); });
  declare_top(asking(&app, "top", "What a server is doing, renewed at intervals",
                     [&](const Target& target) {
                       given.top.json = given.format == "json";
                       return top(target, given.top, *given.out);
                     }),
              given.top);

  CLI::App* kvcache = app.add_subcommand("kvcache", "Clear or list what is cached");
  kvcache->require_subcommand(1);
  leaf(kvcache, "clear", "Drop everything that is not leased", [&](const Target& target) {
    return clear(target, given.force);
  })->add_flag("--force", given.force, "drop leased chunks too");
  CLI::App* list = leaf(kvcache, "list", "List resident objects", [&](const Target& target) {
    return list_objects(target, given.model, given.limit);
  });
  list->add_option("--model", given.model, "of this model only");
  list->add_option("--limit", given.limit, "at most so many (default 1000)")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1'000'000'000}));

  CLI::App* quota = app.add_subcommand("quota", "Limits per cache_salt");
  quota->require_subcommand(1);
  const auto of_salt = [&](const char* name, const char* help, Action does) {
    CLI::App* command = leaf(quota, name, help, std::move(does));
    command->add_option("salt", given.salt, "the cache_salt; _default is the empty one")
        ->required();
    return command;
  };
  of_salt("set", "Set a limit",
          [&](const Target& target) { return set_quota(target, given.salt, given.limit_gb); })
      ->add_option("--limit-gb", given.limit_gb, "GiB, 0 or more")
      ->required()
      ->check(limit_error);
  of_salt("get", "Show a limit and its use",
          [&](const Target& target) { return get_quota(target, given.salt); });
  of_salt("delete", "Take a limit away",
          [&](const Target& target) { return delete_quota(target, given.salt); });
  CLI::App* check = leaf(&app, "doctor", "What is wrong on this machine, and the cure",
                         [&](const Target& target) {
                           given.plan.own_version = kVersion;
                           given.plan.own_cuda = LMCACHE_CUDA_MAJOR;
                           return doctor(target, given.plan);
                         });
  check->add_option("--l1-size-gb", given.plan.l1_gib, "size L1 is to have")
      ->check(CLI::Range(0.001, 65536.0));
  check->add_option("--port", given.plan.request_port, "request port it is to have")
      ->check(CLI::Range(0u, 65535u));
  check->add_option("--http-port", given.plan.http_port, "admin port it is to have")
      ->check(CLI::Range(0u, 65535u));

  leaf(quota, "list", "Show all limits", [](const Target& target) { return list_quotas(target); });
}

void visit_commands(const std::function<void(const CLI::App&)>& visit) {
  Given given;
  Action action;
  CLI::App app("Asks a running LMCache server.", "lmcache");
  declare(app, given, action);
  visit(app);
}

}  // namespace lmcache::commands
