#include "app/flag.hpp"
#include "unit/app/parse_helpers.hpp"

#include <gmock/gmock.h>
#include <lmcache/version.hpp>

namespace lmcache::app {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

Invocation invoke(const std::vector<std::string>& args) {
  return parse_command_line(args, environment_of({}));
}

TEST(CommandLine, ServerServes) {
  const Invocation invocation = invoke({"server", "--port", "7"});
  EXPECT_EQ(invocation.action, Invocation::Action::kServe);
  EXPECT_EQ(invocation.config.port, 7);
  EXPECT_EQ(invocation.out + invocation.err, "");
}

TEST(CommandLine, VersionIsTheBuilds) {
  EXPECT_EQ(invoke({"--version"}).out, std::string("lmcache ") + kVersion + "\n");
  EXPECT_EQ(invoke({"--version"}).exit_code, 0);
}

TEST(CommandLine, WithoutACommandIsHelpOnStderrAndTwo) {
  const Invocation invocation = invoke({});
  EXPECT_EQ(invocation.exit_code, 2);
  EXPECT_THAT(invocation.err, HasSubstr("lmcache server"));
  EXPECT_EQ(invocation.out, "");
}

TEST(CommandLine, HelpIsOnStdoutAndZero) {
  for (const auto& args :
       std::vector<std::vector<std::string>>{{"--help"},
                                             {"-h"},
                                             {"server", "--help"},
                                             {"server", "-h"},
                                             {"server", "--port", "bad", "--help"}}) {
    const Invocation invocation = invoke(args);
    EXPECT_EQ(invocation.action, Invocation::Action::kExit);
    EXPECT_EQ(invocation.exit_code, 0);
    EXPECT_THAT(invocation.out, StartsWith("usage: lmcache server"));
  }
}

TEST(CommandLine, ServerHelpNamesEveryFlagUnderItsGroup) {
  const std::string help = invoke({"server", "--help"}).out;
  for (const FlagGroup& group : server_flags()) {
    EXPECT_THAT(help, HasSubstr("\n" + group.title + "\n"));
    for (const ServerFlag& flag : group.flags) {
      EXPECT_THAT(help, HasSubstr("\n  " + flag.name));
      EXPECT_FALSE(flag.help.empty());
    }
  }
  for (const RefusedFlag& flag : refused_flags())
    EXPECT_THAT(help, HasSubstr(std::string(flag.names.front())));
  EXPECT_THAT(help, HasSubstr("--config FILE"));
}

TEST(CommandLine, MistakesAreOneLineAndTwo) {
  for (const auto& args :
       std::vector<std::vector<std::string>>{{"serve"},
                                             {"query"},
                                             {"--verison"},
                                             {"a\nb"},
                                             {"server", "--prot"},
                                             {"server", "--port", "x\ny"},
                                             {"server", "--otlp-endpoint", "http://c:4317"}}) {
    const Invocation invocation = invoke(args);
    EXPECT_EQ(invocation.action, Invocation::Action::kExit);
    EXPECT_EQ(invocation.exit_code, 2);
    EXPECT_EQ(std::count(invocation.err.begin(), invocation.err.end(), '\n'), 1) << invocation.err;
    EXPECT_THAT(invocation.err, EndsWith("\n"));
    EXPECT_THAT(invocation.err,
                StartsWith(args.front() == "server" ? "lmcache server: " : "lmcache: "));
    EXPECT_EQ(invocation.out, "");
  }
}

TEST(CommandLine, UnknownCommandsGetASuggestion) {
  EXPECT_EQ(invoke({"sever"}).err, "lmcache: unknown command 'sever'; did you mean server?\n");
}

TEST(CommandLine, OtherCommandsOfTheReferenceAreNamedAsMissing) {
  EXPECT_THAT(invoke({"trace", "info"}).err, StartsWith("lmcache: trace is not supported: "));
}

TEST(CommandLine, CommandsThatAskAServerAreHandedOn) {
  const Invocation invocation = invoke({"kvcache", "clear", "--force"});
  EXPECT_EQ(invocation.action, Invocation::Action::kCommand);
  EXPECT_THAT(invocation.command, testing::ElementsAre("kvcache", "clear", "--force"));
}

}  // namespace
}  // namespace lmcache::app
