#include "cache/ghosts.hpp"

#include <gtest/gtest.h>

namespace lmcache::cache {
namespace {

/// Names spread over all parts, as the index's are.
std::uint64_t name(std::uint64_t n) {
  return n * 0x9e3779b97f4a7c15u;
}

TEST(Ghosts, TheOldestAreForgottenFirst) {
  Ghosts ghosts;
  for (std::uint64_t n = 0; n < 5; ++n) ghosts.add(name(n), 10);
  ghosts.add(name(0), 20);  // now the newest
  EXPECT_EQ(ghosts.bytes(), 60u);
  ghosts.trim(35);
  EXPECT_EQ(ghosts.bytes(), 30u);
  EXPECT_EQ(ghosts.take(name(3)), std::nullopt);
  EXPECT_EQ(ghosts.take(name(4)), 10u);
  EXPECT_EQ(ghosts.take(name(0)), 20u);
  EXPECT_EQ(ghosts.bytes(), 0u);
  EXPECT_EQ(ghosts.size(), 0u);
}

/// One name at the front that stays must not keep the places of all that came and went behind it.
TEST(Ghosts, WhatCameBackLeavesNothingBehind) {
  Ghosts ghosts;
  ghosts.add(name(0), 10);
  for (std::uint64_t n = 1; n < 100'000; ++n) {
    ghosts.add(name(n % 100 + 1), 10);
    ghosts.trim(1000);
    EXPECT_EQ(ghosts.take(name(n % 100 + 1)), 10u);
  }
  EXPECT_EQ(ghosts.size(), 1u);
  EXPECT_LT(ghosts.slots(), 10u);
}

TEST(Ghosts, WhatHadNoBytesIsNotRemembered) {
  Ghosts ghosts;
  ghosts.add(name(1), 10);
  ghosts.add(name(1), 0);
  ghosts.add(name(2), 0);
  EXPECT_EQ(ghosts.size(), 0u);
}

/// Others wait meanwhile, so that what a clear has made superfluous goes little by little.
TEST(Ghosts, AreTrimmedInSmallSteps) {
  Ghosts ghosts;
  for (std::uint64_t n = 0; n < 10'000; ++n) ghosts.add(name(n), 10);
  ghosts.trim(0);
  EXPECT_GT(ghosts.size(), 9'000u);
  int steps = 1;
  for (; ghosts.size() > 0 && steps < 1000; ++steps) ghosts.trim(0);
  EXPECT_LT(steps, 1000);
  EXPECT_EQ(ghosts.bytes(), 0u);
}

}  // namespace
}  // namespace lmcache::cache
