#include <gmock/gmock.h>

#include "unit/cache/cache_fixture.hpp"

namespace lmcache::test {
namespace {

class LookupTest : public testing::Test {
 protected:
  Pool pool_{256};
  Cache cache_{pool_.memory(), {}};
  std::vector<ChunkHash> chain_ = chain_of(1, 6);
};

TEST_F(LookupTest, AnEmptyCacheHitsNothing) {
  EXPECT_EQ(hit(cache_, {}, chain_), 0u);
  EXPECT_EQ(cache_.lookup({"m", "s", 0}, chain_, {}).chunks(), 0u);
}

TEST_F(LookupTest, HitsTheLongestStoredPrefix) {
  ASSERT_TRUE(store(cache_, {}, std::span(chain_).first(4)));
  EXPECT_EQ(hit(cache_, {}, chain_), 4u);
  EXPECT_EQ(hit(cache_, {}, std::span(chain_).first(3)), 3u);
  EXPECT_EQ(hit(cache_, {}, {}), 0u);
  auto other_end = chain_;
  other_end[2] = hash_of(999);
  EXPECT_EQ(hit(cache_, {}, other_end), 2u);
}

TEST_F(LookupTest, EveryPartOfTheKeyspaceSeparates) {
  ASSERT_TRUE(store(cache_, {}, chain_));
  for (const Keyspace& other :
       {Keyspace{"model2", "", 1}, Keyspace{"model", "salt", 1}, Keyspace{"model", "", 2}})
    EXPECT_EQ(hit(cache_, {.keyspace = other}, chain_), 0u);
}

TEST_F(LookupTest, LayoutsOfEqualSizeNeverMeet) {
  ASSERT_TRUE(store(cache_, {}, chain_));
  const LayoutPtr other = layout_of(2, {-1});
  EXPECT_EQ(hit(cache_, {.layout = other}, chain_), 0u);
  ASSERT_TRUE(store(cache_, {.layout = other}, std::span(chain_).first(2)));
  EXPECT_EQ(hit(cache_, {.layout = other}, chain_), 2u);
  EXPECT_EQ(hit(cache_, {}, chain_), 6u);
  const Lease lease = lookup(cache_, {}, chain_);
  const auto read = cache_.open_read(lease, 0, other, 0, 6);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().cause, Cause::kNotLeased);
}

TEST_F(LookupTest, AllRanksMustHaveAPrefix) {
  const Keyspace two{"model", "", 2};
  ASSERT_TRUE(store(cache_, {.keyspace = two, .rank = 0}, chain_));
  EXPECT_EQ(hit(cache_, {.keyspace = two}, chain_), 0u);
  ASSERT_TRUE(store(cache_, {.keyspace = two, .rank = 1}, std::span(chain_).first(2)));
  EXPECT_EQ(hit(cache_, {.keyspace = two}, chain_), 2u);
}

TEST_F(LookupTest, RanksMayBeServedByDifferentLayouts) {
  const Keyspace two{"model", "", 2};
  const std::vector<LayoutPtr> both{layout_of(1, {-1}), layout_of(2, {-1}), layout_of(1, {-1}),
                                    layout_of(3, {-1}), nullptr};
  ASSERT_TRUE(store(cache_, {two, 0, both[0]}, chain_));
  ASSERT_TRUE(store(cache_, {two, 1, both[1]}, std::span(chain_).first(5)));
  EXPECT_EQ(cache_.lookup(two, chain_, both).chunks(), 5u);
}

TEST_F(LookupTest, WindowedGroupsAreNeededAtTheEndOnly) {
  const Side side = with_layout(layout_of(1, {-1, 2}));
  auto wanted = all_of(side.layout, 6);
  wanted[1] = {true, true, false, true, true, false};
  cache_.commit(cache_.reserve(side.keyspace, 0, side.layout, chain_, 0, wanted).value());
  EXPECT_EQ(hit(cache_, side, chain_), 5u);
  EXPECT_EQ(hit(cache_, side, std::span(chain_).first(4)), 2u);
}

TEST_F(LookupTest, WithWindowsOnlyTheHitReachesOverAGap) {
  const Side side = with_layout(layout_of(1, {2}));
  auto wanted = all_of(side.layout, 6);
  wanted[0] = {false, false, true, true, false, false};
  cache_.commit(cache_.reserve(side.keyspace, 0, side.layout, chain_, 0, wanted).value());
  const Lease lease = lookup(cache_, side, chain_);
  ASSERT_EQ(lease.chunks(), 4u);
  EXPECT_TRUE(lease.holds(0));
  EXPECT_EQ(cache_.stats().pinned_chunks, 2u);
  EXPECT_EQ(cache_.open_read(lease, 0, side.layout, 0, 4).value().objects().size(), 2u);
  // The gap itself cannot be read.
  EXPECT_EQ(cache_.open_read(lease, 0, side.layout, 0, 2).error().cause, Cause::kNotLeased);
}

TEST_F(LookupTest, AuxiliaryGroupsNeitherHinderNorMakeAHit) {
  auto layout = std::make_shared<ObjectLayout>();
  layout->fingerprint[0] = std::byte{7};
  layout->groups = {{kUnit, -1, false}, {kUnit, -1, true}};
  const Side side = with_layout(layout);
  auto wanted = all_of(layout, 6);
  wanted[1].assign(6, false);
  cache_.commit(cache_.reserve(side.keyspace, 0, layout, chain_, 0, wanted).value());
  EXPECT_EQ(hit(cache_, side, chain_), 6u);

  const auto aux =
      std::make_shared<ObjectLayout>(ObjectLayout{{std::byte{8}}, {{kUnit, -1, true}}});
  ASSERT_TRUE(store(cache_, {.layout = aux}, chain_));
  EXPECT_EQ(hit(cache_, {.layout = aux}, chain_), 0u);
}

TEST_F(LookupTest, TheLeasePinsTheHitAndReleasesItByChunkOrAtTheEnd) {
  ASSERT_TRUE(store(cache_, {}, chain_));
  {
    Lease lease = lookup(cache_, {}, std::span(chain_).first(4));
    EXPECT_EQ(cache_.stats().pinned_chunks, 4u);
    lease.release(1);
    lease.release(1);
    lease.release(77);
    EXPECT_EQ(cache_.stats().pinned_chunks, 3u);
    EXPECT_FALSE(lease.holds(1));
    EXPECT_TRUE(lease.holds(2));
    EXPECT_FALSE(lease.holds(77));
    EXPECT_EQ(lease.chunks(), 4u);
  }
  EXPECT_EQ(cache_.stats().pinned_chunks, 0u);
}

TEST_F(LookupTest, LeasesOfOneChunkAreCountedOneByOne) {
  ASSERT_TRUE(store(cache_, {}, chain_));
  Lease a = lookup(cache_, {}, chain_);
  Lease b = lookup(cache_, {}, chain_);
  a.release(0);
  a.release(0);
  EXPECT_EQ(cache_.stats().pinned_chunks, 6u);
  b.release(0);
  EXPECT_EQ(cache_.stats().pinned_chunks, 5u);
}

TEST_F(LookupTest, MovingALeaseMovesThePins) {
  ASSERT_TRUE(store(cache_, {}, chain_));
  Lease a = lookup(cache_, {}, chain_);
  Lease b = std::move(a);
  EXPECT_EQ(b.chunks(), 6u);
  b = lookup(cache_, {}, std::span(chain_).first(1));
  EXPECT_EQ(cache_.stats().pinned_chunks, 1u);
  b = Lease();
  EXPECT_EQ(cache_.stats().pinned_chunks, 0u);
  b.release(0);
  EXPECT_EQ(b.chunks(), 0u);
}

TEST_F(LookupTest, AChunkTwiceInOneChainIsLeasedTwice) {
  const std::vector<ChunkHash> twice{hash_of(1), hash_of(2), hash_of(1), hash_of(2)};
  ASSERT_TRUE(store(cache_, {}, twice));
  EXPECT_EQ(cache_.stats().objects, 2u);
  EXPECT_EQ(cache_.stats().used_bytes, 2 * kUnit);
  Lease lease = lookup(cache_, {}, twice);
  EXPECT_EQ(lease.chunks(), 4u);
  lease.release(0);
  EXPECT_EQ(cache_.stats().pinned_chunks, 2u);
  lease.release(2);
  EXPECT_EQ(cache_.stats().pinned_chunks, 1u);
}

TEST_F(LookupTest, HandlesMayOutliveTheCache) {
  auto cache = std::make_unique<Cache>(pool_.memory(), CacheOptions{});
  ASSERT_TRUE(store(*cache, {}, chain_));
  Lease lease = lookup(*cache, {}, chain_);
  const auto longer = chain_of(1, 9);
  const StoreTicket ticket = reserve(*cache, {}, longer, 6).value();
  const ReadPins read = cache->open_read(lease, 0, layout_of(1, {-1}), 0, 6).value();
  cache.reset();
  lease.release(3);
  expect_own_bytes(read, {}, chain_);
}

TEST_F(LookupTest, OfManyLayoutsThoseOfTheFirstChunkAreConsidered) {
  const Pool pool(200);
  Cache cache(pool.memory(), {});
  std::vector<LayoutPtr> layouts;
  for (std::uint8_t id = 1; id <= 60; ++id) {
    layouts.push_back(layout_of(id, {-1}));
    ASSERT_TRUE(store(cache, with_layout(layouts.back()), chain_of(100 + std::uint64_t{id}, 1)));
  }
  const auto found = [&](std::span<const ChunkHash> chain) {
    return cache.lookup(Side{}.keyspace, chain, layouts).chunks();
  };
  EXPECT_EQ(found(chain_), 0u);
  ASSERT_TRUE(store(cache, with_layout(layouts.back()), chain_));
  EXPECT_EQ(found(chain_), 6u);
  // The limit: the first sixteen of more that have it.
  const auto other = chain_of(300, 4);
  for (std::size_t i = 0; i < 16; ++i)
    ASSERT_TRUE(store(cache, with_layout(layouts[i]), std::span(other).first(1)));
  ASSERT_TRUE(store(cache, with_layout(layouts[30]), other));
  EXPECT_EQ(found(other), 1u);
  layouts.erase(layouts.begin());
  EXPECT_EQ(found(other), 4u);
}

TEST(CacheOptions, BadOnesThrow) {
  const Pool pool(1);
  EXPECT_THROW(Cache(pool.memory(), {.align_bytes = 3000}), std::invalid_argument);
  EXPECT_THROW(Cache(pool.memory(), {.align_bytes = 0}), std::invalid_argument);
  EXPECT_THROW(Cache(pool.memory(), {.policy = "FIFO"}), std::invalid_argument);
}

}  // namespace
}  // namespace lmcache::test
