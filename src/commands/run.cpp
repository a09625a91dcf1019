#include "commands/run.hpp"

#include "commands/command_table.hpp"
#include "commands/unknown_word.hpp"
#include "obs/clean_text.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <fstream>

namespace lmcache::commands {
namespace {

constexpr const char* kServerUrl = "http://localhost:8080";
constexpr const char* kEngineUrl = "http://localhost:8000";

Result<Target> target_of(const Given& given) {
  Target target;
  const bool engine = given.what == "engine";
  target.endpoint =
      parse_url(given.url.empty() ? (engine ? kEngineUrl : kServerUrl) : given.url).value();
  target.timeout =
      std::chrono::milliseconds(static_cast<std::int64_t>(given.timeout_seconds * 1000));
  if (given.token_file.empty()) return target;
  std::ifstream file(given.token_file);
  const auto is_printable = [](char c) { return c > 0x20 && c < 0x7f; };
  if (!std::getline(file, target.token) || target.token.empty() ||
      !std::ranges::all_of(target.token, is_printable))
    return Error{Cause::kMalformed, "cannot read a token from --token-file '" + given.token_file +
                                        "'; it must be a readable file with one line of printable "
                                        "characters without spaces"};
  return target;
}

int fail(std::ostream& err, const std::string& name, const std::string& text, int code) {
  err << "lmcache " << name << ": " << obs::clean_text(text, 500) << "\n";
  return code;
}

/// Writes it where it was asked for; false if the file cannot be written.
bool deliver(const Outcome& outcome, const Given& given, std::ostream& out) {
  const std::string& own = given.format == "json" ? outcome.json : outcome.table;
  const std::string text = !own.empty()             ? own
                           : given.format == "json" ? outcome.report.as_json()
                                                    : outcome.report.as_table();
  if (!given.quiet) out << text;
  if (given.output.empty()) return true;
  std::ofstream file(given.output);
  file << text;
  return static_cast<bool>(file.flush());
}

}  // namespace

std::vector<std::string> command_names() {
  std::vector<std::string> names;
  visit_commands([&](const CLI::App& app) {
    for (const CLI::App* command : app.get_subcommands({})) names.push_back(command->get_name());
  });
  return names;
}

bool is_command(const std::string& name) {
  return std::ranges::count(command_names(), name) > 0;
}

int run(const std::vector<std::string>& args, std::ostream& out, std::ostream& err) {
  const std::string& name = args.front();
  Given given;
  given.out = &out;
  Action action;
  CLI::App app("Asks a running LMCache server.", "lmcache");
  declare(app, given, action);
  std::vector<std::string> words(args.rbegin(), args.rend());  // CLI11 takes them from the back
  try {
    if (const std::string mistake = unknown_word(app, args); !mistake.empty())
      return fail(err, name, mistake, 2);
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
  if (!outcome->printed && !deliver(*outcome, given, out))
    return fail(err, name, "cannot write --output '" + given.output + "'", 1);
  return outcome->failure.empty() ? 0 : fail(err, name, outcome->failure, 1);
}

}  // namespace lmcache::commands
