#include "app/man_page.hpp"
#include "app/bench_main.hpp"
#include "app/flag.hpp"
#include "app/help.hpp"
#include "app/roff.hpp"
#include "commands/run.hpp"

#include <lmcache/version.hpp>

#include <CLI/CLI.hpp>

#include <gmock/gmock.h>

namespace lmcache::app {
namespace {

using testing::ContainsRegex;
using testing::HasSubstr;

std::string minus_escaped(const std::string& text) {
  std::string out;
  for (const char c : text) out += c == '-' ? std::string("\\-") : std::string(1, c);
  return out;
}

/// Every command and option below `app` is in the page, each option after its command.
void expect_all(const CLI::App& app, const std::string& path, const std::string& page) {
  const auto commands = app.get_subcommands([](const CLI::App*) { return true; });
  for (const CLI::App* command : commands)
    expect_all(*command, path + " " + command->get_name(), page);
  if (!commands.empty()) return;
  const auto begin = page.find(".SS \"" + path);
  ASSERT_NE(begin, std::string::npos) << path;
  const std::string section = page.substr(begin, page.find(".S", begin + 1) - begin);
  for (const CLI::Option* option : app.get_options()) {
    if (option->check_lname("help")) continue;
    for (const std::string& name : option->get_lnames())
      EXPECT_THAT(section, HasSubstr(minus_escaped("--" + name))) << path;
    EXPECT_NE(option->get_description(), "") << path << " " << option->get_name();
  }
}

TEST(LmcacheMan, HasEveryCommandAndOption) {
  const std::string page = lmcache_man();
  std::size_t apps = 0;
  const auto check = [&](const std::string& path) {
    return [&, path](const CLI::App& app) {
      ++apps;
      expect_all(app, path, page);
    };
  };
  commands::visit_commands(check("lmcache"));
  visit_bench(check("lmcache bench"));
  EXPECT_EQ(apps, 2u);
}

TEST(MainHelp, HasEveryCommand) {
  for (const std::string& name : commands::command_names())
    EXPECT_THAT(main_help(), HasSubstr("\n       lmcache " + name + " "));
}

TEST(LmcacheServerMan, HasEveryFlag) {
  const std::string page = lmcache_server_man();
  for (const FlagGroup& group : server_flags())
    for (const ServerFlag& flag : group.flags)
      EXPECT_THAT(page, HasSubstr(".B \"" + minus_escaped(flag.name)));
  for (const RefusedFlag& flag : refused_flags())
    EXPECT_THAT(page, HasSubstr(minus_escaped(std::string(flag.names.front()))));
}

TEST(ManPage, SaysOfWhichReleaseAndWhen) {
  const std::string version = kVersion;
  for (const std::string& page : {lmcache_man(), lmcache_server_man()})
    EXPECT_THAT(page, ContainsRegex("\n\\.TH \"LMCACHE[^\"]*\" [18] "
                                    "\"20[0-9][0-9]-[01][0-9]-[0-3][0-9]\" "
                                    "\"LMCache server " +
                                    version.substr(0, version.find('+')) + "\" "));
}

TEST(ManPage, TextCannotBeARequest) {
  ManPage page("X", 1, "a \"quote\"");
  page.paragraph(".so /etc/passwd");
  page.paragraph("'quote \\ backslash");
  page.item("-x", "");
  EXPECT_THAT(std::move(page).take(),
              testing::EndsWith(
                  "\"a \\(dqquote\\(dq\"\n.nh\n.ad l\n.PP\n\\&.so /etc/passwd\n.PP\n\\&'quote \\e "
                  "backslash\n.TP\n.B \"\\-x\"\n"));
}

}  // namespace
}  // namespace lmcache::app
