#include "app/flag.hpp"
#include "unit/app/parse_helpers.hpp"

#include <gmock/gmock.h>
#include <fstream>

namespace lmcache::app {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

class ConfigFileTest : public testing::Test {
 protected:
  std::string file(const std::string& text) {
    const std::string path = testing::TempDir() + "lmcache_config_test_" +
                             testing::UnitTest::GetInstance()->current_test_info()->name() +
                             ".toml";
    std::ofstream(path) << text;
    return path;
  }
  std::string complains(const std::string& text) { return complaint({"--config", file(text)}); }
};

TEST_F(ConfigFileTest, SetsWhatTheFlagsOfTheSameNamesSet) {
  const ServerConfig config = parse({"--config", file("# comment\n"
                                                      "port = 7000\n"
                                                      "host = \"0.0.0.0\"  # everybody\n"
                                                      "\n"
                                                      "null-block-id = -3\n"
                                                      "separate-object-groups = false\n"
                                                      "enable-extra-logging = true\n"
                                                      "max-workers = 2\n")});
  ServerConfig expected;
  expected.port = 7000;
  expected.host = "0.0.0.0";
  expected.null_block_id = -3;
  expected.separate_object_groups = false;
  expected.extra_logging = true;
  expected.max_workers = expected.max_gpu_workers = expected.max_cpu_workers = 2;
  EXPECT_EQ(config, expected);
}

TEST_F(ConfigFileTest, CommandLineWins) {
  const std::string path =
      file("port = 7000\nlog-level = \"debug\"\nno-tcp = true\nrequest-socket = \"s\"\n");
  const ServerConfig config = parse({"--port", "8000", "--config", path});
  EXPECT_EQ(config.port, 8000);
  EXPECT_EQ(config.log_level, "debug");
  EXPECT_FALSE(config.tcp);
}

TEST_F(ConfigFileTest, NegationsAreKeysToo) {
  EXPECT_FALSE(
      parse({"--config", file("no-separate-object-groups = true\n")}).separate_object_groups);
}

TEST_F(ConfigFileTest, AnEmptyNameIsNoFile) {
  const std::string what = "--config: '' is no file; give a path or leave it out";
  EXPECT_EQ(complaint({"--config", ""}), what);
  EXPECT_EQ(complaint({"--config="}), what);
}

TEST_F(ConfigFileTest, UnknownKeysAreErrors) {
  EXPECT_EQ(complains("prt = 5\n"), "--config: unknown key 'prt'; did you mean --port?");
  EXPECT_THAT(complains("help = true\n"), StartsWith("--config: unknown key 'help'"));
  EXPECT_THAT(complains("config = \"x\"\n"), StartsWith("--config: unknown key 'config'"));
}

TEST_F(ConfigFileTest, BadValuesReadAsOnTheCommandLine) {
  EXPECT_EQ(complains("port = 99999\n"), complaint({"--port", "99999"}));
  EXPECT_EQ(complains("separate-object-groups = maybe\n"),
            complaint({"--separate-object-groups=maybe"}));
  EXPECT_EQ(complains("heartbeat-interval-seconds = 30\n"),
            complaint({"--heartbeat-interval-seconds", "30"}));
  EXPECT_EQ(complains("port\n"), complaint({"--port", "true"}));
}

TEST_F(ConfigFileTest, RefusedFlagsAreRefused) {
  for (const RefusedFlag& flag : refused_flags()) {
    const std::string name(flag.names.front());
    EXPECT_EQ(complains(name.substr(2) + " = \"x\"\n"), complaint({name, "x"}));
  }
  EXPECT_THAT(complains("enable = [\"a\", \"b\"]\n"), StartsWith("--enable is not supported: "));
  EXPECT_EQ(complains("shm-name = \"\"\n"), "accepted");
}

TEST_F(ConfigFileTest, AKeyStandsOnceWithOneValue) {
  const std::string expected = "--config: 'port' must be given once and have one value";
  EXPECT_EQ(complains("port = 1\nport = 2\n"), expected);
  EXPECT_EQ(complains("port = 1\nhost = \"h\"\nport = 2\n"), expected);
  EXPECT_EQ(complains("port = [1, 2]\n"), expected);
}

TEST_F(ConfigFileTest, SectionsAreErrors) {
  EXPECT_THAT(complains("[server]\nport = 1\n"), HasSubstr("[server]"));
  EXPECT_THAT(complains("server.port = 1\n"), HasSubstr("[server]"));
}

TEST_F(ConfigFileTest, AHashInsideQuotesIsNotCutSilently) {
  EXPECT_THAT(complains("request-socket = \"/run/a#b\"\n"), HasSubstr("closing quote"));
}

TEST_F(ConfigFileTest, AFileThatCannotBeReadIsAnError) {
  EXPECT_THAT(complaint({"--config", testing::TempDir() + "no_such_file.toml"}),
              StartsWith("--config: "));
  EXPECT_THAT(complaint({"--config", testing::TempDir()}), StartsWith("--config: "));
}

TEST_F(ConfigFileTest, TheShippedFileChangesNothing) {
  EXPECT_EQ(parse({"--config", LMCACHE_SOURCE_DIR "/configs/server.toml"}), ServerConfig{});
}

TEST_F(ConfigFileTest, TheShippedFileHasEverySettingAndItsDefaultsAreTrue) {
  std::ifstream shipped(LMCACHE_SOURCE_DIR "/configs/server.toml");
  std::string text, named;
  for (std::string line; std::getline(shipped, line);) {
    const bool setting = line.size() > 1 && line[0] == '#' && line[1] != ' ';
    if (setting) text += line.substr(1) + "\n";
    if (line.starts_with("#")) named += line + "\n";
  }
  EXPECT_EQ(parse({"--config", file(text)}), ServerConfig{});
  for (const FlagGroup& group : server_flags())
    for (const ServerFlag& flag : group.flags)
      EXPECT_THAT(named, HasSubstr(flag.name.substr(2) + " = "));
}

}  // namespace
}  // namespace lmcache::app
