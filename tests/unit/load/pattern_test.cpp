#include "load/pattern.hpp"

#include <gtest/gtest.h>

#include <array>
#include <set>
#include <vector>

namespace lmcache::load {
namespace {

TEST(Pattern, IsToldFromEveryOther) {
  for (const std::size_t size : {1u, 7u, 8u, 9u, 4096u, 4099u}) {
    std::vector<std::byte> page(size);
    write_pattern(page, 5);
    EXPECT_TRUE(has_pattern(page, 5)) << size;
    for (const std::size_t at : {std::size_t{0}, size / 2, size - 1}) {
      page[at] ^= std::byte{1};
      EXPECT_FALSE(has_pattern(page, 5)) << size << " with another byte at " << at;
      page[at] ^= std::byte{1};
    }
  }
  std::array<std::byte, 64> page{};
  EXPECT_FALSE(has_pattern(page, 5)) << "zeros";
  write_pattern(page, 6);
  EXPECT_FALSE(has_pattern(page, 5));
}

TEST(Pattern, PairsHaveSeedsOfTheirOwn) {
  std::set<std::uint64_t> seeds;
  for (std::uint64_t a = 0; a < 100; ++a)
    for (std::uint64_t b = 0; b < 100; ++b) seeds.insert(seed_of(a, b));
  EXPECT_EQ(seeds.size(), 10'000u);
}

}  // namespace
}  // namespace lmcache::load
