#include "load/statistics.hpp"
#include "load/rounds.hpp"

#include <gtest/gtest.h>

#include <numeric>

namespace lmcache::load {
namespace {

TEST(Percentiles, AreLatenciesThatTookPlace) {
  std::vector<double> latencies(200);
  std::iota(latencies.rbegin(), latencies.rend(), 1.0);
  const Percentiles out = percentiles_of(latencies);
  EXPECT_EQ(out.p50, 100);
  EXPECT_EQ(out.p90, 180);
  EXPECT_EQ(out.p99, 198);
  EXPECT_EQ(out.max, 200);
}

TEST(Percentiles, OfFewAndOfNone) {
  const Percentiles one = percentiles_of({7});
  EXPECT_EQ(one.p50 + one.p90 + one.p99 + one.max, 28);
  EXPECT_EQ(percentiles_of({}).max, 0);
}

TEST(Median, IsTheMiddle) {
  EXPECT_EQ(median_of({3, 1, 2}), 2);
  EXPECT_EQ(median_of({4, 1, 2, 3}), 2.5);
  EXPECT_EQ(median_of({}), 0);
}

TEST(OperationTimes, RatesAreOfTheTimeInWhichRequestsRan) {
  OperationTimes times;
  times.latencies = {0.5, 0.5, 0.5, 0.5};  // two workers, two rounds
  times.round_seconds = {0.5, 1.5};
  times.bytes = 4'000'000'000;
  EXPECT_EQ(times.requests_per_second(), 2);
  EXPECT_EQ(times.gb_per_second(), 2);
  EXPECT_EQ(OperationTimes{}.requests_per_second(), 0);
}

TEST(SpeedRatio, IsTheMedianOfTheRounds) {
  OperationTimes first, second;
  first.round_seconds = {1, 1, 1};
  second.round_seconds = {2, 100, 3};
  EXPECT_EQ(speed_ratio(first, second), 3);
}

}  // namespace
}  // namespace lmcache::load
