#include "admin/health.hpp"
#include "admin/controller_reports.hpp"

#include <gtest/gtest.h>

namespace lmcache::admin {
namespace {

using namespace std::chrono_literals;

TEST(Health, SilenceWithinTheLimitIsWell) {
  EXPECT_FALSE(illness(std::vector<obs::Vital>{}));
  EXPECT_FALSE(illness(std::vector<obs::Vital>{{"a", 0s}, {"b", obs::Pulse::kLimit}}));
}

TEST(Health, LoopsThatHaveBeenSilentForTooLongAreNamed) {
  const auto reason = illness(
      std::vector<obs::Vital>{{"copy thread 0", 11s}, {"I/O thread 0", 0s}, {"housekeeping", 40s}});
  ASSERT_TRUE(reason);
  EXPECT_EQ(*reason, "not come round for 40 s: copy thread 0, housekeeping");
}

TEST(Health, AGpuThatIsLostIsNamedIfAllLoopsAreWell) {
  gpu::DeviceStatus well, lost;
  well.uuid = "GPU-1";
  lost.uuid = "GPU-2";
  lost.error = "cudaErrorECCUncorrectable";
  EXPECT_FALSE(illness({}, {well}));
  EXPECT_EQ(illness({}, {well, lost}), "GPU GPU-2 is lost: cudaErrorECCUncorrectable");
  EXPECT_EQ(illness({{"copy thread 0", 11s}}, {lost}), "not come round for 11 s: copy thread 0");
}

TEST(Health, TheEvictionControllerLivesAsLongAsHousekeeping) {
  const auto told = [](const std::vector<obs::Vital>& vitals) {
    const Json report = eviction_report({}, vitals);
    EXPECT_EQ(report["is_healthy"], report["thread_alive"]);
    return report["thread_alive"].get<bool>();
  };
  EXPECT_TRUE(told({{"copy thread 0", 40s}, {"housekeeping", 1s}}));
  EXPECT_FALSE(told({{"copy thread 0", 0s}, {"housekeeping", 11s}}));
  EXPECT_FALSE(told({{"copy thread 0", 0s}}));
}

TEST(Readiness, AsMuchOfL1AsIsAskedForMustBePinned) {
  gpu::PinnedPoolStatus pool;
  pool.total_bytes = 1000;
  pool.ready_bytes = 99;
  EXPECT_EQ(unreadiness(pool, 0.1),
            "L1 is touched and pinned to 9%, less than the 10% of --ready-pinned-ratio");
  pool.ready_bytes = 100;
  EXPECT_FALSE(unreadiness(pool, 0.1));
  pool.ready_bytes = 0;
  EXPECT_FALSE(unreadiness(pool, 0));
  pool.ready_bytes = 1000;
  EXPECT_FALSE(unreadiness(pool, 1));
  EXPECT_FALSE(unreadiness({}, 1));
}

}  // namespace
}  // namespace lmcache::admin
