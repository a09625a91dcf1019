#include <gmock/gmock.h>

#include "unit/cache/cache_fixture.hpp"

namespace lmcache::test {
namespace {

class ClearTest : public testing::Test {
 protected:
  Pool pool_{32};
  Cache cache_{pool_.memory(), {}};
  std::vector<ChunkHash> chain_ = chain_of(1, 4);
  LayoutPtr layout_ = layout_of(1, {-1});
};

TEST_F(ClearTest, DropsEverythingUnpinned) {
  ASSERT_TRUE(store(cache_, {}, chain_));
  cache_.clear(false);
  expect_empty(cache_);
  EXPECT_EQ(cache_.stats().evicted_objects, 0u);
  EXPECT_EQ(hit(cache_, {}, chain_), 0u);
  cache_.clear(true);
  ASSERT_TRUE(store(cache_, {}, chain_));
  EXPECT_EQ(hit(cache_, {}, chain_), 4u);
}

TEST_F(ClearTest, LeavesWhatIsLeased) {
  ASSERT_TRUE(store(cache_, {}, chain_));
  const Lease lease = lookup(cache_, {}, std::span(chain_).first(2));
  cache_.clear(false);
  EXPECT_EQ(hit(cache_, {}, chain_), 2u);
  EXPECT_EQ(cache_.stats().chunks, 2u);
  expect_own_bytes(cache_.open_read(lease, 0, layout_, 0, 2).value(), {}, chain_);
}

TEST_F(ClearTest, AnUnpinnedBeginningGoesAndTheLeasedRestIsFreedLater) {
  ASSERT_TRUE(store(cache_, {}, chain_));
  Lease lease = lookup(cache_, {}, chain_);
  lease.release(0);
  lease.release(1);
  cache_.clear(false);
  EXPECT_EQ(cache_.stats().chunks, 2u);
  EXPECT_TRUE(cache_.open_read(lease, 0, layout_, 2, 4));
  lease = Lease();
  // What was left is an ordinary chunk again: evicted when there is need.
  ASSERT_TRUE(store(cache_, {}, chain_of(2, 32)));
  cache_.clear(false);
  expect_empty(cache_);
}

TEST_F(ClearTest, ForceHidesLeasedChunksAtOnceAndFreesThemWithTheLastPin) {
  ASSERT_TRUE(store(cache_, {}, chain_));
  Lease lease = lookup(cache_, {}, chain_);
  cache_.clear(true);
  EXPECT_EQ(hit(cache_, {}, chain_), 0u);
  EXPECT_EQ(cache_.stats().chunks, 0u);
  EXPECT_EQ(cache_.stats().pinned_chunks, 4u);
  EXPECT_EQ(cache_.stats().used_bytes, 4 * kUnit);
  {
    const ReadPins read = cache_.open_read(lease, 0, layout_, 0, 4).value();
    lease = Lease();
    expect_own_bytes(read, {}, chain_);
    EXPECT_EQ(cache_.stats().used_bytes, 4 * kUnit);
    EXPECT_FALSE(store(cache_, {}, chain_of(2, 29)));
    EXPECT_TRUE(store(cache_, {}, chain_of(2, 28)));
    expect_own_bytes(read, {}, chain_);
  }
  EXPECT_EQ(cache_.stats().used_bytes, 28 * kUnit);
  EXPECT_EQ(cache_.stats().pinned_chunks, 0u);
}

TEST_F(ClearTest, ANewStoreAfterForceMakesNewChunks) {
  ASSERT_TRUE(store(cache_, {}, chain_));
  Lease old = lookup(cache_, {}, chain_);
  cache_.clear(true);
  ASSERT_TRUE(store(cache_, {}, chain_));
  EXPECT_EQ(cache_.stats().objects, 8u);
  const Lease now = lookup(cache_, {}, chain_);
  ASSERT_EQ(now.chunks(), 4u);
  EXPECT_NE(cache_.open_read(old, 0, layout_, 0, 1).value().objects()[0].data,
            cache_.open_read(now, 0, layout_, 0, 1).value().objects()[0].data);
  cache_.clear(true);
  old = Lease();
  EXPECT_EQ(cache_.stats().objects, 4u);
}

TEST_F(ClearTest, AnOpenTicketSurvives) {
  StoreTicket ticket = reserve(cache_, {}, chain_).value();
  fill_objects(ticket, {}, chain_);
  cache_.clear(false);
  cache_.clear(true);
  cache_.commit(std::move(ticket));
  const Lease lease = lookup(cache_, {}, chain_);
  ASSERT_EQ(lease.chunks(), 4u);
  expect_own_bytes(cache_.open_read(lease, 0, layout_, 0, 4).value(), {}, chain_);
}

TEST_F(ClearTest, ATicketWhoseChunksWereClearedByForceStoresItsOwnPart) {
  const Keyspace two{"model", "", 2};
  ASSERT_TRUE(store(cache_, {two, 0, layout_}, chain_));
  StoreTicket ticket = reserve(cache_, {two, 1, layout_}, chain_).value();
  cache_.clear(true);
  EXPECT_EQ(cache_.stats().used_bytes, 8 * kUnit);
  cache_.commit(std::move(ticket));
  EXPECT_EQ(cache_.stats().used_bytes, 4 * kUnit);
  EXPECT_EQ(cache_.stats().pinned_chunks, 0u);
  ASSERT_TRUE(store(cache_, {two, 0, layout_}, chain_));
  EXPECT_EQ(hit(cache_, {two, 0, layout_}, chain_), 4u);
  cache_.clear(false);
  expect_empty(cache_);
}

TEST(ClearInSteps, OthersStoreAndLookUpBetweenThem) {
  const Pool pool(8000);
  Cache cache(pool.memory(), {});
  for (std::uint64_t n = 0; n < 50; ++n) ASSERT_TRUE(store(cache, {}, chain_of(n, 100)));
  const Lease lease = lookup(cache, {}, chain_of(7, 100));
  Clearing clearing = cache.begin_clear(false);
  std::uint64_t steps = 1;
  std::uint64_t stored = 0;
  for (; !clearing.step(); ++steps) {
    const auto chain = chain_of(1000 + steps, 10);
    ASSERT_TRUE(store(cache, {}, chain));
    stored += hit(cache, {}, chain);
    EXPECT_EQ(hit(cache, {}, chain_of(7, 100)), 100u);
  }
  EXPECT_GT(steps, 5u);
  EXPECT_EQ(stored, (steps - 1) * 10);
  EXPECT_EQ(hit(cache, {}, chain_of(8, 100)), 0u);
  EXPECT_LE(cache.stats().chunks, 100 + stored);
  EXPECT_TRUE(clearing.step()) << "done is done";
}

TEST(ClearInSteps, OneThatIsGivenUpLeavesACacheThatWorks) {
  const Pool pool(8000);
  Cache cache(pool.memory(), {});
  for (std::uint64_t n = 0; n < 50; ++n) ASSERT_TRUE(store(cache, {}, chain_of(n, 100)));
  for (const std::size_t steps : {0u, 1u, 7u}) {
    Clearing clearing = cache.begin_clear(steps == 7);
    for (std::size_t i = 0; i < steps; ++i) static_cast<void>(clearing.step());
  }
  for (std::uint64_t n = 0; n < 120; ++n) {
    ASSERT_TRUE(store(cache, {}, chain_of(n, 100)));
    ASSERT_EQ(hit(cache, {}, chain_of(n, 100)), 100u);
  }
  cache.clear(false);
  expect_empty(cache);
}

/// A chunk that was to go next, was cleared and whose id now serves another tenant's chunk, itself
/// the next to go there.
TEST(ClearOfTenants, LeavesNobodyAsTheNextToGoForAnother) {
  const Pool pool(32);
  Cache cache(pool.memory(), {.policy = "IsolatedLRU", .quotas = {{"a", {1, UINT64_MAX}}}});
  const auto units = [&](const char* salt) { return cache.tenant(salt).used_bytes / kUnit; };
  const auto side = [](const char* salt) {
    return Side{{"model", salt, 1}, 0, layout_of(1, {-1})};
  };
  const Side a = side("a"), b = side("b");
  const auto pair = chain_of(1, 2);
  const auto evict_one = [&](const char* salt) {
    const std::uint64_t before = units(salt);
    ASSERT_TRUE(cache.set_limit(salt, (before - 1) * kUnit));
    ASSERT_TRUE(cache.remove_limit(salt));
    ASSERT_EQ(units(salt), before - 1);
  };
  // The first of the pair is the oldest, so it is parked; the last of the pair is the youngest.
  ASSERT_TRUE(store(cache, a, pair));
  ASSERT_TRUE(store(cache, a, chain_of(2, 1)));
  cache.touch(a.keyspace, std::span(pair).last(1));
  evict_one("a");
  cache.clear(false);
  expect_empty(cache);
  // Ids come back last first: the first of this pair gets the id of the first of that one, and goes
  // next once the last has gone.
  ASSERT_TRUE(store(cache, b, chain_of(3, 1)));
  ASSERT_TRUE(store(cache, b, pair));
  cache.touch(b.keyspace, std::span(pair).last(1));
  cache.touch(b.keyspace, chain_of(3, 1));
  evict_one("b");
  ASSERT_EQ(units("b"), 2u);

  ASSERT_TRUE(store(cache, a, chain_of(4, 1)));
  ASSERT_TRUE(cache.set_limit("a", 0));
  EXPECT_EQ(units("a"), 0u);
  EXPECT_EQ(units("b"), 2u);
}

}  // namespace
}  // namespace lmcache::test
