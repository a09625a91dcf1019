#include "obs/rate_limit.hpp"

#include <gtest/gtest.h>

namespace lmcache::obs {
namespace {

using namespace std::chrono_literals;

TEST(RateLimit, FirstPassesThenOnePerIntervalWithTheNumberHeldBack) {
  RateLimit limit(10s);
  const RateLimit::Clock::time_point start{};
  EXPECT_EQ(limit.admit(start), 0u);
  EXPECT_EQ(limit.admit(start + 1s), std::nullopt);
  EXPECT_EQ(limit.admit(start + 9999ms), std::nullopt);
  EXPECT_EQ(limit.admit(start + 10s), 2u);
  EXPECT_EQ(limit.admit(start + 11s), std::nullopt);
  EXPECT_EQ(limit.admit(start + 100s), 1u);
  EXPECT_EQ(limit.admit(start + 200s), 0u);
}

TEST(RateLimit, ABurstPassesInEachInterval) {
  RateLimit limit(10s, 3);
  const RateLimit::Clock::time_point start{};
  for (const auto after : {0s, 1s, 9s}) EXPECT_EQ(limit.admit(start + after), 0u);
  EXPECT_EQ(limit.admit(start + 9s), std::nullopt);
  EXPECT_EQ(limit.admit(start + 10s), 1u);
  for (const auto after : {10s, 19s}) EXPECT_EQ(limit.admit(start + after), 0u);
  EXPECT_EQ(limit.admit(start + 19s), std::nullopt);
}

}  // namespace
}  // namespace lmcache::obs
