#include "pool/allocator.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <map>
#include <random>

namespace lmcache::pool {
namespace {

using testing::ElementsAre;

constexpr std::uint64_t kKib = 1024;
constexpr std::uint64_t kUnit = 4096;

TEST(Allocator, StartsAsOneExtentOfWholeUnits) {
  const Allocator pool(10 * kUnit + 17, kUnit);
  EXPECT_EQ(pool.total_bytes(), 10 * kUnit);
  EXPECT_EQ(pool.free_bytes(), 10 * kUnit);
  EXPECT_EQ(pool.largest_free_bytes(), 10 * kUnit);
  EXPECT_THAT(pool.free_extents(), ElementsAre(Extent{0, 10 * kUnit}));
}

TEST(Allocator, RoundsUpToTheAlignment) {
  Allocator pool(8 * kUnit, kUnit);
  EXPECT_EQ(pool.allocate(1), 0u);
  EXPECT_EQ(pool.allocate(kUnit), kUnit);
  EXPECT_EQ(pool.allocate(kUnit + 1), 2 * kUnit);
  EXPECT_EQ(pool.allocate(1), 4 * kUnit);
  EXPECT_EQ(pool.used_bytes(), 5 * kUnit);
}

TEST(Allocator, ZeroBytesTakeOneUnitSoThatEveryObjectHasItsOwnPlace) {
  Allocator pool(4 * kUnit, kUnit);
  const auto a = pool.allocate(0);
  const auto b = pool.allocate(0);
  ASSERT_TRUE(a && b);
  EXPECT_NE(*a, *b);
  pool.free(*a, 0);
  pool.free(*b, 0);
  EXPECT_EQ(pool.used_bytes(), 0u);
}

TEST(Allocator, RefusesWhatDoesNotFit) {
  Allocator pool(4 * kUnit, kUnit);
  EXPECT_FALSE(pool.allocate(4 * kUnit + 1));
  EXPECT_FALSE(pool.allocate(UINT64_MAX));
  EXPECT_FALSE(pool.allocate(UINT64_MAX - kUnit + 1));
  EXPECT_TRUE(pool.allocate(4 * kUnit));
  EXPECT_FALSE(pool.allocate(0));
  EXPECT_EQ(pool.largest_free_bytes(), 0u);
}

TEST(Allocator, NothingStraddlesTwoParts) {
  Allocator pool(10 * 4096, 4096, 4 * 4096);  // parts of 4, 4 and 2 units; 3, 3 and 2 are used
  EXPECT_EQ(pool.total_bytes(), 8u * 4096);
  EXPECT_EQ(pool.largest_free_bytes(), 3u * 4096);
  EXPECT_FALSE(pool.allocate(4 * 4096));
  std::vector<std::uint64_t> taken;
  while (const auto at = pool.allocate(4096)) taken.push_back(*at);
  EXPECT_EQ(taken.size(), 8u);
  EXPECT_EQ(pool.used_bytes(), pool.total_bytes());
  for (const std::uint64_t at : taken) {
    EXPECT_NE(at, 3u * 4096);
    EXPECT_NE(at, 7u * 4096);
    pool.free(at, 4096);
  }
  EXPECT_EQ(pool.free_extents(),
            (std::vector<Extent>{{0, 3 * 4096}, {4 * 4096, 3 * 4096}, {8 * 4096, 2 * 4096}}));
}

TEST(Allocator, AnEmptyPoolServesNothing) {
  Allocator pool(kUnit - 1, kUnit);
  EXPECT_EQ(pool.total_bytes(), 0u);
  EXPECT_EQ(pool.largest_free_bytes(), 0u);
  EXPECT_FALSE(pool.allocate(1));
}

TEST(Allocator, NeighboursMergeInWhateverOrderTheyAreFreed) {
  std::array order{0, 1, 2};
  do {
    Allocator pool(4 * kUnit, kUnit);
    std::array<std::uint64_t, 3> at{};
    for (auto& offset : at) offset = pool.allocate(kUnit).value();
    for (const int i : order) pool.free(at[static_cast<std::size_t>(i)], kUnit);
    EXPECT_THAT(pool.free_extents(), ElementsAre(Extent{0, 4 * kUnit}));
  } while (std::next_permutation(order.begin(), order.end()));
}

/// Leaves free holes of the given unit counts, each between two used units, and the tail used.
std::vector<std::uint64_t> make_holes(Allocator& pool, const std::vector<std::uint64_t>& units) {
  std::vector<std::uint64_t> holes;
  for (const std::uint64_t count : units) {
    holes.push_back(pool.allocate(count * kUnit).value());
    EXPECT_TRUE(pool.allocate(kUnit));
  }
  if (pool.largest_free_bytes() > 0) {
    EXPECT_TRUE(pool.allocate(pool.largest_free_bytes()));
  }
  for (std::size_t i = 0; i < holes.size(); ++i) pool.free(holes[i], units[i] * kUnit);
  return holes;
}

TEST(Allocator, TakesTheSmallestHoleThatFits) {
  Allocator pool(1000 * kUnit, kUnit);
  const auto holes = make_holes(pool, {70, 5, 300, 9, 130});
  EXPECT_EQ(pool.largest_free_bytes(), 300 * kUnit);
  EXPECT_EQ(pool.allocate(6 * kUnit), holes[3]);
  EXPECT_EQ(pool.allocate(5 * kUnit), holes[1]);
  EXPECT_EQ(pool.allocate(131 * kUnit), holes[2]);
  EXPECT_EQ(pool.allocate(69 * kUnit), holes[0]);
  EXPECT_EQ(pool.allocate(130 * kUnit), holes[4]);
  EXPECT_EQ(pool.largest_free_bytes(), 169 * kUnit);
}

TEST(Allocator, TakesTheSmallestHoleThatFitsAmongLargeOnesToo) {
  Allocator pool(200000 * kUnit, kUnit);
  const auto holes = make_holes(pool, {50000, 20000, 16384, 16383});
  EXPECT_EQ(pool.largest_free_bytes(), 50000 * kUnit);
  EXPECT_EQ(pool.allocate(17000 * kUnit), holes[1]);
  EXPECT_EQ(pool.allocate(16383 * kUnit), holes[3]);
  EXPECT_EQ(pool.allocate(10000 * kUnit), holes[2]);
  EXPECT_EQ(pool.allocate(20001 * kUnit), holes[0]);
  EXPECT_EQ(pool.largest_free_bytes(), 29999 * kUnit);
}

/// Used extents by offset, found out from the allocator's answers alone.
class Model {
 public:
  explicit Model(std::uint64_t total) : total_(total) {}

  std::vector<Extent> gaps() const {
    std::vector<Extent> gaps;
    std::uint64_t end = 0;
    for (const auto& [offset, bytes] : used_) {
      if (offset > end) gaps.push_back({end, offset - end});
      end = offset + bytes;
    }
    if (end < total_) gaps.push_back({end, total_ - end});
    return gaps;
  }
  void add(std::uint64_t offset, std::uint64_t bytes) {
    const auto [place, added] = used_.emplace(offset, bytes);
    ASSERT_TRUE(added);
    ASSERT_LE(offset + bytes, total_);
    if (place != used_.begin()) {
      ASSERT_LE(std::prev(place)->first + std::prev(place)->second, offset);
    }
    if (const auto next = std::next(place); next != used_.end()) {
      ASSERT_LE(offset + bytes, next->first);
    }
  }
  std::map<std::uint64_t, std::uint64_t>& used() { return used_; }

 private:
  std::uint64_t total_;
  std::map<std::uint64_t, std::uint64_t> used_;
};

struct Mix {
  std::uint64_t total, unit, largest;
  unsigned seed;
};
class AllocatorModel : public testing::TestWithParam<Mix> {};

TEST_P(AllocatorModel, NeverOverlapsAlwaysMergesAndFitsBest) {
  const Mix mix = GetParam();
  std::mt19937_64 random(mix.seed);
  Allocator pool(mix.total, mix.unit);
  Model model(pool.total_bytes());
  for (int step = 0; step < 3000; ++step) {
    const bool filling = (step / 300) % 2 == 0;
    if (random() % 10 < (filling ? 8u : 3u) || model.used().empty()) {
      // Sizes over several orders of magnitude, as different models bring them.
      const std::uint64_t bytes = random() % (mix.largest >> (random() % 10)) + 1;
      const std::uint64_t rounded = (bytes + mix.unit - 1) / mix.unit * mix.unit;
      std::uint64_t best = UINT64_MAX;
      for (const Extent& gap : model.gaps())
        if (gap.bytes >= rounded) best = std::min(best, gap.bytes);
      const auto offset = pool.allocate(bytes);
      ASSERT_EQ(offset.has_value(), best != UINT64_MAX);
      if (!offset) continue;
      const auto gaps = model.gaps();
      const auto gap = std::ranges::find(gaps, *offset, &Extent::offset);
      ASSERT_NE(gap, gaps.end());
      ASSERT_EQ(gap->bytes, best);
      ASSERT_EQ(*offset % mix.unit, 0u);
      model.add(*offset, rounded);
    } else {
      auto victim = model.used().begin();
      std::advance(victim, random() % model.used().size());
      pool.free(victim->first, victim->second);
      model.used().erase(victim);
    }
    const auto gaps = model.gaps();
    std::uint64_t free = 0;
    std::uint64_t largest = 0;
    for (const Extent& gap : gaps) {
      free += gap.bytes;
      largest = std::max(largest, gap.bytes);
    }
    ASSERT_EQ(pool.free_extents(), gaps);
    ASSERT_EQ(pool.free_bytes(), free);
    ASSERT_EQ(pool.used_bytes(), pool.total_bytes() - free);
    ASSERT_EQ(pool.largest_free_bytes(), largest);
  }
  for (const auto& [offset, bytes] : model.used()) pool.free(offset, bytes);
  EXPECT_THAT(pool.free_extents(), ElementsAre(Extent{0, pool.total_bytes()}));
}

INSTANTIATE_TEST_SUITE_P(Mixes, AllocatorModel,
                         testing::Values(Mix{1024 * kKib, 4096, 64 * kKib, 1},
                                         Mix{1000 * kKib + 5, 64, 300 * kKib, 2},
                                         Mix{700 * kKib, 1, 90 * kKib, 3},
                                         Mix{64 * kKib * kKib, 512, 20 * kKib* kKib, 4}));

TEST(AllocatorDeath, FreeingWhatIsNotAllocatedAborts) {
  Allocator pool(8 * kUnit, kUnit);
  const std::uint64_t a = pool.allocate(kUnit).value();
  const std::uint64_t b = pool.allocate(kUnit).value();
  pool.free(a, kUnit);
  EXPECT_DEATH(pool.free(a, kUnit), "broken invariant");
  EXPECT_DEATH(pool.free(b + 1, kUnit), "broken invariant");
  EXPECT_DEATH(pool.free(8 * kUnit, kUnit), "broken invariant");
  EXPECT_DEATH(pool.free(b, UINT64_MAX), "broken invariant");
}

TEST(AllocatorDeath, AlignmentIsAPowerOfTwo) {
  EXPECT_DEATH(Allocator(4096, 3), "broken invariant");
  EXPECT_DEATH(Allocator(4096, 0), "broken invariant");
}

}  // namespace
}  // namespace lmcache::pool
