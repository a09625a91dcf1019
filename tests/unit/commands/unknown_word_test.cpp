#include "commands/unknown_word.hpp"

#include <CLI/CLI.hpp>

#include <gtest/gtest.h>

namespace lmcache::commands {
namespace {

TEST(UnknownWord, IsTheFirstCommandOrFlagThatIsNotThere) {
  CLI::App app;
  CLI::App* quota = app.add_subcommand("quota");
  CLI::App* set = quota->add_subcommand("set");
  std::string salt, limit;
  set->add_option("salt", salt);
  set->add_option("--limit-gb", limit);
  const auto of = [&](std::vector<std::string> args) { return unknown_word(app, args); };
  EXPECT_EQ(of({"quota", "set", "drop", "--limit-gb", "1"}), "");
  EXPECT_EQ(of({"quota", "set", "--limit-gb=1", "--", "--salt"}), "");
  EXPECT_EQ(of({"quota", "--help"}), "");
  EXPECT_EQ(of({}), "");
  EXPECT_EQ(of({"quota", "drop", "--foo"}), "unknown command 'drop'; one of set");
  EXPECT_EQ(of({"quota", "set", "--limit=2", "x"}), "unknown flag --limit");
  EXPECT_EQ(of({"quota", "--limit-gb", "2", "set"}), "unknown flag --limit-gb");
}

}  // namespace
}  // namespace lmcache::commands
