// Stores that become visible before their bytes have come.
#include "unit/cache/cache_fixture.hpp"

namespace lmcache::test {
namespace {

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

/// A ticket that was never published is simply dropped.
TEST_F(PublishTest, WithdrawingAnUnpublishedTicketGivesItsMemoryBack) {
  cache_.withdraw(reserve(cache_, {}, chain_).value());
  EXPECT_EQ(cache_.stats().used_bytes, 0u);
}

}  // namespace
}  // namespace lmcache::test
