#include "cache/hit_finder.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace lmcache::cache {
namespace {

/// [chunk] -> shards, as the table keeps them.
using Column = std::vector<Shard>;

struct Answer {
  std::uint32_t best = 0;
  std::size_t looked_at = 0;
};

Answer find(std::uint32_t world, std::span<const HitLayout> layouts,
            std::span<const Column> columns) {
  HitFinder finder(world, layouts);
  Answer answer;
  for (const Column& column : columns) {
    ++answer.looked_at;
    if (!finder.add(column)) break;
  }
  answer.best = finder.best();
  return answer;
}

HitLayout layout(LayoutId id, const std::vector<std::int32_t>& windows) {
  ObjectLayout groups;
  for (const std::int32_t window : windows) groups.groups.push_back({1, window, false});
  return {id, groups};
}

/// One rank and layout 0; a mask of groups per chunk, 0 for an absent chunk.
std::vector<Column> columns_of(const std::vector<std::uint64_t>& masks) {
  std::vector<Column> columns;
  for (const std::uint64_t mask : masks)
    columns.push_back(mask == 0 ? Column{} : Column{Shard{mask, 0, 0, 0}});
  return columns;
}

TEST(HitFinder, FullGroupsNeedEveryChunk) {
  const std::vector layouts{layout(0, {-1})};
  EXPECT_EQ(find(1, layouts, columns_of({1, 1, 1})).best, 3u);
  EXPECT_EQ(find(1, layouts, columns_of({1, 1, 0, 1})).best, 2u);
  EXPECT_EQ(find(1, layouts, columns_of({0, 1})).best, 0u);
  EXPECT_EQ(find(1, layouts, {}).best, 0u);
}

TEST(HitFinder, StopsAtTheFirstChunkThatEndsEveryPrefix) {
  const std::vector layouts{layout(0, {-1, 1})};
  EXPECT_EQ(find(1, layouts, columns_of({3, 2, 3, 3})).looked_at, 2u);
  EXPECT_EQ(find(1, layouts, columns_of({3, 0, 3, 3})).looked_at, 2u);
}

TEST(HitFinder, AWindowCutsTheHitToWhereItIsSatisfied) {
  const std::vector layouts{layout(0, {-1, 2})};
  EXPECT_EQ(find(1, layouts, columns_of({3, 3, 1, 1})).best, 2u);
  EXPECT_EQ(find(1, layouts, columns_of({3, 3, 1, 3})).best, 2u);
  EXPECT_EQ(find(1, layouts, columns_of({3, 3, 1, 3, 3})).best, 5u);
  EXPECT_EQ(find(1, layouts, columns_of({1, 1, 1})).best, 0u);
}

TEST(HitFinder, AWindowLongerThanThePrefixNeedsOnlyThePrefix) {
  const std::vector layouts{layout(0, {-1, 100})};
  EXPECT_EQ(find(1, layouts, columns_of({3, 3, 3})).best, 3u);
  EXPECT_EQ(find(1, layouts, columns_of({3, 1, 3, 3})).best, 1u);
}

TEST(HitFinder, WithOnlyWindowsAHitMayLieBeyondAGap) {
  const std::vector layouts{layout(0, {1, 2})};
  EXPECT_EQ(find(1, layouts, columns_of({0, 0, 3, 3})).best, 4u);
  EXPECT_EQ(find(1, layouts, columns_of({0, 0, 3})).best, 0u);
  EXPECT_EQ(find(1, layouts, columns_of({3, 0, 3})).best, 1u);
}

TEST(HitFinder, WindowsAreCountedPerGroup) {
  const std::vector layouts{layout(0, {2, 3})};
  EXPECT_EQ(find(1, layouts, columns_of({0, 2, 3, 1, 3, 3, 3})).best, 7u);
  EXPECT_EQ(find(1, layouts, columns_of({0, 2, 3, 3})).best, 4u);
  EXPECT_EQ(find(1, layouts, columns_of({0, 3, 2, 3})).best, 0u);
}

TEST(HitFinder, EveryRankMustBeServed) {
  const std::vector layouts{layout(0, {-1})};
  const Column both{Shard{1, 0, 0, 0}, Shard{1, 0, 1, 0}};
  const Column one{Shard{1, 0, 1, 0}};
  EXPECT_EQ(find(2, layouts, std::vector{both, both, one, both}).best, 2u);
  EXPECT_EQ(find(2, layouts, std::vector{one, one}).best, 0u);
}

TEST(HitFinder, AnyOneLayoutServesARankButNeverHalfOfEach) {
  const std::vector layouts{layout(0, {-1}), layout(1, {-1})};
  const Column a{Shard{1, 0, 0, 0}};
  const Column b{Shard{1, 1, 0, 0}};
  const Column both{Shard{1, 0, 0, 0}, Shard{1, 1, 0, 0}};
  EXPECT_EQ(find(1, layouts, std::vector{both, both, b}).best, 3u);
  EXPECT_EQ(find(1, layouts, std::vector{a, b}).best, 1u);
  const Column mixed{Shard{1, 0, 1, 0}, Shard{1, 1, 0, 0}};
  EXPECT_EQ(find(2, layouts, std::vector{mixed, mixed}).best, 2u);
}

TEST(HitFinder, ForeignLayoutsDoNotCount) {
  const std::vector layouts{layout(3, {-1})};
  EXPECT_EQ(find(1, layouts, columns_of({1, 1})).best, 0u);
}

TEST(HitFinder, AuxiliaryGroupsAreIgnored) {
  ObjectLayout groups;
  groups.groups = {{1, -1, false}, {1, -1, true}, {1, 2, true}};
  const std::vector layouts{HitLayout(0, groups)};
  EXPECT_TRUE(layouts[0].servable());
  EXPECT_EQ(find(1, layouts, columns_of({1, 1})).best, 2u);
  groups.groups[0].auxiliary = true;
  EXPECT_FALSE(HitLayout(0, groups).servable());
}

TEST(HitFinder, TheLastOf64GroupsAnd4096RanksCount) {
  std::vector<std::int32_t> windows(64, -1);
  windows[63] = 1;
  const std::vector layouts{layout(0, windows)};
  Column column;
  for (std::uint32_t rank = 0; rank < 4096; ++rank)
    column.push_back(Shard{~std::uint64_t{0}, 0, rank, 0});
  std::vector columns{column, column};
  EXPECT_EQ(find(4096, layouts, columns).best, 2u);
  columns[1].back().present = ~std::uint64_t{0} >> 1;
  EXPECT_EQ(find(4096, layouts, columns).best, 1u);
}

TEST(HitFinder, TakesMemoryForWhatIsThere) {
  std::vector<HitLayout> layouts;
  for (LayoutId id = 0; id < 16; ++id) layouts.push_back(layout(id, {-1, 1}));
  layouts.push_back(layout(16, {1}));
  HitFinder finder(4096, layouts);
  EXPECT_EQ(finder.cells(), 0u);
  EXPECT_TRUE(finder.add(Column{Shard{3, 2, 4095, 0}}));
  EXPECT_EQ(finder.cells(), 1u);
  // A full row that misses the first chunk serves nothing any more, a window may.
  EXPECT_TRUE(finder.add(Column{Shard{3, 2, 7, 0}, Shard{3, 5, 1, 0}, Shard{1, 16, 0, 0}}));
  EXPECT_EQ(finder.cells(), 2u);
}

/// The rule word for word.
std::uint32_t naive(std::uint32_t world, const std::vector<HitLayout>& layouts,
                    const std::vector<Column>& columns) {
  const auto present = [&](std::size_t chunk, LayoutId id, std::uint32_t rank, std::size_t group) {
    return std::ranges::any_of(columns[chunk], [&](const Shard& s) {
      return s.layout == id && s.rank == rank && (s.present >> group & 1) != 0;
    });
  };
  const auto cell_serves = [&](const HitLayout& l, std::uint32_t rank, std::size_t length) {
    for (std::size_t g = 0; g < l.windows.size(); ++g) {
      const std::uint64_t bit = std::uint64_t{1} << g;
      if (((l.full | l.windowed) & bit) == 0) continue;
      const std::size_t needed =
          (l.full & bit) != 0 ? length : std::min<std::size_t>(l.windows[g], length);
      for (std::size_t i = length - needed; i < length; ++i)
        if (!present(i, l.id, rank, g)) return false;
    }
    return true;
  };
  for (std::size_t length = columns.size(); length > 0; --length) {
    bool all = true;
    for (std::uint32_t rank = 0; rank < world && all; ++rank)
      all = std::ranges::any_of(layouts,
                                [&](const HitLayout& l) { return cell_serves(l, rank, length); });
    if (all) return static_cast<std::uint32_t>(length);
  }
  return 0;
}

TEST(HitFinder, AgreesWithTheRuleOnRandomPresence) {
  std::mt19937 engine(20240601);
  const auto random = [&] { return static_cast<std::uint32_t>(engine()); };
  std::uint32_t beyond_one = 0;
  for (int round = 0; round < 4000; ++round) {
    const std::uint32_t world = random() % 3 + 1;
    std::vector<HitLayout> layouts;
    for (LayoutId id = 0; id <= random() % 2; ++id) {
      ObjectLayout groups;
      const unsigned count = random() % 3 + 1;
      for (unsigned g = 0; g < count; ++g) {
        const auto window = static_cast<std::int32_t>(random() % 5);
        groups.groups.push_back({1, window == 0 ? -1 : window, random() % 8 == 0});
      }
      HitLayout rows(id, groups);
      if (rows.servable()) layouts.push_back(rows);
    }
    if (layouts.empty()) continue;
    const unsigned missing_one_in = random() % 30 + 2;
    std::vector<Column> columns(random() % 12);
    for (Column& column : columns)
      for (LayoutId id = 0; id < 3; ++id)  // 2 is nobody's
        for (std::uint32_t rank = 0; rank < world; ++rank) {
          std::uint64_t mask = 7;
          for (unsigned g = 0; g < 3; ++g)
            if (random() % missing_one_in == 0) mask &= ~(std::uint64_t{1} << g);
          if (random() % (missing_one_in * 3) != 0) column.push_back(Shard{mask, id, rank, 0});
        }
    const std::uint32_t expected = naive(world, layouts, columns);
    if (expected > 1) ++beyond_one;
    ASSERT_EQ(find(world, layouts, columns).best, expected) << "round " << round;
  }
  EXPECT_GT(beyond_one, 1000u);
}

}  // namespace
}  // namespace lmcache::cache
