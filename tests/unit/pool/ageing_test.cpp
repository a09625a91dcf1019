#include <gtest/gtest.h>

#include "support/ageing_pool.hpp"

namespace lmcache::test {
namespace {

TEST(AgeingPool, AfterADayOfMixedModelsGapsCostLittle) {
  AgeingPool aged(std::uint64_t{64} << 30, 1);
  for (std::uint64_t second = 0; second < AgeingPool::kSecondsPerDay; ++second)
    aged.step(second, [](const auto& call) { call(); });
  EXPECT_EQ(aged.failures, 0u);
  const double lost = aged.lost / static_cast<double>(aged.allocations);
  EXPECT_LT(lost, 0.035);
  RecordProperty("lost_percent", std::to_string(100 * lost));
  RecordProperty("most_lost_percent", std::to_string(100 * aged.most_lost));
  RecordProperty("gaps", std::to_string(aged.pool().free_extents().size()));
}

}  // namespace
}  // namespace lmcache::test
