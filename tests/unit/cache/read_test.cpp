#include <gmock/gmock.h>

#include "unit/cache/cache_fixture.hpp"

namespace lmcache::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

class ReadTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(store(cache_, side_, chain_)); }
  Result<ReadPins> open(const Lease& lease, std::uint32_t first, std::uint32_t last) {
    return cache_.open_read(lease, 0, side_.layout, first, last);
  }

  Pool pool_{32};
  Cache cache_{pool_.memory(), {}};
  std::vector<ChunkHash> chain_ = chain_of(1, 5);
  Side other_ = with_layout(layout_of(2, {-1}));
  Side side_ = with_layout(layout_of(1, {-1, 2}));
};

TEST_F(ReadTest, GivesTheStoredBytesOfWhatTheRangeNeeds) {
  const Lease lease = lookup(cache_, side_, chain_);
  const ReadPins read = open(lease, 1, 5).value();
  EXPECT_THAT(places(read.objects()),
              ElementsAre(Pair(1, 0), Pair(2, 0), Pair(3, 0), Pair(3, 1), Pair(4, 0), Pair(4, 1)));
  expect_own_bytes(read, side_, chain_);
}

TEST_F(ReadTest, AnEmptyRangeNeedsNothing) {
  const Lease lease = lookup(cache_, side_, chain_);
  EXPECT_THAT(open(lease, 2, 2).value().objects(), IsEmpty());
}

TEST_F(ReadTest, NeedsTheLeaseOfEveryChunk) {
  Lease lease = lookup(cache_, side_, std::span(chain_).first(4));
  EXPECT_EQ(open(lease, 0, 5).error().cause, Cause::kNotLeased);
  EXPECT_EQ(open(lease, 3, 2).error().cause, Cause::kNotLeased);
  EXPECT_EQ(open(Lease(), 0, 1).error().cause, Cause::kNotLeased);
  lease.release(1);
  EXPECT_EQ(open(lease, 0, 4).error().cause, Cause::kNotLeased);
  EXPECT_TRUE(open(lease, 2, 4));
  EXPECT_EQ(cache_.stats().pinned_chunks, 3u);
}

TEST_F(ReadTest, ALeaseOfAnotherCacheIsNone) {
  const Pool pool(32);
  Cache other(pool.memory(), {});
  ASSERT_TRUE(store(other, side_, chain_));
  EXPECT_EQ(open(lookup(other, side_, chain_), 0, 5).error().cause, Cause::kNotLeased);
}

TEST_F(ReadTest, AMissingObjectFailsBeforeAnythingIsPinned) {
  const Lease lease = lookup(cache_, side_, chain_);
  const auto none = cache_.open_read(lease, 3, side_.layout, 0, 5);
  EXPECT_EQ(none.error().cause, Cause::kNotLeased);
  EXPECT_EQ(cache_.open_read(lease, 0, layout_of(9, {-1}), 0, 5).error().cause, Cause::kNotLeased);
  EXPECT_EQ(cache_.open_read(lease, 0, nullptr, 0, 5).error().cause, Cause::kNotLeased);
  EXPECT_EQ(cache_.stats().pinned_chunks, 5u);
}

TEST_F(ReadTest, PinsOutliveTheLease) {
  Lease lease = lookup(cache_, side_, chain_);
  const ReadPins read = open(lease, 3, 5).value();
  lease = Lease();
  EXPECT_EQ(cache_.stats().pinned_chunks, 2u);
  // All else may go, but not the beginning of a sequence that is in use, of which windowed objects
  // are no part.
  EXPECT_FALSE(store(cache_, other_, chain_of(2, 26)));
  EXPECT_TRUE(store(cache_, other_, chain_of(2, 25)));
  cache_.clear(false);
  EXPECT_EQ(cache_.stats().chunks, 2u);
  cache_.clear(true);
  EXPECT_EQ(cache_.stats().chunks, 0u);
  ASSERT_TRUE(store(cache_, other_, chain_of(3, 28)));
  expect_own_bytes(read, side_, chain_);
}

}  // namespace
}  // namespace lmcache::test
