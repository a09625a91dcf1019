// Stores that become visible before their bytes have come.
#include <gmock/gmock.h>

#include "unit/cache/cache_fixture.hpp"

namespace lmcache::test {
namespace {

using testing::ElementsAre;
using testing::Pair;

class PublishTest : public testing::Test {
 protected:
  Pool pool_{8};
  Cache cache_{pool_.memory(), {}};
  std::vector<ChunkHash> chain_ = chain_of(1, 4);
};

TEST_F(PublishTest, IsVisibleAtOnceAndStaysUntilTheTicketEnds) {
  StoreTicket ticket = reserve(cache_, {}, chain_).value();
  cache_.publish(ticket);
  EXPECT_EQ(hit(cache_, {}, chain_), 4u);
  EXPECT_EQ(cache_.stats().reserved_bytes, 0u);
  // Six more chunks have no room beside these four of eight.
  EXPECT_FALSE(store(cache_, {}, chain_of(2, 6)));
  EXPECT_EQ(hit(cache_, {}, chain_), 4u);
  ticket = StoreTicket();
  EXPECT_TRUE(store(cache_, {}, chain_of(2, 6)));
}

/// Interior windowed objects are the first to go, but not under a copy.
TEST_F(PublishTest, WindowedObjectsStayAsWell) {
  const Side side = with_layout(layout_of(1, {-1, 1}));
  StoreTicket ticket = reserve(cache_, side, chain_).value();
  ASSERT_EQ(ticket.objects().size(), 8u);
  cache_.publish(ticket);
  EXPECT_FALSE(store(cache_, side, chain_of(2, 1)));
  EXPECT_EQ(cache_.stats().objects, 8u);
  ticket = StoreTicket();
  EXPECT_TRUE(store(cache_, side, chain_of(2, 1)));
}

TEST_F(PublishTest, AFailedCopyTakesItsObjectsBack) {
  StoreTicket ticket = reserve(cache_, {}, chain_).value();
  cache_.publish(ticket);
  cache_.withdraw(std::move(ticket));
  EXPECT_EQ(hit(cache_, {}, chain_), 0u);
  EXPECT_EQ(cache_.stats().objects, 0u);
  EXPECT_EQ(cache_.stats().used_bytes, 0u);
  EXPECT_EQ(cache_.stats().pinned_chunks, 0u);
  EXPECT_TRUE(store(cache_, {}, chain_)) << "it blocks no later store";
  EXPECT_EQ(hit(cache_, {}, chain_), 4u);
}

TEST_F(PublishTest, AFailedCopyLeavesWhatWasThereBefore) {
  ASSERT_TRUE(store(cache_, {}, std::vector<ChunkHash>(chain_.begin(), chain_.begin() + 2)));
  StoreTicket ticket = reserve(cache_, {}, chain_).value();
  ASSERT_EQ(ticket.objects().size(), 2u);
  cache_.publish(ticket);
  cache_.withdraw(std::move(ticket));
  EXPECT_EQ(hit(cache_, {}, chain_), 2u);
}

TEST_F(PublishTest, AFailedCopyAfterAClearByForceFreesEverything) {
  StoreTicket ticket = reserve(cache_, {}, chain_).value();
  cache_.publish(ticket);
  cache_.clear(true);
  EXPECT_EQ(hit(cache_, {}, chain_), 0u);
  cache_.withdraw(std::move(ticket));
  EXPECT_EQ(cache_.stats().used_bytes, 0u);
}

/// Nobody finds it any more, but a copy out of it may be queued: until that has ended no store of
/// another tenant may fill its memory.
TEST_F(PublishTest, WithdrawnMemoryStaysWithItsReaders) {
  StoreTicket ticket = reserve(cache_, {}, chain_).value();
  cache_.publish(ticket);
  const auto open = [&] {
    return cache_.open_read(lookup(cache_, {}, chain_), 0, Side().layout, 0, 3).value();
  };
  ReadPins first = open(), second = open();
  EXPECT_TRUE(first.intact());
  cache_.withdraw(std::move(ticket));
  EXPECT_EQ(hit(cache_, {}, chain_), 0u);
  EXPECT_EQ(cache_.stats().objects, 0u);
  EXPECT_FALSE(first.intact());
  EXPECT_FALSE(second.intact());
  EXPECT_EQ(cache_.stats().used_bytes, 3 * kUnit) << "the fourth object has no reader";
  EXPECT_EQ(cache_.stats().reserved_objects, 3u);
  Side other;
  other.keyspace.salt = "other";
  EXPECT_FALSE(store(cache_, other, chain_of(2, 6)));
  ASSERT_TRUE(store(cache_, other, chain_of(2, 5)));
  const ReadPins theirs =
      cache_.open_read(lookup(cache_, other, chain_of(2, 5)), 0, other.layout, 0, 5).value();
  for (const ObjectRef& mine : second.objects())
    for (const ObjectRef& object : theirs.objects()) EXPECT_NE(mine.data, object.data);
  EXPECT_TRUE(theirs.intact());
  first = ReadPins();
  EXPECT_EQ(cache_.stats().used_bytes, 8 * kUnit);
  second = ReadPins();
  EXPECT_EQ(cache_.stats().used_bytes, 5 * kUnit);
  EXPECT_TRUE(cache_.probe());
}

TEST_F(PublishTest, WhatWasWithdrawnCanBeStoredAnewBesideItsReaders) {
  StoreTicket ticket = reserve(cache_, {}, chain_).value();
  cache_.publish(ticket);
  const ReadPins stale =
      cache_.open_read(lookup(cache_, {}, chain_), 0, Side().layout, 0, 4).value();
  cache_.withdraw(std::move(ticket));
  ASSERT_TRUE(store(cache_, {}, chain_));
  const ReadPins fresh =
      cache_.open_read(lookup(cache_, {}, chain_), 0, Side().layout, 0, 4).value();
  expect_own_bytes(fresh, {}, chain_);
  EXPECT_TRUE(fresh.intact());
  EXPECT_FALSE(stale.intact());
  cache_.clear(true);
  EXPECT_EQ(cache_.stats().used_bytes, 8 * kUnit);
}

TEST_F(PublishTest, WithdrawnMemoryOfAReaderGoesWithItAfterAClearByForce) {
  StoreTicket ticket = reserve(cache_, {}, chain_).value();
  cache_.publish(ticket);
  {
    const ReadPins read =
        cache_.open_read(lookup(cache_, {}, chain_), 0, Side().layout, 0, 4).value();
    cache_.clear(true);
    cache_.withdraw(std::move(ticket));
    EXPECT_EQ(cache_.stats().used_bytes, 4 * kUnit);
  }
  expect_empty(cache_);
}

/// A store that finds a part of its range there must not call it stored before it is.
TEST_F(PublishTest, ALaterStoreKnowsWhatOthersStillCopy) {
  ASSERT_TRUE(store(cache_, {}, chain_of(3, 1)));
  EXPECT_TRUE(reserve(cache_, {}, chain_of(3, 1)).value().others().empty()) << "nobody copies";
  StoreTicket first = reserve(cache_, {}, std::span(chain_).first(2)).value();
  cache_.publish(first);
  StoreTicket second = reserve(cache_, {}, chain_).value();
  EXPECT_THAT(places(second.objects()), ElementsAre(Pair(2, 0), Pair(3, 0)));
  EXPECT_THAT(places(second.others()), ElementsAre(Pair(0, 0), Pair(1, 0)));
  EXPECT_TRUE(second.intact());
  cache_.publish(second);
  cache_.withdraw(std::move(first));
  EXPECT_FALSE(second.intact());
  second = StoreTicket();
  EXPECT_EQ(cache_.stats().used_bytes, 3 * kUnit);
}

TEST_F(PublishTest, WhatAnotherStoreHasWonIsOneOfTheOthers) {
  StoreTicket first = reserve(cache_, {}, chain_).value(),
              second = reserve(cache_, {}, chain_).value();
  EXPECT_TRUE(second.others().empty());
  cache_.publish(first);
  cache_.publish(second);
  EXPECT_THAT(places(second.others()), ElementsAre(Pair(0, 0), Pair(1, 0), Pair(2, 0), Pair(3, 0)));
  cache_.withdraw(std::move(first));
  EXPECT_FALSE(second.intact());
}

/// A ticket that was never published is simply dropped.
TEST_F(PublishTest, WithdrawingAnUnpublishedTicketGivesItsMemoryBack) {
  cache_.withdraw(reserve(cache_, {}, chain_).value());
  EXPECT_EQ(cache_.stats().used_bytes, 0u);
}

}  // namespace
}  // namespace lmcache::test
