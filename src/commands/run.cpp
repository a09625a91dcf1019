#include "commands/run.hpp"

#include "commands/command.hpp"
#include "obs/clean_text.hpp"

#include <lmcache/version.hpp>

#include <CLI/CLI.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <fstream>
#include <functional>
#include <optional>

namespace lmcache::commands {
namespace {

constexpr std::array<std::string_view, 5> kCommands{"ping", "describe", "kvcache", "quota",
                                                    "doctor"};
constexpr const char* kServerUrl = "http://localhost:8080";
constexpr const char* kEngineUrl = "http://localhost:8000";

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
};

using Action = std::function<Result<Outcome>(const Target&)>;

void add_common(CLI::App& app, Given& given) {
  app.add_option("--url", given.url,
                 "admin HTTP of the server, http://HOST:PORT or unix:/PATH "
                 "(default http://localhost:8080)");
  app.add_option("--format", given.format, "terminal or json")
      ->check(CLI::IsMember({"terminal", "json"}));
  app.add_option("--output", given.output, "also write the report to this file");
  app.add_option("--token-file", given.token_file, "file whose first line is the bearer token");
  app.add_option("--timeout-seconds", given.timeout_seconds, "time to wait for the answer")
      ->check(CLI::Range(0.1, 3600.0));
  app.add_flag("-q,--quiet", given.quiet, "print nothing; the exit code tells");
}

/// Declares every command; the one that was given sets `action`.
void declare(CLI::App& app, Given& given, Action& action) {
  app.require_subcommand(1);
  const auto leaf = [&](CLI::App* parent, const char* name, const char* help, Action does) {
    CLI::App* command = parent->add_subcommand(name, help);
    add_common(*command, given);
    command->final_callback([&action, does = std::move(does)] { action = does; });
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

  CLI::App* kvcache = app.add_subcommand("kvcache", "Clear or list what is cached");
  kvcache->require_subcommand(1);
  leaf(kvcache, "clear", "Drop everything that is not leased", [&](const Target& target) {
    return clear(target, given.force);
  })->add_flag("--force", given.force, "drop leased chunks too");
  CLI::App* list = leaf(kvcache, "list", "List resident objects", [&](const Target& target) {
    return list_objects(target, given.model, given.limit);
  });
  list->add_option("--model", given.model, "of this model only");
  list->add_option("--limit", given.limit, "at most so many (default 1000)");

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
      ->check(CLI::NonNegativeNumber);
  of_salt("get", "Show a limit and its use",
          [&](const Target& target) { return get_quota(target, given.salt); });
  of_salt("delete", "Take a limit away",
          [&](const Target& target) { return delete_quota(target, given.salt); });
  CLI::App* check = leaf(&app, "doctor", "What is wrong on this machine, and the cure",
                         [&](const Target& target) {
                           given.plan.own_version = kVersion;
                           return doctor(target, given.plan);
                         });
  check->add_option("--l1-size-gb", given.plan.l1_gib, "size L1 is to have")
      ->check(CLI::Range(0.001, 65536.0));
  check->add_option("--port", given.plan.request_port, "request port it is to have");
  check->add_option("--http-port", given.plan.http_port, "admin port it is to have");

  leaf(quota, "list", "Show all limits", [](const Target& target) { return list_quotas(target); });
}

Result<Target> target_of(const Given& given) {
  Target target;
  const bool engine = given.what == "engine";
  auto endpoint = parse_url(given.url.empty() ? (engine ? kEngineUrl : kServerUrl) : given.url);
  if (!endpoint) return endpoint.error();
  target.endpoint = std::move(*endpoint);
  target.timeout =
      std::chrono::milliseconds(static_cast<std::int64_t>(given.timeout_seconds * 1000));
  if (given.token_file.empty()) return target;
  std::ifstream file(given.token_file);
  if (!std::getline(file, target.token) || target.token.empty())
    return Error{Cause::kMalformed, "cannot read a token from --token-file '" + given.token_file +
                                        "'; it must be a readable file with one line"};
  return target;
}

int fail(std::ostream& err, const std::string& name, const std::string& text, int code) {
  err << "lmcache " << name << ": " << obs::clean_text(text, 500) << "\n";
  return code;
}

/// Writes it where it was asked for; false if the file cannot be written.
bool deliver(const Outcome& outcome, const Given& given, std::ostream& out) {
  const std::string text = given.format == "json"   ? outcome.report.as_json()
                           : !outcome.table.empty() ? outcome.table
                                                    : outcome.report.as_table();
  if (!given.quiet) out << text;
  if (given.output.empty()) return true;
  std::ofstream file(given.output);
  file << text;
  return static_cast<bool>(file.flush());
}

}  // namespace

bool is_command(std::string_view name) {
  return std::ranges::find(kCommands, name) != kCommands.end();
}

int run(const std::vector<std::string>& args, std::ostream& out, std::ostream& err) {
  const std::string& name = args.front();
  Given given;
  Action action;
  CLI::App app("Asks a running LMCache server.", "lmcache");
  declare(app, given, action);
  std::vector<std::string> words(args.rbegin(), args.rend());  // CLI11 takes them from the back
  try {
    app.parse(std::move(words));
  } catch (const CLI::CallForHelp& help) {
    app.exit(help, out, err);
    return 0;
  } catch (const CLI::ParseError& error) {
    return fail(err, name, error.what(), 2);
  }
  const auto target = target_of(given);
  if (!target) return fail(err, name, target.error().text, 2);
  const auto outcome = action(*target);
  if (!outcome) return fail(err, name, outcome.error().text, 1);
  if (!deliver(*outcome, given, out))
    return fail(err, name, "cannot write --output '" + given.output + "'", 1);
  return outcome->failure.empty() ? 0 : fail(err, name, outcome->failure, 1);
}

}  // namespace lmcache::commands
