#include "unit/cache/cache_fixture.hpp"

#include <gmock/gmock.h>

#include <set>

namespace lmcache {
namespace {

using namespace test;

class Listing : public testing::Test {
 protected:
  void store(const Side& side, std::span<const ChunkHash> chain) {
    auto ticket = reserve(cache_, side, chain);
    ASSERT_TRUE(ticket);
    cache_.commit(std::move(*ticket));
  }

  /// All objects, a page of `max` at a time.
  std::vector<ListedObject> all(std::size_t max, const std::string& model = {}) {
    std::vector<ListedObject> out;
    ListCursor cursor;
    for (bool more = true; more;) {
      std::vector<ListedObject> page;
      more = cache_.list(cursor, max, model, page);
      EXPECT_LE(page.size(), max);
      if (more) {
        EXPECT_EQ(page.size(), max);
      }
      out.insert(out.end(), page.begin(), page.end());
    }
    return out;
  }

  Pool pool_{64};
  Cache cache_{pool_.memory(), {}};
};

TEST_F(Listing, OfAnEmptyCacheIsEmpty) {
  EXPECT_TRUE(all(10).empty());
}

TEST_F(Listing, HasEveryObjectOnceWhateverThePageSize) {
  Side side = with_layout(layout_of(1, {-1, -1, -1}, 1000));
  side.keyspace = {"model", "salt", 2};
  side.rank = 1;
  store(side, chain_of(1, 4));
  for (const std::size_t max : {1u, 2u, 5u, 12u, 100u}) {
    const auto objects = all(max);
    std::set<std::pair<std::byte, std::uint32_t>> distinct;
    for (const ListedObject& object : objects) {
      distinct.emplace(object.hash.bytes[0], object.group);
      EXPECT_EQ(object.keyspace, side.keyspace);
      EXPECT_EQ(object.rank, 1u);
      EXPECT_EQ(object.bytes, 1000u);
    }
    EXPECT_EQ(objects.size(), 12u) << max;
    EXPECT_EQ(distinct.size(), 12u) << max;
  }
}

TEST_F(Listing, OfOneModelLeavesOutTheOthers) {
  Side other;
  other.keyspace.model = "other";
  store(Side{}, chain_of(1, 3));
  store(other, chain_of(2, 2));
  EXPECT_EQ(all(2).size(), 5u);
  EXPECT_EQ(all(2, "other").size(), 2u);
  EXPECT_TRUE(all(2, "nobody's").empty());
}

TEST_F(Listing, WhatIsClearedWithForceIsGoneThoughItIsLeased) {
  const Side side;
  store(side, chain_of(1, 3));
  const std::vector<LayoutPtr> layouts{side.layout};
  const Lease lease = cache_.lookup(side.keyspace, chain_of(1, 3), layouts);
  EXPECT_EQ(cache_.pinned_objects(), 3u);
  cache_.clear(true);
  EXPECT_TRUE(all(10).empty());
  EXPECT_EQ(cache_.pinned_objects(), 0u);
}

TEST_F(Listing, ReservedObjectsAreCountedUntilTheyAreThereOrGivenBack) {
  const Side side;
  {
    const auto given_back = reserve(cache_, side, chain_of(1, 3));
    ASSERT_TRUE(given_back);
    EXPECT_EQ(cache_.stats().reserved_objects, 3u);
    EXPECT_TRUE(all(10).empty());
  }
  EXPECT_EQ(cache_.stats().reserved_objects, 0u);
  store(side, chain_of(2, 2));
  EXPECT_EQ(cache_.stats().reserved_objects, 0u);
  EXPECT_EQ(all(10).size(), 2u);
}

}  // namespace
}  // namespace lmcache
