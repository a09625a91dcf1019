#include "unit/app/parse_helpers.hpp"

#include <gmock/gmock.h>

namespace lmcache::app {
namespace {

using testing::StartsWith;

TEST(EnvironmentVariables, LogLevelIsReadAsTheReferenceNamesIt) {
  for (const auto& [value, level] : Variables{{"DEBUG", "debug"},
                                              {"INFO", "info"},
                                              {"WARNING", "warn"},
                                              {"ERROR", "error"},
                                              {"CRITICAL", "error"},
                                              {"debug", "debug"},
                                              {"", "info"}}) {
    EXPECT_EQ(parse({}, {{"LMCACHE_LOG_LEVEL", value}}).log_level, level) << value;
  }
}

TEST(EnvironmentVariables, TheFlagWins) {
  EXPECT_EQ(parse({"--log-level", "info"}, {{"LMCACHE_LOG_LEVEL", "ERROR"}}).log_level, "info");
}

TEST(EnvironmentVariables, ABadLogLevelIsAnError) {
  EXPECT_EQ(
      complaint({}, {{"LMCACHE_LOG_LEVEL", "loud"}}),
      "LMCACHE_LOG_LEVEL: 'loud' is not allowed; allowed: DEBUG, INFO, WARNING, ERROR, CRITICAL");
}

TEST(EnvironmentVariables, CoordinatorSettingsAreRefusedUnlessEmpty) {
  for (const std::string name :
       {"LMCACHE_COORDINATOR_URL", "LMCACHE_COORDINATOR_ADVERTISE_IP",
        "LMCACHE_COORDINATOR_HEARTBEAT_INTERVAL", "LMCACHE_COORDINATOR_EVENT_FLUSH_INTERVAL"}) {
    EXPECT_THAT(complaint({}, {{name, "5"}}), StartsWith(name + " is not supported: "));
    EXPECT_EQ(complaint({}, {{name, ""}}), "accepted");
  }
}

TEST(EnvironmentVariables, EventReportingIsRefusedWhenItSwitchesOn) {
  const std::string name = "LMCACHE_COORDINATOR_EVENT_REPORTING";
  for (const char* on : {"1", "true", "YES"}) {
    EXPECT_THAT(complaint({}, {{name, on}}), StartsWith(name + " is not supported: ")) << on;
  }
  for (const char* off : {"", "0", "false", "no"})
    EXPECT_EQ(complaint({}, {{name, off}}), "accepted") << off;
}

TEST(EnvironmentVariables, OthersAreNotRead) {
  EXPECT_EQ(parse({}, {{"LMCACHE_PORT", "1"}, {"LMCACHE_CHUNK_SIZE", "1"}, {"PORT", "1"}}),
            ServerConfig{});
}

}  // namespace
}  // namespace lmcache::app
