#include "gpu/path_choice.hpp"

#include <gtest/gtest.h>

namespace lmcache::gpu {
namespace {

using namespace std::chrono_literals;

class PathChoices : public testing::Test {
 protected:
  static constexpr std::uint64_t kBytes = 64ull << 20;

  void learn(Path path, PathChoice::Clock::duration took, int times = 1,
             std::uint64_t bytes = kBytes) {
    for (int i = 0; i < times; ++i) choice_.learn(path, bytes, took, now_ += 10ms);
  }
  [[nodiscard]] Path next() const { return choice_.choose(now_ + 1ms); }

  PathChoice choice_;
  PathChoice::Clock::time_point now_{100s};
};

TEST_F(PathChoices, BeginsWithKernelsAndTriesTheCopyEnginesOnce) {
  EXPECT_EQ(next(), Path::kStaged);
  learn(Path::kStaged, 1ms, 3);
  EXPECT_EQ(next(), Path::kStaged);
  learn(Path::kStaged, 1ms);
  EXPECT_EQ(next(), Path::kDirect);
  learn(Path::kDirect, 2ms);
  EXPECT_EQ(next(), Path::kStaged);
}

TEST_F(PathChoices, GoesToTheCopyEnginesWhenKernelsBecomeSlow) {
  learn(Path::kStaged, 1ms, 4);
  learn(Path::kDirect, 2ms);
  now_ += PathChoice::kTryAgain;
  learn(Path::kStaged, 8ms, 5);  // a matmul has begun
  EXPECT_EQ(next(), Path::kDirect);
  learn(Path::kDirect, 2ms);
  EXPECT_EQ(next(), Path::kDirect);
}

TEST_F(PathChoices, TriesKernelsNowAndThenAndGoesBackToThem) {
  learn(Path::kStaged, 8ms, 4);
  learn(Path::kDirect, 2ms);
  EXPECT_EQ(next(), Path::kDirect);
  now_ += PathChoice::kTryAgain;
  EXPECT_EQ(next(), Path::kStaged);
  learn(Path::kStaged, 8ms);  // still slow
  EXPECT_EQ(next(), Path::kDirect);
  now_ += PathChoice::kTryAgain;
  learn(Path::kStaged, 1ms, 4);  // the GPU is idle again
  EXPECT_EQ(next(), Path::kStaged);
}

TEST_F(PathChoices, TriesKernelsTheMoreSeldomTheMoreOftenInVain) {
  learn(Path::kStaged, 8ms, 4);
  learn(Path::kDirect, 2ms);
  auto pause = PathChoice::Clock::duration(PathChoice::kTryAgain);
  for (int tries = 0; tries < 10; ++tries) {
    EXPECT_EQ(next(), Path::kDirect);
    now_ += pause - 10ms;
    learn(Path::kDirect, 2ms);
    EXPECT_EQ(next(), Path::kStaged) << tries;
    learn(Path::kStaged, 8ms);
    pause = std::min<PathChoice::Clock::duration>(2 * pause, PathChoice::kTryAtLast);
  }
  learn(Path::kStaged, 1ms, 4);  // from here on as in the beginning
  learn(Path::kStaged, 8ms, 5);
  learn(Path::kDirect, 2ms);
  EXPECT_EQ(next(), Path::kDirect);
}

TEST_F(PathChoices, LearnsNothingFromSmallTransfers) {
  learn(Path::kStaged, 1ms, 10, PathChoice::kLeastBytes - 1);
  EXPECT_EQ(next(), Path::kStaged);
}

TEST(DirectPlans, AreMadeLessAndLessOftenWhereTheyAreInVain) {
  DirectPlans plans;
  PathChoice::Clock::time_point now{100s};
  PathChoice::Clock::duration pause = PathChoice::kTryAgain;
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(plans.due(now));
    plans.planned(false, now);
    EXPECT_FALSE(plans.due(now + pause - 1ns));
    now += pause;
    pause = std::min<PathChoice::Clock::duration>(2 * pause, PathChoice::kTryAtLast);
  }
  plans.planned(true, now);
  EXPECT_TRUE(plans.due(now)) << "one that pays is followed by others";
  plans.planned(false, now);
  EXPECT_TRUE(plans.due(now + PathChoice::kTryAgain));
}

}  // namespace
}  // namespace lmcache::gpu
