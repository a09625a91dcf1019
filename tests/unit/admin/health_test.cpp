#include "admin/health.hpp"

#include <gtest/gtest.h>

namespace lmcache::admin {
namespace {

using namespace std::chrono_literals;

TEST(Health, SilenceWithinTheLimitIsWell) {
  EXPECT_FALSE(illness({}));
  EXPECT_FALSE(illness({{"a", 0s}, {"b", obs::Pulse::kLimit}}));
}

TEST(Health, LoopsThatHaveBeenSilentForTooLongAreNamed) {
  const auto reason =
      illness({{"copy thread 0", 11s}, {"I/O thread 0", 0s}, {"housekeeping", 40s}});
  ASSERT_TRUE(reason);
  EXPECT_EQ(*reason, "not come round for 40 s: copy thread 0, housekeeping");
}

}  // namespace
}  // namespace lmcache::admin
