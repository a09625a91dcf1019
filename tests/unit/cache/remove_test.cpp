// Objects removed by name: what goes with them, what is in use, what comes meanwhile.
#include <gmock/gmock.h>

#include "unit/cache/cache_fixture.hpp"

namespace lmcache::test {
namespace {

std::vector<ObjectName> names_of(const Side& side, std::span<const ChunkHash> chain,
                                 std::uint32_t group = 0) {
  std::vector<ObjectName> names;
  for (const ChunkHash& hash : chain) names.push_back({side.keyspace, hash, side.rank, group});
  return names;
}

MATCHER_P2(Did, removed, skipped, "") {
  return arg.removed == std::uint64_t{removed} && arg.skipped == std::uint64_t{skipped};
}

class RemoveTest : public testing::Test {
 protected:
  Removal remove(std::span<const ChunkHash> chain, bool force = false) {
    return cache_.remove(names_of({}, chain), force);
  }
  Pool pool_{64};
  Cache cache_{pool_.memory(), {}};
  std::vector<ChunkHash> chain_ = chain_of(1, 6);
  LayoutPtr layout_ = layout_of(1, {-1});
};

TEST_F(RemoveTest, TheEndOfAChainGoesAlone) {
  ASSERT_TRUE(store(cache_, {}, chain_));
  EXPECT_THAT(remove(std::span(chain_).last(2)), Did(2u, 0u));
  EXPECT_EQ(hit(cache_, {}, chain_), 4u);
  EXPECT_EQ(cache_.stats().used_bytes, 4 * kUnit);
  EXPECT_EQ(cache_.stats().evicted_objects, 0u);
}

TEST_F(RemoveTest, WhatIsBehindGoesWithIt) {
  ASSERT_TRUE(store(cache_, {}, chain_));
  auto branch = chain_;
  branch[4] = hash_of(77);
  branch[5] = hash_of(78);
  ASSERT_TRUE(store(cache_, {}, branch));
  ASSERT_TRUE(store(cache_, {}, chain_of(2, 5)));
  EXPECT_THAT(remove(std::span(chain_).subspan(2, 1)), Did(1u, 0u));
  EXPECT_EQ(hit(cache_, {}, chain_), 2u);
  EXPECT_EQ(hit(cache_, {}, branch), 2u);
  EXPECT_EQ(cache_.stats().chunks, 2u + 5u);
  EXPECT_EQ(cache_.stats().used_bytes, 7 * kUnit);
  EXPECT_EQ(hit(cache_, {}, chain_of(2, 5)), 5u);
  ASSERT_TRUE(store(cache_, {}, chain_));
  EXPECT_EQ(hit(cache_, {}, chain_), 6u);
}

TEST_F(RemoveTest, EachNamedIsCountedOnceAndOnlyIfItWasThere) {
  ASSERT_TRUE(store(cache_, {}, chain_));
  auto names = names_of({}, chain_);
  const auto again = names_of({}, std::span(chain_).first(3));
  names.insert(names.end(), again.begin(), again.end());
  names.push_back({{"model", "", 1}, hash_of(99), 0, 0});       // no such chunk
  names.push_back({{"model", "", 1}, chain_[0], 1, 0});         // no such rank
  names.push_back({{"model", "", 1}, chain_[0], 0, 1});         // no such group
  names.push_back({{"model", "", 1}, chain_[0], 0, 1u << 20});  // no such group anywhere
  names.push_back({{"model", "salt", 1}, chain_[0], 0, 0});     // no such keyspace
  EXPECT_THAT(cache_.remove(names, false), Did(6u, 0u));
  expect_empty(cache_);
  EXPECT_THAT(cache_.remove(names, false), Did(0u, 0u));
  EXPECT_THAT(cache_.remove({}, true), Did(0u, 0u));
}

TEST_F(RemoveTest, AllRanksAndGroupsOfAChunkGoTogether) {
  const Keyspace two{"model", "", 2};
  const LayoutPtr layout = layout_of(3, {-1, -1});
  for (const std::uint32_t rank : {0u, 1u}) ASSERT_TRUE(store(cache_, {two, rank, layout}, chain_));
  EXPECT_THAT(cache_.remove(names_of({two, 1, layout}, std::span(chain_).first(1), 1), false),
              Did(1u, 0u));
  expect_empty(cache_);
}

TEST_F(RemoveTest, WhatIsLeasedIsSkippedWithAllThatIsBeforeIt) {
  ASSERT_TRUE(store(cache_, {}, chain_));
  Lease lease = lookup(cache_, {}, std::span(chain_).first(3));
  EXPECT_THAT(remove(chain_), Did(3u, 3u));
  EXPECT_EQ(hit(cache_, {}, chain_), 3u);
  lease.release(0);
  EXPECT_THAT(remove(std::span(chain_).first(1)), Did(0u, 1u)) << "the lease has what is behind it";
  expect_own_bytes(cache_.open_read(lease, 0, layout_, 1, 3).value(), {}, chain_);
  lease = Lease();
  EXPECT_THAT(remove(std::span(chain_).first(1)), Did(1u, 0u));
  expect_empty(cache_);
}

TEST_F(RemoveTest, ForceHidesWhatIsInUseAndItsLastUserFreesIt) {
  ASSERT_TRUE(store(cache_, {}, chain_));
  Lease lease = lookup(cache_, {}, std::span(chain_).first(4));
  EXPECT_THAT(remove(std::span(chain_).first(1), true), Did(1u, 0u));
  EXPECT_EQ(hit(cache_, {}, chain_), 0u);
  EXPECT_EQ(cache_.stats().chunks, 0u);
  EXPECT_EQ(cache_.stats().used_bytes, 4 * kUnit);
  {
    const ReadPins read = cache_.open_read(lease, 0, layout_, 0, 4).value();
    lease = Lease();
    EXPECT_EQ(cache_.stats().used_bytes, 4 * kUnit);
    expect_own_bytes(read, {}, chain_);
  }
  expect_empty(cache_);
}

TEST_F(RemoveTest, AWindowedObjectGoesAloneUnlessItIsNeeded) {
  const Side side = with_layout(layout_of(4, {-1, 1}));
  ASSERT_TRUE(store(cache_, side, chain_));
  const std::uint64_t before = cache_.stats().used_bytes;
  ASSERT_EQ(cache_.stats().objects, 12u);
  {
    const Lease lease = lookup(cache_, side, chain_);
    EXPECT_THAT(cache_.remove(names_of(side, std::span(chain_).last(1), 1), false), Did(0u, 1u));
    EXPECT_THAT(cache_.remove(names_of(side, std::span(chain_).first(1), 1), false), Did(1u, 0u));
  }
  EXPECT_THAT(cache_.remove(names_of(side, std::span(chain_).last(1), 1), false), Did(1u, 0u));
  EXPECT_EQ(cache_.stats().used_bytes, before - 2 * kUnit);
  EXPECT_EQ(cache_.stats().window_objects, 4u);
  EXPECT_EQ(hit(cache_, side, chain_), 5u);
  EXPECT_THAT(cache_.remove(names_of(side, std::span(chain_).first(1), 0), false), Did(1u, 0u));
  expect_empty(cache_);
}

TEST_F(RemoveTest, ForceTakesTheChunkOfAWindowedObjectThatIsNeeded) {
  const Side side = with_layout(layout_of(4, {-1, 1}));
  ASSERT_TRUE(store(cache_, side, chain_));
  Lease lease = lookup(cache_, side, chain_);
  EXPECT_THAT(cache_.remove(names_of(side, std::span(chain_).last(1), 1), true), Did(1u, 0u));
  EXPECT_EQ(hit(cache_, side, chain_), 5u);
  expect_own_bytes(cache_.open_read(lease, 0, side.layout, 0, 6).value(), side, chain_);
  lease = Lease();
  EXPECT_EQ(cache_.stats().chunks, 5u);
}

TEST_F(RemoveTest, AStoreUnderWayKeepsItsChain) {
  ASSERT_TRUE(store(cache_, {}, std::span(chain_).first(3)));
  StoreTicket ticket = reserve(cache_, {}, chain_, 3).value();
  EXPECT_THAT(remove(std::span(chain_).first(3)), Did(0u, 3u));
  EXPECT_THAT(remove(std::span(chain_).first(3), true), Did(3u, 0u));
  fill_objects(ticket, {}, chain_);
  cache_.commit(std::move(ticket));
  EXPECT_EQ(hit(cache_, {}, chain_), 0u) << "its beginning has gone";
  EXPECT_EQ(cache_.stats().chunks, 3u);
  ASSERT_TRUE(store(cache_, {}, chain_));
  EXPECT_EQ(hit(cache_, {}, chain_), 6u);
}

/// Chunks of many sequences in many slices, ids in no order after evictions: exactly what follows
/// what was named goes.
TEST(RemoveOfMany, LeavesExactlyThePrefixes) {
  const Pool pool(6000);
  Cache cache(pool.memory(), {});
  for (std::uint64_t n = 0; n < 200; ++n)
    ASSERT_TRUE(store(cache, {}, chain_of(n, 20 + n * 7 % 60)));
  std::vector<ObjectName> names;
  std::uint64_t left = 0, named = 0;
  std::vector<std::uint32_t> before;
  for (std::uint64_t n = 0; n < 200; ++n) {
    const auto chain = chain_of(n, 20 + n * 7 % 60);
    const std::uint32_t has = hit(cache, {}, chain);
    const auto cut = static_cast<std::uint32_t>(n * 13 % 25);
    before.push_back(n % 3 == 0 ? std::min(has, cut) : has);
    left += before.back();
    if (n % 3 != 0) continue;
    if (cut < has) ++named;
    names.push_back({{"model", "", 1}, chain[cut], 0, 0});
  }
  EXPECT_THAT(cache.remove(names, false), Did(named, 0u));
  for (std::uint64_t n = 0; n < 200; ++n)
    ASSERT_EQ(hit(cache, {}, chain_of(n, 20 + n * 7 % 60)), before[n]) << n;
  EXPECT_EQ(cache.stats().chunks, left);
  EXPECT_TRUE(cache.probe());
  cache.clear(false);
  expect_empty(cache);
}

}  // namespace
}  // namespace lmcache::test
