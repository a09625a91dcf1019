// Which windowed objects go when memory is short, seen through lookups of every length. An object
// of the full group is one unit, of a windowed one four: as in a real model the windows are most of
// it. Under the policy that is the default and under LRU.
#include <gmock/gmock.h>

#include "cache/thinner.hpp"
#include "unit/cache/cache_fixture.hpp"

namespace lmcache::test {
namespace {

using cache::Thinner;
using testing::ElementsAre;

LayoutPtr windowed(std::int32_t window, std::uint8_t id = 1) {
  auto layout = std::make_shared<ObjectLayout>(*layout_of(id, {-1, window}));
  layout->groups[1].bytes = 4 * kUnit;
  return layout;
}

/// Lengths up to the whole at which a hit can end. Asks the whole first, so as not to make an end
/// of every length that is tried before.
std::vector<std::uint32_t> ends(const char* policy, std::uint64_t units, std::int32_t window,
                                std::size_t chunks) {
  const Pool pool(units);
  Cache cache(pool.memory(), {.policy = policy});
  const Side side = with_layout(windowed(window));
  const auto chain = chain_of(1, chunks);
  EXPECT_TRUE(store(cache, side, chain));
  std::vector<std::uint32_t> found;
  for (std::uint32_t n = 1; n <= chunks; ++n)
    if (hit(cache, side, std::span(chain).first(n)) == n) found.push_back(n);
  return found;
}

TEST(ThinnerLevel, IsTheTrailingZeroBitsOfTheLengthForAWindowOfOne) {
  for (std::uint32_t i = 0; i < 1000; ++i)
    EXPECT_EQ(Thinner::level(i, 1), std::countr_zero(i + 1)) << i;
  EXPECT_EQ(Thinner::level(UINT32_MAX, 1), Thinner::kLevels - 1);
}

TEST(ThinnerLevel, KeepsTheChunksOfACheckpointTogether) {
  // Of windows of 3 chunks, what a hit of 8 needs is chunks 5, 6 and 7.
  for (const std::uint32_t chunk : {5u, 6u, 7u}) EXPECT_EQ(Thinner::level(chunk, 3), 3) << chunk;
  EXPECT_EQ(Thinner::level(4, 3), 1);
  EXPECT_EQ(Thinner::level(8, 3), 1);
  EXPECT_EQ(Thinner::level(9, 3), 2);
}

class ThinningTest : public testing::TestWithParam<const char*> {
 protected:
  bool grow_to(std::size_t chunks) { return store(cache_, side_, std::span(chain_).first(chunks)); }
  std::uint32_t hit_of(std::size_t chunks) {
    return hit(cache_, side_, std::span(chain_).first(chunks));
  }
  std::uint64_t windowed_objects() {
    const CacheStats stats = cache_.stats();
    return (stats.used_bytes - stats.objects * kUnit) / (3 * kUnit);
  }

  Pool pool_{40};
  Cache cache_{pool_.memory(), {.policy = GetParam()}};
  Side side_ = with_layout(windowed(1));
  Side plain_ = with_layout(layout_of(2, {-1}));
  std::vector<ChunkHash> chain_ = chain_of(1, 32);
};

TEST_P(ThinningTest, WhileThereIsRoomEveryChunkKeepsItsWindowedObjects) {
  EXPECT_THAT(ends(GetParam(), 40, 1, 8), ElementsAre(1, 2, 3, 4, 5, 6, 7, 8));
}

TEST_P(ThinningTest, AStoreLargerThanThePoolTakesEverySecondThenEveryFourthAlong) {
  EXPECT_THAT(ends(GetParam(), 24, 1, 8), ElementsAre(2, 4, 6, 8));
  EXPECT_THAT(ends(GetParam(), 16, 1, 8), ElementsAre(4, 8));
  EXPECT_THAT(ends(GetParam(), 12, 1, 8), ElementsAre(8));
}

TEST_P(ThinningTest, WindowsOfSeveralChunksKeepWholeCheckpoints) {
  // 16 full units; 7, 8, 15 and 16 make the checkpoints of every eighth.
  EXPECT_THAT(ends(GetParam(), 16 + 4 * 4, 2, 16), ElementsAre(8, 16));
}

TEST_P(ThinningTest, WindowsGoBeforeAnyPrefixAndTheirEvictionIsCounted) {
  ASSERT_TRUE(grow_to(8));
  ASSERT_TRUE(store(cache_, plain_, chain_of(2, 20)));
  EXPECT_EQ(hit_of(8), 8u);
  const CacheStats stats = cache_.stats();
  EXPECT_EQ(stats.thinned_objects, 5u);
  EXPECT_EQ(stats.thinned_bytes, 20 * kUnit);
  EXPECT_EQ(stats.evicted_objects, 5u);
  EXPECT_EQ(stats.evicted_bytes, 20 * kUnit);
  EXPECT_EQ(stats.evicted_bytes_for[static_cast<std::size_t>(EvictionReason::kAllocation)],
            20 * kUnit);
  EXPECT_EQ(stats.window_objects, 3u);
  EXPECT_EQ(stats.chunks, 28u);
  EXPECT_EQ(stats.objects, 8u + 3 + 20);
}

TEST_P(ThinningTest, ASequenceThatGrowsChunkByChunkKeepsItsEndAndThinsTheRest) {
  for (std::size_t n = 1; n <= 28; ++n) ASSERT_TRUE(grow_to(n)) << n;
  EXPECT_EQ(hit_of(28), 28u);
  EXPECT_EQ(windowed_objects(), 3u);  // 40 units: 28 and three of four
  EXPECT_EQ(hit_of(26), 16u);
}

TEST_P(ThinningTest, ALookupThatEndsBesideACheckpointCountsWhatItLost) {
  for (std::size_t n = 1; n <= 28; ++n) ASSERT_TRUE(grow_to(n));
  ASSERT_EQ(cache_.stats().window_lost_chunks, 0u);
  EXPECT_EQ(hit_of(20), 16u);
  EXPECT_EQ(cache_.stats().window_lost_chunks, 4u);
  EXPECT_EQ(hit_of(10), 0u);
  EXPECT_EQ(cache_.stats().window_lost_chunks, 14u);
  EXPECT_EQ(hit(cache_, side_, chain_of(9, 3)), 0u);
  EXPECT_EQ(cache_.stats().window_lost_chunks, 14u);
}

TEST_P(ThinningTest, WhereALookupEndedGoesAfterAllInterior) {
  ASSERT_TRUE(grow_to(8));
  EXPECT_EQ(hit_of(3), 3u);
  ASSERT_TRUE(store(cache_, plain_, chain_of(2, 24)));  // room for 2 windowed objects
  EXPECT_EQ(hit_of(8), 8u);
  EXPECT_EQ(hit_of(3), 3u);
  EXPECT_EQ(hit_of(4), 3u);
}

TEST_P(ThinningTest, WhereLookupsEndTwiceItStaysWithItsChunk) {
  ASSERT_TRUE(grow_to(8));
  for (int i = 0; i < 2; ++i) EXPECT_EQ(hit_of(3), 3u);
  EXPECT_EQ(hit_of(5), 5u);
  ASSERT_TRUE(store(cache_, plain_, chain_of(2, 24)));
  EXPECT_EQ(hit_of(5), 3u);
  EXPECT_EQ(hit_of(8), 8u);
}

TEST_P(ThinningTest, WhatALookupMissedIsStoredAgainAndKept) {
  for (std::size_t n = 1; n <= 28; ++n) ASSERT_TRUE(grow_to(n));
  ASSERT_EQ(hit_of(20), 16u);
  // Its engine computes what is missing and goes on elsewhere from chunk 20; the pool is full.
  std::vector<ChunkHash> branch(chain_.begin(), chain_.begin() + 20);
  branch.push_back(chain_of(7, 1).front());
  ASSERT_TRUE(store(cache_, side_, branch, 16));
  EXPECT_EQ(hit_of(20), 20u);
}

TEST_P(ThinningTest, AFormerEndIsInteriorOnceTheSequenceGrew) {
  ASSERT_TRUE(grow_to(3));
  ASSERT_TRUE(grow_to(8));
  ASSERT_TRUE(store(cache_, plain_, chain_of(2, 28)));
  EXPECT_EQ(hit_of(8), 8u);
  EXPECT_EQ(hit_of(3), 0u);
}

TEST_P(ThinningTest, ALeaseKeepsTheWindowsOfItsEnd) {
  ASSERT_TRUE(grow_to(8));
  {
    const Lease lease = lookup(cache_, side_, std::span(chain_).first(5));
    ASSERT_EQ(lease.chunks(), 5u);
    // All but 5 full units and the windowed object of chunk 4.
    EXPECT_FALSE(store(cache_, plain_, chain_of(2, 32)));
    EXPECT_TRUE(store(cache_, plain_, chain_of(2, 31)));
    expect_own_bytes(cache_.open_read(lease, 0, side_.layout, 0, 5).value(), side_, chain_);
  }
  EXPECT_TRUE(store(cache_, plain_, chain_of(3, 40)));
}

TEST_P(ThinningTest, AStoreInterruptedLeavesTheFormerEndWhatItWas) {
  ASSERT_TRUE(grow_to(4));
  { const auto ticket = reserve(cache_, side_, std::span(chain_).first(6)); }
  ASSERT_TRUE(store(cache_, plain_, chain_of(2, 32)));
  EXPECT_EQ(hit_of(4), 4u);
}

TEST_P(ThinningTest, ATailThatNoHitCanReachGoesBeforeAnythingElse) {
  ASSERT_TRUE(grow_to(8));
  ASSERT_TRUE(store(cache_, plain_, chain_of(2, 28)));  // 8 + 4 + 28: only the end is left
  // The end is the oldest that may go; with it the other seven chunks are of no use.
  ASSERT_TRUE(store(cache_, plain_, chain_of(3, 6)));
  EXPECT_EQ(hit(cache_, plain_, chain_of(2, 28)), 28u);
  ASSERT_TRUE(store(cache_, plain_, chain_of(4, 6)));
  EXPECT_EQ(hit(cache_, plain_, chain_of(2, 28)), 28u);
  EXPECT_EQ(cache_.stats().chunks, 40u);
}

TEST_P(ThinningTest, AStoreTakesNoPrefixesRoomForInteriorWindows) {
  ASSERT_TRUE(store(cache_, plain_, chain_of(2, 36)));
  const auto ticket = reserve(cache_, side_, std::span(chain_).first(8)).value();
  EXPECT_EQ(ticket.objects().size(), 9u);
  EXPECT_EQ(cache_.stats().evicted_objects, 8u);
}

INSTANTIATE_TEST_SUITE_P(Policies, ThinningTest, testing::Values("LRU", "LFU"));

TEST(CheckpointChunks, InteriorWindowsAreStoredForEveryNthOnly) {
  const Pool pool(100);
  Cache cache(pool.memory(), {.window_checkpoint_chunks = 3});
  const Side side = with_layout(windowed(1));
  const auto chain = chain_of(1, 8);
  const StoreTicket ticket = reserve(cache, side, chain).value();
  std::vector<std::uint32_t> chunks;
  for (const ObjectRef& object : ticket.objects())
    if (object.group == 1) chunks.push_back(object.chunk);
  EXPECT_THAT(chunks, ElementsAre(2, 5, 7));
}

TEST(CheckpointChunks, OfLongerWindowsAllThatACheckpointNeeds) {
  const Pool pool(100);
  Cache cache(pool.memory(), {.window_checkpoint_chunks = 4});
  const Side side = with_layout(windowed(2));
  const auto chain = chain_of(1, 11);
  ASSERT_TRUE(store(cache, side, chain));
  std::vector<std::uint32_t> found;
  for (std::uint32_t n = 1; n <= 11; ++n)
    if (hit(cache, side, std::span(chain).first(n)) == n) found.push_back(n);
  EXPECT_THAT(found, ElementsAre(4, 8, 11));
}

TEST(NoopPolicy, DoesNotThinEither) {
  const Pool pool(40);
  Cache cache(pool.memory(), {.policy = "noop"});
  const Side side = with_layout(windowed(1));
  ASSERT_TRUE(store(cache, side, chain_of(1, 8)));
  EXPECT_FALSE(store(cache, side, chain_of(2, 1)));
  EXPECT_EQ(cache.stats().thinned_objects, 0u);
}

}  // namespace
}  // namespace lmcache::test
