// What GITTINS learns and the order that follows from it.
#include "cache/gittins.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <set>

#include "unit/cache/policy_order.hpp"

namespace lmcache::cache {
namespace {

using testing::ElementsAre;
using testing::UnorderedElementsAre;

constexpr ChunkId kClock = 1'000'000;  ///< used to let time pass; never in order

using test::kBytes;

void pass_time(test::Order& order, int uses) {
  (*order).admit(kClock, {kClock, 0, kNoId});
  for (int i = 1; i < uses; ++i) (*order).hit(kClock);
}

/// The rest of the life of a chunk that nobody waits for.
void drop(test::Order& order, ChunkId id) {
  (*order).remove(id);
  (*order).evicted(id);
}

/// `chunks` are used in turn, `resident` of them fit: hits in the last of `rounds`.
int hits_of_a_cycle(test::Order& order, ChunkId chunks, std::size_t resident, int rounds) {
  std::set<ChunkId> there;
  int hits = 0;
  for (int round = 0; round < rounds; ++round) {
    hits = 0;
    for (ChunkId id = 0; id < chunks; ++id) {
      if (there.contains(id)) {
        order.use(id);
        ++hits;
        continue;
      }
      if (there.size() == resident) there.erase(order.evict_one().value());
      order.store(id);
      there.insert(id);
    }
  }
  return hits;
}

TEST(Gittins, OfWhatComesBackAfterALongPauseItKeepsSomeAllTheWay) {
  const auto hits = [](const char* policy) {
    test::Order order(policy);
    return hits_of_a_cycle(order, 4000, 2000, 30);
  };
  EXPECT_EQ(hits("LRU"), 0);
  EXPECT_LT(hits("LFU"), 200);
  EXPECT_GT(hits("GITTINS"), 1600);
}

/// All chunks come back 1000 uses after they were stored.
void teach_a_pause(test::Order& order, ChunkId first) {
  for (ChunkId id = first; id < first + 10'000; ++id) {
    order.store(id);
    if (id < first + 500) {
      pass_time(order, 1);
      continue;
    }
    order.use(id - 500);
    drop(order, id - 500);
  }
  for (ChunkId id = first + 9500; id < first + 10'000; ++id) drop(order, id);
}

TEST(Gittins, WhatIsPastItsTimeGoesThenWhatIsFarFromItThenWhatIsDue) {
  test::Order order("GITTINS");
  teach_a_pause(order, 100);
  order.store(1);
  pass_time(order, 2000);
  order.store(2);
  pass_time(order, 800);
  order.store(3);
  pass_time(order, 10);
  EXPECT_THAT(order.drain(), ElementsAre(1, 3, 2));
}

TEST(Gittins, BeforeItHasLearntTheLeastRecentlyUsedGoes) {
  test::Order order("GITTINS");
  for (const ChunkId id : {1u, 2u, 3u}) {
    order.store(id);
    pass_time(order, 500);
  }
  order.use(1);
  pass_time(order, 500);
  EXPECT_THAT(order.drain(), ElementsAre(2, 3, 1));
}

TEST(Gittins, OfEquallyLikelyOnesTheLargeGoesFirst) {
  test::Order order("GITTINS");
  order.store(0, kBytes);
  order.store(1, 15 * kBytes);
  order.store(2, kBytes);
  EXPECT_THAT(order.drain(), ElementsAre(1, 0, 2));
}

/// Sizes of one power of two are one list, but not of one weight.
TEST(Gittins, OfTwoPowersOfTwoTheBytesThemselvesAreCompared) {
  test::Order order("GITTINS");
  order.store(0, 1023);
  pass_time(order, 300);
  order.store(1, 1025);
  EXPECT_THAT(order.drain(), ElementsAre(0, 1));
}

/// Two chunks of which the second follows the first, and `branches` behind that. All are used once.
void store_stem(test::Order& order, ChunkId first, ChunkId branches) {
  Policy& policy = *order;
  policy.admit(first, {first, 0, kNoId, kNoId});
  policy.admit(first + 1, {first + 1, 0, first, first});
  for (ChunkId id = first + 2; id < first + 2 + branches; ++id) {
    policy.admit(id, {id, 0, id == first + 2 ? first + 1 : kNoId, first + 1});
    policy.insert(id, kBytes);
  }
  policy.insert(first + 1, kBytes);
  policy.insert(first, kBytes);
}

/// Beginnings behind which sequences part come back, and those of one sequence do not.
TEST(Gittins, WhereSequencesPartTheirWholeBeginningIsOfAClassOfItsOwn) {
  test::Order order("GITTINS");
  for (ChunkId round = 0; round < 4000; ++round) {
    const ChunkId at = 100 + 20 * round;
    store_stem(order, at, 2);
    store_stem(order, at + 10, 1);
    if (round < 200) continue;
    const ChunkId old = at - 20 * 200;
    for (const ChunkId id : {old, old + 1}) order.use(id);
    for (const ChunkId id : {0u, 1u, 2u, 3u, 10u, 11u, 12u}) drop(order, old + id);
  }
  order.drain();
  store_stem(order, 20, 2);
  store_stem(order, 30, 1);
  pass_time(order, 100);
  EXPECT_THAT(order.evict(5), UnorderedElementsAre(22, 23, 32, 31, 30));
  EXPECT_THAT(order.drain(), ElementsAre(21, 20));
}

TEST(Gittins, ASequenceIsKnownByHowOftenItsBeginningWasUsed) {
  test::Order order("GITTINS");
  // What was used once never comes back, what was used more often does.
  for (ChunkId id = 100; id < 20'000; ++id) {
    order.store(id);
    if (id % 2 == 0) {
      order.use(id);
      pass_time(order, 200);
      order.use(id);
    }
    if (id >= 400) drop(order, id - 300);
  }
  order.drain();
  order.store(0);
  order.use(0);
  (*order).admit(1, {1001, 0, 0, 0});
  (*order).insert(1, kBytes);
  order.store(2);
  pass_time(order, 300);
  EXPECT_EQ(order.evict_one(), 2u);
}

/// Whoever waits for its next use is counted once, as resident or by name.
TEST(Gittins, NobodyIsCountedTwiceOrAfterItHasGone) {
  test::Order order("GITTINS");
  auto& gittins = dynamic_cast<Gittins&>(*order);
  std::mt19937 random(1);
  std::set<ChunkId> there;
  for (int step = 0; step < 200'000; ++step) {
    const auto id = static_cast<ChunkId>(random() % 600);
    const std::uint64_t bytes = 1 + id * id;
    if (there.contains(id)) {
      if (random() % 8 == 0) {  // cleared
        gittins.remove(id);
        there.erase(id);
        gittins.admit(id, {id + 1000, 0, kNoId, kNoId});
        gittins.insert(id, bytes);
        there.insert(id);
      } else if (random() % 4 == 0) {
        gittins.touch(id);
      } else {
        order.use(id, bytes);
      }
    } else {
      gittins.admit(id, {id + 1000, 0, kNoId, there.empty() ? kNoId : *there.begin()});
      gittins.insert(id, bytes);
      there.insert(id);
    }
    if (there.size() > 300) there.erase(order.evict_one().value());
    ASSERT_EQ(gittins.waiting(), there.size() + gittins.remembered());
  }
  EXPECT_GT(gittins.remembered(), 100u);
  std::vector<ChunkId> all(there.begin(), there.end());
  EXPECT_THAT(order.drain(), testing::UnorderedElementsAreArray(all));
}

}  // namespace
}  // namespace lmcache::cache
