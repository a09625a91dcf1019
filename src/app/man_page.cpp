#include "app/man_page.hpp"

#include "app/bench_main.hpp"
#include "app/flag_text.hpp"
#include "app/roff.hpp"
#include "commands/run.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <vector>

namespace lmcache::app {
namespace {

/// Whoever asks for help has found it.
bool is_help(const CLI::Option& option) {
  return option.check_lname("help");
}

std::string head_of(const CLI::Option& option) {
  if (option.get_positional()) return option.get_name(true, false);
  const std::string type = option.get_type_name();  // "FLOAT:FLOAT in [0.1 - 3600]"
  const bool takes_value = option.get_items_expected_max() > 0;
  return option.get_name(false, true) + (takes_value ? " " + type.substr(0, type.find(':')) : "");
}

/// What it means, and its range and default where it has them.
std::string text_of(const CLI::Option& option) {
  const std::string type = option.get_type_name(), &fallback = option.get_default_str();
  std::string out = option.get_description();
  if (const auto range = type.find('['); range != std::string::npos)
    out.append(" ").append(type.substr(range));
  if (!fallback.empty()) out.append(" (default ").append(fallback).append(")");
  return out;
}

/// "lmcache quota set salt [OPTIONS]", with what must be given.
std::string synopsis(const CLI::App& command, const std::string& path) {
  std::string out = path;
  for (const CLI::Option* option : command.get_options())
    if (option->get_positional())
      out += " " + (option->get_required() ? option->get_name(true, false)
                                           : "[" + option->get_name(true, false) + "]");
  return out + " [OPTIONS]";
}

/// A command without commands of its own is described, others lead to theirs.
void add_commands(ManPage& page, const CLI::App& app, const std::string& path) {
  const auto commands = app.get_subcommands([](const CLI::App*) { return true; });
  for (const CLI::App* command : commands)
    add_commands(page, *command, path + " " + command->get_name());
  if (!commands.empty()) return;
  page.subsection(synopsis(app, path));
  page.paragraph(app.get_description() + ".");
  for (const CLI::Option* option : app.get_options())
    if (!is_help(*option)) page.item(head_of(*option), text_of(*option));
}

void add_exit_status(ManPage& page, std::string_view one) {
  page.section("EXIT STATUS");
  page.item("0", "It is done.");
  page.item("1", one);
  page.item(
      "2",
      "The command line or a file that it names is wrong; one line on standard error says how.");
}

}  // namespace

std::string lmcache_man() {
  ManPage page("LMCACHE", 1, "User commands");
  page.section("NAME");
  page.paragraph("lmcache - runs the KV-cache daemon, asks a running one, and measures it");
  page.section("SYNOPSIS");
  page.command("lmcache COMMAND [OPTIONS]");
  page.command("lmcache --help | --version");
  page.section("DESCRIPTION");
  page.paragraph(
      "LLM engines share one cache of KV blocks on a machine, which lmcache server keeps; its "
      "flags are in lmcache-server(8). The other commands ask a running server over its admin "
      "HTTP, look at the machine, or measure. Each prints its options with --help.");
  page.section("COMMANDS");
  page.subsection("lmcache server [FLAGS]");
  page.paragraph("Runs the daemon: see lmcache-server(8).");
  commands::visit_commands([&](const CLI::App& app) { add_commands(page, app, "lmcache"); });
  visit_bench([&](const CLI::App& app) { add_commands(page, app, "lmcache bench"); });
  add_exit_status(page,
                  "The server is unwell, cannot be reached or refuses, or what was asked for "
                  "failed; one line on standard error says how.");
  page.section("SEE ALSO");
  page.paragraph("lmcache-server(8)");
  return std::move(page).take();
}

std::string lmcache_server_man() {
  ManPage page("LMCACHE-SERVER", 8, "System administration");
  page.section("NAME");
  page.paragraph("lmcache-server - the KV-cache daemon for LLM engines");
  page.section("SYNOPSIS");
  page.command("lmcache server [FLAGS]");
  page.section("DESCRIPTION");
  page.paragraph(
      "Serves the LMCache multiprocess protocol on tcp://localhost:5555 and its admin HTTP on "
      "http://127.0.0.1:8080 until SIGTERM or SIGINT, and logs to standard error. It works without "
      "any flag. The protocol has no authentication: keep it on a loopback address, a unix socket "
      "or a trusted network.");
  page.paragraph(
      "A flag wins over the config file, that over the environment, that over the default. Where a "
      "flag is given more than once, the last one counts.");
  page.section("FLAGS");
  page.item("--config FILE",
            "TOML file whose keys are flag names without the dashes; unknown keys are errors");
  page.item("--print-config", "print such a file, with every setting, its meaning and its default");
  page.item("--help", "print the flags");
  for (const FlagGroup& group : server_flags()) {
    page.subsection(group.title);
    for (const ServerFlag& flag : group.flags) page.item(left_side(flag), explain(flag));
  }
  page.subsection("Refused");
  page.paragraph(
      "Flags of the Python server whose feature does not exist here are refused with the reason: " +
      refused_names());
  page.section("ENVIRONMENT");
  page.item("LMCACHE_LOG_LEVEL", "The default of --log-level.");
  page.section("SIGNALS");
  page.item(
      "SIGTERM, SIGINT",
      "Finish what is in flight and stop; a second one stops at once. While starting: exit at "
      "once with 0.");
  page.item("SIGHUP",
            "Open the file of --log-file anew, after it was moved away. While starting: as soon as "
            "the server serves.");
  page.section("FILES");
  page.item("/etc/lmcache/server.toml", "Settings of the packaged service.");
  add_exit_status(page, "It could not start, or what was in flight did not end in time.");
  page.section("SEE ALSO");
  page.paragraph("lmcache(1), systemctl(1)");
  return std::move(page).take();
}

}  // namespace lmcache::app
