#include <gmock/gmock.h>

#include "obs/metrics.hpp"
#include "unit/cache/cache_fixture.hpp"

namespace lmcache::test {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;

class StoreTest : public testing::Test {
 protected:
  Pool pool_{32};
  Cache cache_{pool_.memory(), {}};
  std::vector<ChunkHash> chain_ = chain_of(1, 4);
};

TEST_F(StoreTest, ReservedMemoryIsInvisibleUntilCommitted) {
  StoreTicket ticket = reserve(cache_, {}, chain_).value();
  EXPECT_EQ(hit(cache_, {}, chain_), 0u);
  EXPECT_EQ(cache_.stats().reserved_bytes, 4 * kUnit);
  EXPECT_EQ(cache_.stats().used_bytes, 4 * kUnit);
  EXPECT_EQ(cache_.stats().objects, 0u);
  cache_.commit(std::move(ticket));
  EXPECT_EQ(hit(cache_, {}, chain_), 4u);
  EXPECT_EQ(cache_.stats().reserved_bytes, 0u);
  EXPECT_EQ(cache_.stats().used_bytes, 4 * kUnit);
  EXPECT_EQ(cache_.stats().objects, 4u);
  EXPECT_EQ(cache_.stats().pinned_chunks, 0u);
}

TEST_F(StoreTest, ADroppedTicketLeavesNothingAndBlocksNobody) {
  reserve(cache_, {}, chain_).value();
  expect_empty(cache_);
  EXPECT_TRUE(store(cache_, {}, chain_));
  EXPECT_EQ(hit(cache_, {}, chain_), 4u);
}

TEST_F(StoreTest, ObjectsHaveTheirLogicalSizeAndDoNotOverlap) {
  const Side side = with_layout(layout_of(1, {-1, 1}, 5000));
  const StoreTicket ticket = reserve(cache_, side, chain_).value();
  ASSERT_EQ(ticket.objects().size(), 8u);
  std::vector<std::byte*> starts;
  for (const ObjectRef& object : ticket.objects()) {
    EXPECT_EQ(object.bytes, 5000u);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(object.data) % kUnit, 0u);
    starts.push_back(object.data);
  }
  std::ranges::sort(starts);
  for (std::size_t i = 1; i < starts.size(); ++i) EXPECT_GE(starts[i] - starts[i - 1], 5000);
  EXPECT_EQ(cache_.stats().used_bytes, 16 * kUnit);
}

TEST_F(StoreTest, OnlyWantedAndMissingObjectsAreListed) {
  const Side side = with_layout(layout_of(1, {-1, 1}));
  auto wanted = all_of(side.layout, 4);
  wanted[1] = {true, false, false, true};
  cache_.commit(cache_
                    .reserve(side.keyspace, 0, side.layout, std::span(chain_).first(2), 0,
                             std::vector<std::vector<bool>>{{true, true}, {true, false}})
                    .value());
  const StoreTicket ticket =
      cache_.reserve(side.keyspace, 0, side.layout, chain_, 0, wanted).value();
  EXPECT_THAT(places(ticket.objects()), ElementsAre(Pair(2, 0), Pair(3, 0), Pair(3, 1)));
}

TEST_F(StoreTest, NothingMissingIsAnEmptyTicketThatKeepsTheChainPinned) {
  ASSERT_TRUE(store(cache_, {}, chain_));
  {
    const StoreTicket ticket = reserve(cache_, {}, chain_).value();
    EXPECT_THAT(ticket.objects(), IsEmpty());
    EXPECT_EQ(cache_.stats().pinned_chunks, 4u);
  }
  EXPECT_EQ(cache_.stats().pinned_chunks, 0u);
  cache_.commit(reserve(cache_, {}, chain_, 4).value());
  cache_.commit(reserve(cache_, {}, {}).value());
  cache_.commit(StoreTicket());
  EXPECT_EQ(cache_.stats().objects, 4u);
}

TEST_F(StoreTest, OfTwoStoresOfOneChunkTheFirstToCommitWins) {
  StoreTicket a = reserve(cache_, {}, chain_).value();
  StoreTicket b = reserve(cache_, {}, chain_).value();
  ASSERT_EQ(b.objects().size(), 4u);
  fill_objects(b, {}, chain_);
  for (const ObjectRef& object : a.objects()) std::memset(object.data, 0xEE, object.bytes);
  cache_.commit(std::move(b));
  EXPECT_EQ(cache_.stats().used_bytes, 8 * kUnit);
  const Lease lease = lookup(cache_, {}, chain_);
  cache_.commit(std::move(a));
  EXPECT_EQ(cache_.stats().used_bytes, 4 * kUnit);
  EXPECT_EQ(cache_.stats().objects, 4u);
  expect_own_bytes(cache_.open_read(lease, 0, layout_of(1, {-1}), 0, 4).value(), {}, chain_);
}

TEST_F(StoreTest, AStoreThatStartsInTheMiddleContinuesTheChain) {
  ASSERT_TRUE(store(cache_, {}, std::span(chain_).first(2)));
  ASSERT_TRUE(store(cache_, {}, chain_, 2));
  EXPECT_EQ(hit(cache_, {}, chain_), 4u);
}

TEST_F(StoreTest, AnUnknownBeginningIsLinkedWhenItArrives) {
  ASSERT_TRUE(store(cache_, {}, chain_, 2));
  EXPECT_EQ(hit(cache_, {}, chain_), 0u);
  ASSERT_TRUE(store(cache_, {}, chain_));
  EXPECT_EQ(hit(cache_, {}, chain_), 4u);
  EXPECT_EQ(cache_.stats().objects, 4u);
  // Leaf first from now on: room for one takes the end and leaves a servable prefix.
  ASSERT_TRUE(store(cache_, {}, chain_of(2, 29)));
  EXPECT_EQ(hit(cache_, {}, chain_), 3u);
}

TEST_F(StoreTest, AnOpenTicketKeepsWhatItFoundResident) {
  ASSERT_TRUE(store(cache_, {}, chain_));
  const auto longer = chain_of(1, 6);
  StoreTicket ticket = reserve(cache_, {}, longer, 2).value();
  EXPECT_EQ(ticket.objects().size(), 2u);
  ASSERT_TRUE(store(cache_, {}, chain_of(2, 26)));
  ASSERT_FALSE(store(cache_, {}, chain_of(3, 27)));
  cache_.commit(std::move(ticket));
  EXPECT_EQ(hit(cache_, {}, longer), 6u);
}

TEST_F(StoreTest, MoreThanThereIsFailsWithoutEvictingAnything) {
  ASSERT_TRUE(store(cache_, {}, chain_));
  ASSERT_TRUE(store(cache_, {}, chain_of(2, 10)));
  const Lease lease = lookup(cache_, {}, chain_);
  const obs::Counter& without_room = obs::metrics().allocation_failures.row({"model"}).objects;
  const std::uint64_t before = without_room.value();
  const auto ticket = reserve(cache_, {}, chain_of(3, 29));
  ASSERT_FALSE(ticket);
  EXPECT_EQ(ticket.error().cause, Cause::kNoMemory);
  EXPECT_THAT(ticket.error().text, AllOf(HasSubstr("118784"), HasSubstr("73728 are free"),
                                         HasSubstr("16384 leased"), HasSubstr("131072")));
  EXPECT_EQ(cache_.stats().evicted_objects, 0u);
  EXPECT_EQ(without_room.value() - before, 29u);
  EXPECT_EQ(cache_.stats().objects, 14u);
  EXPECT_EQ(cache_.stats().reserved_bytes, 0u);
  EXPECT_TRUE(store(cache_, {}, chain_of(3, 28)));
  EXPECT_EQ(hit(cache_, {}, chain_), 4u);
}

TEST_F(StoreTest, TheChainsOwnChunksAreNoRoomForItsRest) {
  ASSERT_TRUE(store(cache_, {}, chain_));
  EXPECT_EQ(reserve(cache_, {}, chain_of(1, 33)).error().cause, Cause::kNoMemory);
  EXPECT_EQ(hit(cache_, {}, chain_), 4u);
  EXPECT_TRUE(store(cache_, {}, chain_of(1, 32)));
}

TEST_F(StoreTest, HugeAndZeroSizedObjects) {
  const auto huge = layout_of(5, {-1, -1}, UINT64_MAX - 5);
  EXPECT_EQ(reserve(cache_, {.layout = huge}, chain_).error().cause, Cause::kNoMemory);
  const auto half = layout_of(6, {-1, -1}, UINT64_MAX / 2);
  EXPECT_EQ(reserve(cache_, {.layout = half}, chain_).error().cause, Cause::kNoMemory);
  expect_empty(cache_);
  const Side zero = with_layout(layout_of(7, {-1}, 0));
  ASSERT_TRUE(store(cache_, zero, chain_));
  const Lease lease = lookup(cache_, zero, chain_);
  ASSERT_EQ(lease.chunks(), 4u);
  const ReadPins read = cache_.open_read(lease, 0, zero.layout, 0, 4).value();
  EXPECT_EQ(read.objects()[3].bytes, 0u);
}

TEST_F(StoreTest, SixtyFourGroupsWork) {
  const Pool pool(64 * 4);
  Cache cache(pool.memory(), {});
  const Side side = with_layout(layout_of(1, std::vector<std::int32_t>(64, -1)));
  ASSERT_TRUE(store(cache, side, chain_));
  EXPECT_EQ(hit(cache, side, chain_), 4u);
  EXPECT_EQ(cache.stats().free_bytes, 0u);
}

TEST_F(StoreTest, ArgumentsThatMakeNoSenseAreErrors) {
  const Keyspace one{"m", "", 1};
  const LayoutPtr layout = layout_of(1, {-1});
  const auto all = all_of(layout, 4);
  const auto cause = [&](const Keyspace& keyspace, std::uint32_t rank, const LayoutPtr& groups,
                         std::uint32_t first, const std::vector<std::vector<bool>>& wanted) {
    return cache_.reserve(keyspace, rank, groups, chain_, first, wanted).error().cause;
  };
  EXPECT_EQ(cause({"m", "", 0}, 0, layout, 0, all), Cause::kBadRange);
  EXPECT_EQ(cause({"m", "", 4097}, 0, layout, 0, all), Cause::kBadRange);
  EXPECT_EQ(cause(one, 1, layout, 0, all), Cause::kBadRange);
  EXPECT_EQ(cause(one, 0, layout, 5, all), Cause::kBadRange);
  EXPECT_EQ(cause(one, 0, layout_of(2, {}), 0, {}), Cause::kBadGeometry);
  const auto wide = layout_of(2, std::vector<std::int32_t>(65, -1));
  EXPECT_EQ(cause(one, 0, wide, 0, all_of(wide, 4)), Cause::kBadGeometry);
  EXPECT_EQ(cause(one, 0, nullptr, 0, all), Cause::kInternal);
  EXPECT_EQ(cause(one, 0, layout, 0, all_of(layout, 3)), Cause::kInternal);
  EXPECT_EQ(cause(one, 0, layout, 0, {}), Cause::kInternal);
  expect_empty(cache_);
}

TEST_F(StoreTest, OneFingerprintWithDifferentGroupsIsRefused) {
  ASSERT_TRUE(store(cache_, {}, chain_));
  const Side liar = with_layout(layout_of(1, {-1}, 2 * kUnit));
  EXPECT_EQ(reserve(cache_, liar, chain_of(2, 1)).error().cause, Cause::kBadGeometry);
}

TEST_F(StoreTest, AllRanksUpToTheLimitShareAChunk) {
  const Pool pool(4096);
  Cache cache(pool.memory(), {.align_bytes = 64});
  const LayoutPtr layout = layout_of(1, {-1}, 64);
  for (std::uint32_t rank = 0; rank < 4096; ++rank) {
    ASSERT_TRUE(store(cache, {{"m", "", 4096}, rank, layout}, std::span(chain_).first(2)));
  }
  EXPECT_EQ(cache.stats().chunks, 2u);
  EXPECT_EQ(cache.stats().objects, 8192u);
  EXPECT_EQ(hit(cache, {{"m", "", 4096}, 0, layout}, chain_), 2u);
}

TEST(StoreOfParts, WhatNoPartCanHoldIsRefusedWithNothingEvicted) {
  const Pool pool(16);
  Cache cache(pool.memory(), {.part_bytes = 8 * kUnit});
  ASSERT_TRUE(store(cache, {}, chain_of(1, 14)));
  EXPECT_EQ(cache.stats().free_bytes, kUnit);  // the last unit of the first part is not used
  const Side large = with_layout(layout_of(2, {-1}, 9 * kUnit));
  const auto refused = reserve(cache, large, chain_of(2, 1));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().cause, Cause::kNoMemory);
  EXPECT_THAT(refused.error().text, testing::HasSubstr("one of 36864 bytes, and L1 can hold none "
                                                       "of more than 32768"));
  EXPECT_EQ(cache.stats().evicted_objects, 0u);
  EXPECT_EQ(hit(cache, {}, chain_of(1, 14)), 14u);
  EXPECT_TRUE(store(cache, with_layout(layout_of(3, {-1}, 8 * kUnit)), chain_of(3, 1)));
}

}  // namespace
}  // namespace lmcache::test
