// Who may be evicted when: pins, holds, parents, parking. The order is seen through evict_one() and
// find().
#include "cache/chunk_table.hpp"

#include <gmock/gmock.h>

#include "unit/cache/cache_fixture.hpp"

namespace lmcache::cache {
namespace {

using test::hash_of;
using test::kUnit;
using testing::ElementsAre;

class ChunkTableTest : public testing::Test {
 protected:
  /// A chunk of one unit, linked behind `parent`, unpinned.
  ChunkId add(std::uint64_t name, ChunkId parent = kNoId) {
    const std::uint32_t depth = parent == kNoId ? 0 : table_[parent].depth + 1;
    const ChunkId id = table_.create_pinned(space_, hash_of(name), depth);
    EXPECT_TRUE(table_.publish(id, 0, layout_, 0,
                               table_.allocate(kUnit, table_.keyspaces().tenant(space_))));
    if (parent != kNoId) table_.link(id, parent);
    table_.unpin(id);
    return id;
  }
  /// Names of what goes, in order, until nothing goes any more.
  std::vector<std::uint64_t> evict_all(std::uint64_t names) {
    std::vector<std::uint64_t> order;
    std::vector<bool> there(names, false);
    for (std::uint64_t n = 0; n < names; ++n) there[n] = resident(n);
    while (table_.evict_one())
      for (std::uint64_t n = 0; n < names; ++n)
        if (there[n] && !resident(n)) {
          there[n] = false;
          order.push_back(n);
        }
    return order;
  }
  void clear(bool force) {
    const ChunkId end = table_.begin_clear();
    table_.unlink_some(0, end, force);
    table_.drop_some(0, end, force);
    table_.end_clear();
  }
  bool resident(std::uint64_t name) const { return table_.find(space_, hash_of(name)) != kNoId; }

  test::Pool pool_{64};
  ChunkTable table_{pool_.memory(), kUnit, make_policy("LRU").value()};
  KeyspaceId space_ = table_.keyspaces().acquire({"m", "", 1});
  LayoutId layout_ = table_.acquire_layout(test::layout_of(1, {-1}));
};

TEST_F(ChunkTableTest, LeastRecentlyUsedGoesFirst) {
  add(0);
  const ChunkId b = add(1);
  add(2);
  table_.touch(b);
  EXPECT_THAT(evict_all(3), ElementsAre(0, 2, 1));
}

TEST_F(ChunkTableTest, AProbeNoticesMemoryThatNobodyHas) {
  add(0);
  EXPECT_TRUE(table_.probe());
  auto& allocator = const_cast<pool::Allocator&>(table_.allocator());
  const auto lost = allocator.allocate(kUnit);
  EXPECT_FALSE(table_.probe());
  allocator.free(lost.value(), kUnit);
  EXPECT_TRUE(table_.probe());
}

TEST_F(ChunkTableTest, ASequenceGoesFromItsEnd) {
  const ChunkId a = add(0);
  const ChunkId b = add(1, a);
  add(2, b);
  add(3);
  EXPECT_THAT(evict_all(4), ElementsAre(2, 1, 0, 3));
}

TEST_F(ChunkTableTest, AChunkNeverGoesBeforeWhatFollowsItHoweverOldItIs) {
  const ChunkId a = add(0);
  const ChunkId b = add(1, a);
  const ChunkId c = add(2, b);
  const ChunkId d = add(3);
  for (const ChunkId id : {d, b, c}) table_.touch(id);
  // 0 is met first and parked, 3 goes, 1 is parked, and once 2 has gone both follow at once.
  add(4);
  EXPECT_THAT(evict_all(5), ElementsAre(3, 2, 1, 0, 4));
}

TEST_F(ChunkTableTest, AParkedChunkThatIsTouchedIsMostRecent) {
  const ChunkId a = add(0);
  const ChunkId b = add(1, a);
  const ChunkId c = add(2);
  for (const ChunkId id : {c, b}) table_.touch(id);
  ASSERT_TRUE(table_.evict_one());
  EXPECT_FALSE(resident(2));
  ASSERT_EQ(table_[a].place, Place::kParked);
  add(3);
  table_.touch(a);
  EXPECT_THAT(evict_all(4), ElementsAre(1, 3, 0));
}

TEST_F(ChunkTableTest, AParkedChunkThatIsPinnedComesBackAsMostRecent) {
  const ChunkId a = add(0);
  const ChunkId b = add(1, a);
  const ChunkId c = add(2);
  for (const ChunkId id : {c, b}) table_.touch(id);
  ASSERT_TRUE(table_.evict_one());
  ASSERT_EQ(table_[a].place, Place::kParked);
  table_.pin(a);
  EXPECT_THAT(evict_all(3), ElementsAre(1));
  add(3);
  table_.unpin(a);
  EXPECT_THAT(evict_all(4), ElementsAre(3, 0));
}

TEST_F(ChunkTableTest, ClearTakesParkedChunksToo) {
  const ChunkId a = add(0);
  const ChunkId b = add(1, a);
  const ChunkId c = add(2);
  for (const ChunkId id : {c, b}) table_.touch(id);
  ASSERT_TRUE(table_.evict_one());
  ASSERT_EQ(table_[a].place, Place::kParked);
  clear(false);
  EXPECT_EQ(table_.allocator().used_bytes(), 0u);
  EXPECT_FALSE(table_.evict_one());
}

TEST_F(ChunkTableTest, WhatIsPinnedAndLinkedBetweenTheSlicesOfAClearIsLeftWhole) {
  const ChunkId a = add(0);
  const ChunkId b = add(1, a);
  const ChunkId c = add(2);
  table_.pin(c);
  const ChunkId end = table_.begin_clear();
  table_.unlink_some(0, 1, false);
  table_.pin(b);  // while it still hangs on a
  table_.unlink_some(1, end, false);
  table_.drop_some(0, 1, false);
  table_.link(b, c);  // makes none now
  const ChunkId d = add(3, c);
  table_.unpin(c);
  table_.drop_some(1, end, false);
  table_.end_clear();
  EXPECT_FALSE(resident(0));
  EXPECT_TRUE(resident(1));
  EXPECT_FALSE(resident(2));
  EXPECT_TRUE(resident(3));
  table_.unpin(b);
  table_.link(d, b);
  EXPECT_THAT(evict_all(4), ElementsAre(3, 1));
  EXPECT_EQ(table_.allocator().used_bytes(), 0u);
}

TEST_F(ChunkTableTest, AForcedClearInSlicesLeavesNothingToBeFound) {
  const ChunkId a = add(0);
  const ChunkId b = add(1, a);
  table_.pin(b);
  const ChunkId end = table_.begin_clear();
  table_.unlink_some(0, end, true);
  table_.link(b, a);
  table_.drop_some(0, 1, true);
  table_.drop_some(1, end, true);
  table_.end_clear();
  EXPECT_FALSE(resident(0));
  EXPECT_FALSE(resident(1));
  EXPECT_EQ(table_.allocator().used_bytes(), kUnit);
  table_.unpin(b);
  EXPECT_EQ(table_.allocator().used_bytes(), 0u);
}

TEST_F(ChunkTableTest, AncestorsOfAPinnedChunkAreHeld) {
  const ChunkId a = add(0);
  const ChunkId b = add(1, a);
  const ChunkId c = add(2, b);
  add(3, a);
  table_.pin(c);
  EXPECT_EQ(table_.busy_bytes(), 3 * kUnit);
  EXPECT_EQ(table_.obtainable_bytes(0), 61 * kUnit);
  EXPECT_THAT(evict_all(4), ElementsAre(3));
  table_.unpin(c);
  EXPECT_EQ(table_.busy_bytes(), 0u);
  add(4);
  EXPECT_THAT(evict_all(5), ElementsAre(2, 1, 0, 4));
}

TEST_F(ChunkTableTest, ReleasedFrontToBackAPrefixIsStillMoreRecentThanItsEnd) {
  const ChunkId a = add(0);
  const ChunkId b = add(1, a);
  for (const ChunkId id : {a, b}) table_.pin(id);
  table_.unpin(a);
  EXPECT_THAT(evict_all(2), ElementsAre());
  table_.unpin(b);
  EXPECT_THAT(evict_all(2), ElementsAre(1, 0));
}

TEST_F(ChunkTableTest, LinkingAHeldChunkLateHoldsItsParentToo) {
  const ChunkId late = add(0);
  const ChunkId child = table_.create_pinned(space_, hash_of(1), 5);
  table_.link(child, late);
  EXPECT_THAT(evict_all(2), ElementsAre());
  table_.unpin(child);
  EXPECT_THAT(evict_all(2), ElementsAre(1, 0));
}

TEST_F(ChunkTableTest, LinksNeverFormARing) {
  const ChunkId a = add(0);
  const ChunkId b = add(1, a);
  table_.link(a, b);
  table_.link(a, a);
  EXPECT_EQ(table_[a].parent, kNoId);
  table_.pin(b);
  table_.unpin(b);
  EXPECT_THAT(evict_all(2), ElementsAre(1, 0));
}

TEST_F(ChunkTableTest, AParentOnceKnownStays) {
  const ChunkId a = add(0);
  const ChunkId b = add(1);
  const ChunkId c = add(2, a);
  table_.link(c, b);
  EXPECT_EQ(table_[c].parent, a);
  EXPECT_EQ(table_[b].children, 0u);
}

TEST_F(ChunkTableTest, SlotsAreUsedAgain) {
  const ChunkId first = add(0);
  ASSERT_TRUE(table_.evict_one());
  EXPECT_EQ(add(1), first);
  EXPECT_TRUE(resident(1));
  EXPECT_FALSE(resident(0));
}

TEST_F(ChunkTableTest, ManyPinnedChunksDoNotHideTheVictim) {
  const ChunkId old = add(100);
  std::vector<ChunkId> pinned;
  for (std::uint64_t n = 0; n < 50; ++n) {
    pinned.push_back(add(n));
    table_.pin(pinned.back());
  }
  table_.touch(old);
  EXPECT_EQ(table_.evict_one(), kUnit);
  EXPECT_FALSE(resident(100));
  EXPECT_FALSE(table_.evict_one());
  for (const ChunkId id : pinned) table_.unpin(id);
  EXPECT_EQ(evict_all(50).size(), 50u);
}

TEST_F(ChunkTableTest, NamesGoWithTheLastChunk) {
  const ChunkId id = add(0);
  table_.keyspaces().release(space_);
  table_.release_layout(layout_);
  EXPECT_EQ(table_.keyspaces().size(), 1u);
  EXPECT_EQ(table_.layouts().size(), 1u);
  EXPECT_EQ(table_[id].place, Place::kOrdered);
  ASSERT_TRUE(table_.evict_one());
  EXPECT_EQ(table_.keyspaces().size(), 0u);
  EXPECT_EQ(table_.layouts().size(), 0u);
}

TEST(ChunkTableAlignment, ObjectsAreAlignedWhereverTheMemoryStarts) {
  const test::Pool pool(4);
  ChunkTable table(pool.memory().subspan(100), kUnit, make_policy("LRU").value());
  EXPECT_EQ(table.allocator().total_bytes(), 3 * kUnit);
  EXPECT_EQ(
      table.allocate(kUnit, table.keyspaces().tenant(table.keyspaces().acquire({"m", "", 1}))),
      pool.memory().data() + kUnit);
}

}  // namespace
}  // namespace lmcache::cache
