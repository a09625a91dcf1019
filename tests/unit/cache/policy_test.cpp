// What tells each policy from the others, seen through the order in which chunks go.
#include "cache/policy.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "cache/arc.hpp"
#include "cache/sketch.hpp"
#include "unit/cache/policy_order.hpp"

namespace lmcache::cache {
namespace {

using testing::Contains;
using testing::Each;
using testing::ElementsAre;
using testing::Ge;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

using test::kBytes;
using test::Order;

// ------------------------------------------------------------------------------- all that evict

class EveryPolicy : public testing::TestWithParam<const char*> {};

TEST_P(EveryPolicy, NamesEveryChunkOnceAndThenNone) {
  Order order(GetParam());
  std::vector<ChunkId> all;
  for (ChunkId id = 0; id < 3000; ++id) {
    order.store(id, 1 + id % 15);
    all.push_back(id);
    if (id % 3 == 0) order.use(id / 2, 1 + id / 2 % 15);
    if (id % 7 == 0) (*order).touch(id / 3);
  }
  EXPECT_THAT(order.drain(), testing::UnorderedElementsAreArray(all));
  EXPECT_FALSE(order.evict_one());
}

TEST_P(EveryPolicy, NeverNamesWhatWasRemoved) {
  Order order(GetParam());
  for (ChunkId id = 0; id < 10; ++id) order.store(id);
  for (ChunkId id = 0; id < 10; id += 2) (*order).remove(id);
  EXPECT_THAT(order.drain(), testing::UnorderedElementsAre(1, 3, 5, 7, 9));
}

TEST_P(EveryPolicy, AnIdThatServesAnotherChunkIsANewcomer) {
  Order order(GetParam());
  for (ChunkId id = 0; id < 4; ++id) order.store(id);
  for (int i = 0; i < 5; ++i) order.use(3);
  (*order).remove(3);  // cleared
  (*order).admit(3, {99, 0, kNoId});
  (*order).insert(3, kBytes);
  for (ChunkId id = 0; id < 3; ++id) order.use(id);
  EXPECT_EQ(order.evict_one(), 3u);
}

TEST_P(EveryPolicy, OfASequenceStoredEndFirstTheEndGoesFirst) {
  Order order(GetParam());
  for (ChunkId id = 0; id < 6; ++id) order.store(id);
  EXPECT_THAT(order.drain(), ElementsAre(0, 1, 2, 3, 4, 5));
}

INSTANTIATE_TEST_SUITE_P(Policies, EveryPolicy,
                         testing::Values("LRU", "LFU", "ARC", "S3FIFO", "WTINYLFU", "GITTINS",
                                         "IsolatedLRU"));

// ------------------------------------------------------------------------------- each by itself

TEST(Lru, GoesFromLeastToMostRecentlyUsed) {
  Order order("LRU");
  for (const ChunkId id : {7u, 3u, 5000u, 1u}) order.store(id);
  (*order).touch(3);
  (*order).touch(3);
  EXPECT_THAT(order.drain(), ElementsAre(7, 5000, 1, 3));
}

TEST(Lru, RemovedAndInsertedAgainIsMostRecent) {
  Order order("LRU");
  for (ChunkId id = 0; id < 4; ++id) order.store(id);
  for (const ChunkId id : {3u, 0u, 1u}) (*order).remove(id);
  (*order).insert(0, 1);
  EXPECT_THAT(order.drain(), ElementsAre(2, 0));
}

TEST(Lfu, WhatWasUsedMoreStaysHoweverLongAgo) {
  Order order("LFU");
  for (ChunkId id = 0; id < 4; ++id) order.store(id);
  for (int i = 0; i < 3; ++i) order.use(0);
  order.use(2);
  EXPECT_THAT(order.drain(), ElementsAre(1, 3, 2, 0));
}

TEST(Lfu, LearnsAfterHowManyUsesNothingMoreComes) {
  Order order("LFU");
  for (ChunkId id = 0; id < 20'000; ++id) {
    order.store(id);
    order.use(id);
    if (id >= 8) order.evict_one();
  }
  while (order.evict_one()) {
  }
  order.store(1);
  order.store(2);
  order.use(1);
  EXPECT_THAT(order.drain(), ElementsAre(1, 2));
}

TEST(Lfu, WhatContinuesASequenceIsWorthWhatTheSequenceIs) {
  Order order("LFU");
  order.store(0);
  for (int i = 0; i < 3; ++i) order.use(0);
  (*order).admit(1, {1001, 0, 0});
  (*order).insert(1, kBytes);
  order.store(2);
  order.store(3);
  order.use(3);
  EXPECT_THAT(order.drain(), ElementsAre(2, 3, 0, 1));
}

TEST(Lfu, OfEquallyUsedOnesTheLargeGoesFirst) {
  Order order("LFU");
  order.store(0, kBytes);
  order.store(1, 15 * kBytes);
  order.store(2, kBytes);
  for (ChunkId id = 0; id < 3; ++id) order.use(id, id == 1 ? 15 * kBytes : kBytes);
  EXPECT_THAT(order.drain(), ElementsAre(1, 0, 2));
}

TEST(Lfu, YesterdaysFavouriteLeaves) {
  Order order("LFU");
  for (ChunkId id = 0; id < 3; ++id) order.store(id);
  for (int i = 0; i < 1000; ++i) order.use(0);
  // Each newcomer is evicted for the next, none is used: the favourite must not outlive them all.
  ChunkId next = 3;
  std::vector<ChunkId> gone;
  for (int i = 0; i < 200; ++i) {
    order.store(next++);
    gone.push_back(order.evict_one().value());
  }
  EXPECT_THAT(gone, Contains(0));
  EXPECT_NE(gone.front(), 0u);
}

TEST(Lfu, WhatGoesWithoutItsTurnAgesNobody) {
  Order order("LFU");
  for (ChunkId id = 0; id < 6; ++id) order.store(id);
  for (int i = 0; i < 5; ++i)
    for (const ChunkId id : {1u, 2u}) order.use(id);
  // Of no use to any hit any more, whatever it was worth.
  (*order).remove(2);
  (*order).evicted(2);
  for (ChunkId id = 6; id < 9; ++id) order.store(id);
  EXPECT_THAT(order.drain(), ElementsAre(0, 3, 4, 5, 6, 7, 8, 1));
}

TEST(Arc, AScanOfNewcomersLeavesWhatWasUsedAgain) {
  Order order("ARC");
  for (ChunkId id = 0; id < 10; ++id) order.store(id);
  for (ChunkId id = 0; id < 10; ++id) order.use(id);
  for (ChunkId id = 100; id < 200; ++id) {
    order.store(id);
    EXPECT_THAT(order.evict_one(), testing::Optional(Ge(100u)));
  }
}

TEST(Arc, ChunksThatComeBackMoveTheTargetByTheirBytes) {
  Order order("ARC");
  auto& arc = dynamic_cast<Arc&>(*order);
  for (ChunkId id = 0; id < 10; ++id) order.store(id, id == 0 ? 7 * kBytes : kBytes);
  for (ChunkId id = 5; id < 10; ++id) order.use(id);
  EXPECT_EQ(order.evict_one(), 0u);
  EXPECT_EQ(arc.target(), 0u);
  order.store(0, 7 * kBytes);  // from the history of those used once: they went too early
  EXPECT_EQ(arc.target(), 7 * kBytes);
  // Now those used once have room, and the least recent of the others goes.
  EXPECT_EQ(order.evict_one(), 5u);
  order.store(5);  // and from the history of those used again
  EXPECT_EQ(arc.target(), 6 * kBytes);
}

TEST(S3Fifo, WhatIsNeverHitLeavesBeforeWhatWas) {
  Order order("S3FIFO");
  for (ChunkId id = 0; id < 10; ++id) order.store(id);
  for (ChunkId id = 0; id < 5; ++id) order.use(id);
  EXPECT_THAT(order.evict(5), Each(Ge(5u)));
}

TEST(S3Fifo, ATouchBuysNothing) {
  Order order("S3FIFO");
  for (ChunkId id = 0; id < 3; ++id) order.store(id);
  (*order).touch(0);
  EXPECT_EQ(order.evict_one(), 0u);
}

TEST(S3Fifo, WhatComesBackWhileItsNameIsRememberedIsNoNewcomer) {
  Order order("S3FIFO");
  for (ChunkId id = 0; id < 20; ++id) order.store(id);
  EXPECT_EQ(order.evict_one(), 0u);
  order.store(0);
  for (ChunkId id = 20; id < 30; ++id) order.store(id);
  // 0 came before 20..29 and was never hit, but all newcomers go first, down to a tenth.
  EXPECT_THAT(order.evict(25), Not(Contains(0)));
}

TEST(S3Fifo, EachHitBuysOneMoreRoundOfMain) {
  Order order("S3FIFO");
  for (ChunkId id = 0; id < 3; ++id) order.store(id);
  for (ChunkId id = 0; id < 3; ++id) order.use(id);  // into main with the next look
  order.use(0);
  order.use(0);
  EXPECT_THAT(order.drain(), ElementsAre(1, 2, 0));
}

TEST(WTinyLfu, ANewcomerMustHaveBeenSeenMoreOftenThanWhomItWouldReplace) {
  Order order("WTINYLFU");
  for (ChunkId id = 0; id < 10; ++id) order.store(id);
  ASSERT_EQ(order.evict_one(), 0u);  // from now on the pool is full
  for (const ChunkId id : {1u, 2u, 3u}) order.use(id);
  for (ChunkId id = 100; id < 150; ++id) {
    order.store(id);
    EXPECT_EQ(order.evict_one(), id);
  }
}

TEST(WTinyLfu, WhatWasEvictedIsRememberedBySight) {
  Order order("WTINYLFU");
  for (ChunkId id = 0; id < 10; ++id) order.store(id);
  ASSERT_EQ(order.evict_one(), 0u);
  order.store(0);
  order.store(100);
  EXPECT_EQ(order.evict_one(), 1u);    // seen once, 0 twice
  EXPECT_EQ(order.evict_one(), 100u);  // no more often than 2
}

TEST(Sketch, CountsFadeAndSurviveGrowth) {
  FrequencySketch sketch;
  for (int i = 0; i < 9; ++i) sketch.see(77);
  EXPECT_EQ(sketch.estimate(77), 9u);
  for (int i = 0; i < 4 * 6; ++i) sketch.grow_to(1 << 16);
  EXPECT_EQ(sketch.estimate(77), 9u);
  for (int i = 0; i < 40; ++i) sketch.see(78);
  EXPECT_EQ(sketch.estimate(78), 15u);
  // Two rounds of the hand.
  for (std::uint64_t i = 0; i < 20u << 16; ++i) sketch.see(1000 + i % 64);
  EXPECT_LT(sketch.estimate(77), 4u);
}

TEST(IsolatedLru, ATenantsOwnGoFromLeastToMostRecent) {
  Order order("IsolatedLRU");
  EXPECT_TRUE((*order).isolates());
  for (ChunkId id = 0; id < 6; ++id) order.store(id, kBytes, id % 2);
  (*order).touch(1);
  EXPECT_EQ(order.evict_one(1), 3u);
  EXPECT_EQ(order.evict_one(1), 5u);
  EXPECT_EQ(order.evict_one(1), 1u);
  EXPECT_EQ(order.evict_one(1), std::nullopt);
  EXPECT_EQ(order.evict_one(9), std::nullopt);
  EXPECT_THAT(order.drain(), ElementsAre(0, 2, 4));
}

TEST(Noop, NeverNamesAVictim) {
  Order order("noop");
  EXPECT_FALSE((*order).evicts());
  order.store(1);
  EXPECT_THAT(order.drain(), IsEmpty());
}

TEST(MakePolicy, AnUnknownNameIsAnErrorThatListsTheLegalOnes) {
  const auto policy = make_policy("lru");
  ASSERT_FALSE(policy);
  EXPECT_THAT(policy.error().text, HasSubstr("'lru'"));
  EXPECT_THAT(policy.error().text, HasSubstr(std::string(policy_names())));
}

}  // namespace
}  // namespace lmcache::cache
