#include "sim/bound.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>

namespace lmcache::sim {
namespace {

/// The best that any sequence of choices gets, by trying all: after each access keep any subset.
std::uint64_t by_trying(const std::vector<std::uint32_t>& accesses, std::size_t at,
                        std::set<std::uint32_t> kept, std::size_t capacity) {
  if (at == accesses.size()) return 0;
  const std::uint64_t hit = kept.contains(accesses[at]) ? 1 : 0;
  kept.insert(accesses[at]);
  if (kept.size() <= capacity) return hit + by_trying(accesses, at + 1, kept, capacity);
  std::uint64_t best = 0;
  for (const std::uint32_t out : std::set<std::uint32_t>(kept)) {
    kept.erase(out);
    best = std::max(best, by_trying(accesses, at + 1, kept, capacity));
    kept.insert(out);
  }
  return hit + best;
}

TEST(Bound, IsWhatTheBestChoicesGet) {
  std::mt19937 random(3);
  for (int round = 0; round < 60; ++round) {
    std::vector<std::uint32_t> accesses;
    for (std::uint32_t i = 0; i < 5; ++i) accesses.push_back(i);
    for (int i = 0; i < 8; ++i) accesses.push_back(static_cast<std::uint32_t>(random() % 5));
    const NumberedPrompts prompts{{accesses.begin(), accesses.begin() + 6},
                                  {accesses.begin() + 6, accesses.end()}};
    for (std::size_t capacity = 1; capacity <= 3; ++capacity)
      EXPECT_EQ(most_hits(prompts, capacity), by_trying(accesses, 0, {}, capacity)) << round;
  }
}

TEST(Bound, OfAnUnlimitedPoolIsEveryRepetition) {
  const NumberedPrompts prompts{{0, 1, 2}, {0, 1, 3}, {4}};
  EXPECT_EQ(distinct_chunks(prompts), 5u);
  EXPECT_EQ(repeated_chunks(prompts), 2u);
  EXPECT_EQ(most_hits(prompts, 5), 2u);
  EXPECT_EQ(most_hits(prompts, 0), 0u);
}

TEST(NumberChunks, TenantsShareNothing) {
  const Trace trace{{0, 1024, 0, {1, 2}, "a"}, {1, 1024, 0, {1, 3}, "a"}, {2, 512, 0, {1}, "b"}};
  const NumberedPrompts prompts = number_chunks(trace, 512, 512);
  EXPECT_EQ(prompts, (NumberedPrompts{{0, 1}, {0, 2}, {3}}));
}

}  // namespace
}  // namespace lmcache::sim
