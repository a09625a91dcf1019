// A clock of the test's own: what is observed, and what bounds it.
#include "obs/lives.hpp"

#include <gtest/gtest.h>

namespace lmcache::obs {
namespace {

using std::chrono::seconds;

template <class Histogram>
std::uint64_t count_of(const Histogram& histogram) {
  std::uint64_t count = 0;
  for (std::size_t i = 0; i < Histogram::kBuckets; ++i) count += histogram.bucket(i);
  return count;
}

class LivesTest : public testing::Test {
 protected:
  static Lives::Clock::time_point at(int second) {
    return Lives::Clock::time_point(seconds(1000 + second));
  }
  Lives lives_;
};

TEST_F(LivesTest, AShareOfAllHashesIsSampled) {
  EXPECT_FALSE(lives_.samples(0));
  lives_.sample(1);
  EXPECT_TRUE(lives_.samples(UINT64_MAX - 1));
  lives_.sample(0.25);
  EXPECT_TRUE(lives_.samples((UINT64_MAX >> 2) - 1));
  EXPECT_FALSE(lives_.samples(UINT64_MAX >> 1));
  lives_.sample(0);
  EXPECT_FALSE(lives_.samples(0));
}

TEST_F(LivesTest, FromStoreToEviction) {
  lives_.written(7, at(0));
  lives_.read(7, at(10));
  lives_.read(7, at(14));
  lives_.evicted(7, at(100));
  EXPECT_EQ(lives_.reuse_gap.sum(), 14);
  EXPECT_EQ(count_of(lives_.reuse_gap), 2u);
  EXPECT_EQ(lives_.lifetime.sum(), 100);
  EXPECT_EQ(lives_.idle_before_evict.sum(), 86);
  lives_.evicted(7, at(101));
  lives_.read(7, at(102));  // of a copy that had begun before
  EXPECT_EQ(count_of(lives_.lifetime), 1u);
  EXPECT_EQ(count_of(lives_.reuse_gap), 2u);
}

TEST_F(LivesTest, WhatIsStoredAgainBeginsAnew) {
  lives_.written(7, at(0));
  lives_.written(7, at(50));
  lives_.evicted(7, at(60));
  EXPECT_EQ(lives_.reuse_gap.sum(), 50);
  EXPECT_EQ(lives_.lifetime.sum(), 10);
}

TEST_F(LivesTest, EvictionToReuseIsWaitedForAndThenGivenUp) {
  for (const std::uint64_t object : {1u, 2u}) lives_.written(object, at(0));
  for (const std::uint64_t object : {1u, 2u}) lives_.evicted(object, at(10));
  lives_.written(1, at(30));
  EXPECT_EQ(lives_.evict_reuse_gap.sum(), 20);
  EXPECT_EQ(count_of(lives_.reuse_gap), 0u);
  lives_.written(3, at(309));
  EXPECT_EQ(count_of(lives_.evict_reuse_gap), 1u);
  lives_.written(3, at(310));
  EXPECT_EQ(count_of(lives_.evict_reuse_gap), 2u);
  EXPECT_EQ(lives_.evict_reuse_gap.sum(), 320);
  lives_.written(2, at(311));
  EXPECT_EQ(count_of(lives_.evict_reuse_gap), 2u) << "it is new again";
}

TEST_F(LivesTest, WhatNobodyWroteIsNotKnown) {
  lives_.read(1, at(0));
  lives_.evicted(1, at(1));
  EXPECT_EQ(count_of(lives_.reuse_gap) + count_of(lives_.lifetime), 0u);
}

TEST_F(LivesTest, TheTableIsBounded) {
  for (std::uint64_t object = 0; object < Lives::kRowsMax + 10; ++object)
    lives_.written(object, at(0));
  lives_.read(Lives::kRowsMax + 5, at(1));
  EXPECT_EQ(count_of(lives_.reuse_gap), 0u);
  // Of those that wait to be stored again the oldest give way, without a figure.
  for (std::uint64_t object = 0; object < Lives::kRowsMax; ++object) lives_.evicted(object, at(2));
  lives_.written(Lives::kRowsMax + 5, at(3));
  lives_.read(Lives::kRowsMax + 5, at(4));
  EXPECT_EQ(count_of(lives_.reuse_gap), 1u);
  EXPECT_EQ(count_of(lives_.evict_reuse_gap), 0u);
}

TEST_F(LivesTest, ReuseIsMeasuredInTimeAndInAccessesOfItsSalt) {
  EXPECT_EQ(lives_.count_accesses("a", 10), 0u);
  lives_.accessed("a", 7, 4, false, at(0));
  EXPECT_EQ(lives_.count_accesses("b", 100), 0u);
  EXPECT_EQ(lives_.count_accesses("a", 20), 10u);
  lives_.accessed("a", 7, 12, true, at(30));
  const Lives::Reuse& row = lives_.reuse.row({"a"});
  EXPECT_EQ(row.seconds.sum(), 30);
  EXPECT_EQ(row.chunks.sum(), 8);
  lives_.accessed("a", 7, 13, false, at(40));
  EXPECT_EQ(count_of(row.seconds), 1u) << "a store is no reuse";
  lives_.accessed("a", 7, 14, true, at(41));
  EXPECT_EQ(row.seconds.sum(), 31);
  EXPECT_EQ(row.chunks.sum(), 9);
}

TEST_F(LivesTest, TheOldestOfTooManyChunksIsForgotten) {
  for (std::uint64_t chunk = 0; chunk <= Lives::kRowsMax; ++chunk)
    lives_.accessed("", chunk, chunk, true, at(0));
  lives_.accessed("", 1, 1, true, at(1));
  EXPECT_EQ(count_of(lives_.reuse.row({""}).seconds), 1u);
  lives_.accessed("", 0, 0, true, at(1));
  EXPECT_EQ(count_of(lives_.reuse.row({""}).seconds), 1u);
}

}  // namespace
}  // namespace lmcache::obs
