#include "gpu/busy_time.hpp"

#include <gtest/gtest.h>

namespace lmcache::gpu {
namespace {

using namespace std::chrono_literals;

TEST(BusyTime, CountsFromTheLookThatSawItToTheLookThatDidNot) {
  BusyTime time;
  const BusyTime::Time begin{100s};
  time.look(false, begin);
  time.look(true, begin + 5s);
  EXPECT_EQ(time.seconds(), 0);
  time.look(true, begin + 7s);
  EXPECT_EQ(time.seconds(), 2);
  time.look(false, begin + 8s);
  time.look(false, begin + 50s);
  EXPECT_EQ(time.seconds(), 3);
  time.look(true, begin + 60s);
  time.look(false, begin + 60s + 500ms);
  EXPECT_EQ(time.seconds(), 3.5);
}

}  // namespace
}  // namespace lmcache::gpu
