#include <gmock/gmock.h>

#include "unit/cache/cache_fixture.hpp"

namespace lmcache::test {
namespace {

using testing::HasSubstr;

TEST(Eviction, RoomIsMadeFromTheEndOfTheOldestSequence) {
  const Pool pool(10);
  Cache cache(pool.memory(), {});
  const auto a = chain_of(1, 5);
  const auto b = chain_of(2, 5);
  ASSERT_TRUE(store(cache, {}, a));
  ASSERT_TRUE(store(cache, {}, b));
  ASSERT_TRUE(store(cache, {}, chain_of(3, 2)));
  EXPECT_EQ(hit(cache, {}, b), 5u);
  EXPECT_EQ(hit(cache, {}, a), 3u);
  EXPECT_EQ(cache.stats().evicted_objects, 2u);
  EXPECT_EQ(cache.stats().evicted_bytes, 2 * kUnit);
}

TEST(Eviction, ALookupMakesItsHitRecent) {
  const Pool pool(4);
  Cache cache(pool.memory(), {});
  const auto a = chain_of(1, 2);
  const auto b = chain_of(2, 2);
  ASSERT_TRUE(store(cache, {}, a));
  ASSERT_TRUE(store(cache, {}, b));
  EXPECT_EQ(hit(cache, {}, a), 2u);
  ASSERT_TRUE(store(cache, {}, chain_of(3, 1)));
  EXPECT_EQ(hit(cache, {}, b), 1u);
  EXPECT_EQ(hit(cache, {}, a), 2u);
}

TEST(Eviction, TouchMakesRecentWhatIsResident) {
  const Pool pool(4);
  Cache cache(pool.memory(), {});
  const auto a = chain_of(1, 2);
  const auto b = chain_of(2, 2);
  ASSERT_TRUE(store(cache, {}, a));
  ASSERT_TRUE(store(cache, {}, b));
  cache.touch({"model", "", 1}, chain_of(1, 5));
  cache.touch({"unknown", "", 1}, a);
  ASSERT_TRUE(store(cache, {}, chain_of(3, 2)));
  EXPECT_EQ(hit(cache, {}, b), 0u);
  EXPECT_EQ(hit(cache, {}, a), 2u);
}

TEST(Eviction, ACommitTouchesTheWholeChain) {
  const Pool pool(6);
  Cache cache(pool.memory(), {});
  const auto a = chain_of(1, 3);
  const auto b = chain_of(2, 2);
  ASSERT_TRUE(store(cache, {}, std::span(a).first(2)));
  ASSERT_TRUE(store(cache, {}, b));
  ASSERT_TRUE(store(cache, {}, a, 2));
  ASSERT_TRUE(store(cache, {}, chain_of(3, 3)));
  EXPECT_EQ(hit(cache, {}, b), 0u);
  EXPECT_EQ(hit(cache, {}, a), 3u);
}

TEST(Eviction, AllObjectsOfAChunkGoTogether) {
  const Pool pool(16);
  Cache cache(pool.memory(), {});
  const Keyspace two{"model", "", 2};
  const LayoutPtr layout = layout_of(2, {-1, -1});
  const auto a = chain_of(1, 2);
  for (std::uint32_t rank = 0; rank < 2; ++rank) ASSERT_TRUE(store(cache, {two, rank, layout}, a));
  ASSERT_TRUE(store(cache, {}, chain_of(2, 9)));
  EXPECT_EQ(cache.stats().evicted_objects, 4u);
  EXPECT_EQ(cache.lookup(two, a, std::span(&layout, 1)).chunks(), 1u);
}

TEST(Eviction, ALeasedChunkStays) {
  const Pool pool(4);
  Cache cache(pool.memory(), {});
  const auto a = chain_of(1, 2);
  ASSERT_TRUE(store(cache, {}, a));
  {
    const Lease lease = lookup(cache, {}, a);
    for (std::uint64_t n = 2; n < 9; ++n) ASSERT_TRUE(store(cache, {}, chain_of(n, 2)));
    expect_own_bytes(cache.open_read(lease, 0, layout_of(1, {-1}), 0, 2).value(), {}, a);
    EXPECT_FALSE(store(cache, {}, chain_of(9, 3)));
  }
  ASSERT_TRUE(store(cache, {}, chain_of(9, 4)));
  EXPECT_EQ(hit(cache, {}, a), 0u);
}

TEST(Eviction, ReservedMemoryIsNeverTaken) {
  const Pool pool(4);
  Cache cache(pool.memory(), {});
  const auto a = chain_of(1, 2);
  StoreTicket ticket = reserve(cache, {}, a).value();
  fill_objects(ticket, {}, a);
  EXPECT_TRUE(store(cache, {}, chain_of(2, 2)));
  EXPECT_FALSE(store(cache, {}, chain_of(3, 3)));
  cache.commit(std::move(ticket));
  const Lease lease = lookup(cache, {}, a);
  expect_own_bytes(cache.open_read(lease, 0, layout_of(1, {-1}), 0, 2).value(), {}, a);
}

TEST(Eviction, KeepsGoingUntilThereIsOnePieceOfRoom) {
  const Pool pool(8);
  Cache cache(pool.memory(), {});
  for (std::uint64_t n = 0; n < 8; ++n) ASSERT_TRUE(store(cache, {}, chain_of(n, 1)));
  // Every second one is recent, so what goes first leaves holes of one unit.
  for (std::uint64_t n = 0; n < 8; n += 2) EXPECT_EQ(hit(cache, {}, chain_of(n, 1)), 1u);
  EXPECT_TRUE(store(cache, {.layout = layout_of(2, {-1}, 4 * kUnit)}, chain_of(9, 1)));
  EXPECT_GT(cache.stats().evicted_objects, 4u);
}

TEST(Eviction, RoomThatLeasesCutToPiecesIsNoneAndSaysSo) {
  const Pool pool(8);
  Cache cache(pool.memory(), {});
  std::vector<Lease> leases;
  for (std::uint64_t n = 0; n < 8; ++n) ASSERT_TRUE(store(cache, {}, chain_of(n, 1)));
  for (std::uint64_t n = 1; n < 8; n += 2) leases.push_back(lookup(cache, {}, chain_of(n, 1)));
  const auto ticket = reserve(cache, {.layout = layout_of(2, {-1}, 2 * kUnit)}, chain_of(9, 1));
  ASSERT_FALSE(ticket);
  EXPECT_EQ(ticket.error().cause, Cause::kNoMemory);
  EXPECT_THAT(ticket.error().text, HasSubstr("(4096 in one piece)"));
  EXPECT_EQ(cache.stats().reserved_bytes, 0u);
  EXPECT_EQ(cache.stats().chunks, 4u);
}

TEST(Eviction, AStoreThatPlacedItselfBadlyIsPlacedAnew) {
  const Pool pool(7);
  Cache cache(pool.memory(), {});
  // Units 0..6; 3 free. The store's 3 + 3 fit in 0..6 only if neither starts in the middle.
  for (std::uint64_t n = 0; n < 7; ++n) ASSERT_TRUE(store(cache, {}, chain_of(n, 1)));
  const Lease last = lookup(cache, {}, chain_of(6, 1));
  for (const std::uint64_t n : {5u, 0u}) EXPECT_EQ(hit(cache, {}, chain_of(n, 1)), 1u);
  // Least recent first now: 1 2 3 4 5 0. The first three to go leave 1..3, where the first half
  // is put; the rest, 0 4 5, is no room for the second.
  EXPECT_TRUE(store(cache, {.layout = layout_of(2, {-1}, 3 * kUnit)}, chain_of(9, 2)));
}

TEST(Eviction, NoopNeverEvicts) {
  const Pool pool(4);
  Cache cache(pool.memory(), {.policy = "noop", .trigger_watermark = 0.1});
  const auto a = chain_of(1, 3);
  ASSERT_TRUE(store(cache, {}, a));
  EXPECT_EQ(reserve(cache, {}, chain_of(2, 2)).error().cause, Cause::kNoMemory);
  EXPECT_EQ(cache.evict_above_watermark(), 0u);
  EXPECT_TRUE(store(cache, {}, chain_of(2, 1)));
  EXPECT_EQ(hit(cache, {}, a), 3u);
  EXPECT_EQ(cache.stats().evicted_objects, 0u);
  cache.clear(false);
  expect_empty(cache);
}

TEST(Watermark, EvictsByBytesFromTheTriggerToTheTarget) {
  const Pool pool(100);
  Cache cache(pool.memory(), {.trigger_watermark = 0.8, .eviction_ratio = 0.25});
  ASSERT_TRUE(store(cache, {}, chain_of(1, 79)));
  EXPECT_EQ(cache.evict_above_watermark(), 0u);
  ASSERT_TRUE(store(cache, {}, chain_of(2, 1)));
  EXPECT_EQ(cache.evict_above_watermark(), 20 * kUnit);
  EXPECT_EQ(cache.stats().used_bytes, 60 * kUnit);
  EXPECT_EQ(hit(cache, {}, chain_of(2, 1)), 1u);
  EXPECT_EQ(hit(cache, {}, chain_of(1, 79)), 59u);
  EXPECT_EQ(cache.evict_above_watermark(), 0u);
}

TEST(Watermark, GoesOnOverManySteps) {
  const Pool pool(2000);
  Cache cache(pool.memory(), {.trigger_watermark = 0.8, .eviction_ratio = 1.0});
  ASSERT_TRUE(store(cache, {}, chain_of(1, 1700)));
  EXPECT_EQ(cache.evict_above_watermark(), 1700 * kUnit);
  expect_empty(cache);
}

TEST(Watermark, OfOneMeansNever) {
  const Pool pool(10);
  Cache cache(pool.memory(), {});
  ASSERT_TRUE(store(cache, {}, chain_of(1, 10)));
  EXPECT_EQ(cache.evict_above_watermark(), 0u);
}

TEST(Watermark, StopsAtWhatIsLeased) {
  const Pool pool(10);
  Cache cache(pool.memory(), {.trigger_watermark = 0.8});
  ASSERT_TRUE(store(cache, {}, chain_of(1, 9)));
  const Lease lease = lookup(cache, {}, chain_of(1, 8));
  EXPECT_EQ(cache.evict_above_watermark(), kUnit);
  EXPECT_EQ(hit(cache, {}, chain_of(1, 9)), 8u);
}

}  // namespace
}  // namespace lmcache::test
