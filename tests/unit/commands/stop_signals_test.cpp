#include "commands/stop_signals.hpp"

#include <gtest/gtest.h>

namespace lmcache::commands {
namespace {

using std::chrono::seconds;

TEST(StopSignals, WaitToBeAskedFor) {
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) {
    const StopSignals signals;
    EXPECT_FALSE(signals.pending());
    EXPECT_FALSE(signals.wait_for(seconds(0)));
    ASSERT_EQ(std::raise(number), 0);
    EXPECT_TRUE(signals.pending());
    EXPECT_TRUE(signals.wait_for(seconds(60)));
    EXPECT_FALSE(signals.pending());
  }
}

TEST(StopSignals, AreUsedUpAtTheEnd) {
  {
    const StopSignals signals;
    ASSERT_EQ(std::raise(SIGINT), 0);
  }
  SUCCEED() << "one that was left over would have ended this process";
}

}  // namespace
}  // namespace lmcache::commands
