// What is learnt of ages, against what can be worked out by hand.
#include "cache/reuse_ages.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace lmcache::cache {
namespace {

constexpr std::size_t kBins = ReuseAges::kBins;
constexpr double kWidth = 10;  ///< of bins, where they are as wide as each other

double start_of(std::size_t bin) {
  return kWidth * static_cast<double>(bin);
}

std::vector<double> rates_of(const std::vector<double>& widths,
                             const std::vector<double>& hazards) {
  std::vector<double> rates(hazards.size());
  best_rates(widths, hazards, rates);
  return rates;
}

TEST(BestRates, WithoutMemoryEveryAgeIsAsGood) {
  std::vector<double> widths;
  for (std::size_t i = 0; i < kBins; ++i) widths.push_back(std::exp2(static_cast<double>(i) / 2));
  for (const double rate : rates_of(widths, std::vector<double>(kBins, 0.003)))
    EXPECT_NEAR(rate, 0.003, 1e-9);
}

TEST(BestRates, OfFallingHazardsEachAgeHasItsOwn) {
  const std::vector<double> widths(kBins, kWidth);
  std::vector<double> hazards;
  for (std::size_t i = 0; i < kBins; ++i) hazards.push_back(0.2 / (start_of(i) + kWidth / 2));
  const std::vector<double> rates = rates_of(widths, hazards);
  for (std::size_t i = 0; i < kBins; ++i) EXPECT_DOUBLE_EQ(rates[i], hazards[i]);
}

/// At age a the rest is uniform over T - a, of which (T - a) / 2 is spent waiting; whoever comes
/// back only with a probability spends T - a in the other case.
TEST(BestRates, OfAUniformPauseTheNearerItsEndTheBetter) {
  constexpr double kLongest = 380;
  constexpr std::size_t kUntil = 38;
  for (const double likely : {1.0, 0.6}) {
    const auto surviving = [&](double age) { return std::max(1 - likely * age / kLongest, 1e-12); };
    std::vector<double> hazards;
    for (std::size_t i = 0; i < kUntil; ++i)
      hazards.push_back(std::log(surviving(start_of(i)) / surviving(start_of(i + 1))) / kWidth);
    hazards.resize(kBins, 1e-9);
    const std::vector<double> rates = rates_of(std::vector<double>(kBins, kWidth), hazards);
    for (std::size_t i = 0; i + 8 < kUntil; ++i) {
      const double rest = kLongest - start_of(i);
      const double here = surviving(start_of(i));
      const double comes = likely * rest / kLongest / here;
      EXPECT_NEAR(rates[i], comes / (comes * rest / 2 + (1 - comes) * rest), 0.03 * rates[i]);
    }
    EXPECT_NEAR(rates[kUntil], 1e-9, 1e-12);
  }
}

/// Nothing for a while, then all within one bin: until then it is waited for, and worth the more
/// the less is left to wait.
TEST(BestRates, WhatComesAfterAPauseIsWaitedFor) {
  std::vector<double> hazards(kBins, 1e-6);
  hazards[10] = 1;
  const std::vector<double> rates = rates_of(std::vector<double>(kBins, kWidth), hazards);
  for (std::size_t i = 0; i < 10; ++i) EXPECT_NEAR(rates[i], 1 / (start_of(10 - i) + 1), 1e-4);
  EXPECT_NEAR(rates[10], 1, 1e-3);
  EXPECT_NEAR(rates[11], 1e-6, 1e-9);
}

/// A little after a long pause is not worth what is much at once.
TEST(BestRates, TheMomentToStopMayComeBeforeTheEnd) {
  std::vector<double> hazards(kBins, 1e-6);
  hazards[0] = 0.1;
  hazards[20] = 0.1;
  EXPECT_NEAR(rates_of(std::vector<double>(kBins, kWidth), hazards)[0], 0.1, 1e-6);
}

TEST(ReuseAges, BinsAreHalvesOfOctaves) {
  EXPECT_EQ(ReuseAges::bin_of(0), 0u);
  EXPECT_EQ(ReuseAges::bin_of(ReuseAges::kFirstEdge - 1), 0u);
  for (std::size_t bin = 1; bin < kBins; ++bin) {
    const auto begin = static_cast<std::uint64_t>(std::ceil(ReuseAges::edge(bin)));
    EXPECT_EQ(ReuseAges::bin_of(begin), bin);
    EXPECT_EQ(ReuseAges::bin_of(begin - 1), bin - 1);
  }
  EXPECT_EQ(ReuseAges::bin_of(UINT64_MAX), kBins - 1);
}

TEST(ReuseAges, AtFirstTheOldestIsWorthLeast) {
  const ReuseAges ages;
  for (std::size_t cls = 0; cls < ReuseAges::kClasses; ++cls)
    for (std::size_t bin = 1; bin < kBins; ++bin)
      EXPECT_LT(ages.index(cls, bin), ages.index(cls, bin - 1));
}

/// Of every thousand chunks of class 3 all live through bins 0 to 9 and come back in 10.
void thousand_come_back(ReuseAges& ages, std::size_t at) {
  std::array<std::uint32_t, ReuseAges::kClasses> chunks{};
  chunks[3] = 1000;
  for (std::size_t bin = 0; bin <= at; ++bin)
    ages.lived(bin, chunks, ReuseAges::edge(bin + 1) - ReuseAges::edge(bin));
  for (int i = 0; i < 1000; ++i) ages.came_back(3, at);
}

TEST(ReuseAges, LearnsWhenAClassComesBack) {
  ReuseAges ages;
  const ReuseAges before;
  for (int i = 0; i < 100; ++i) thousand_come_back(ages, 10);
  ages.learn(0);
  for (std::size_t bin = 1; bin <= 10; ++bin) EXPECT_GT(ages.index(3, bin), ages.index(3, bin - 1));
  EXPECT_LT(ages.index(3, 12), ages.index(3, 0));
  EXPECT_DOUBLE_EQ(ages.index(2, 5), before.index(2, 5));
}

TEST(ReuseAges, NeighboursHaveASayAndNobodyElse) {
  ReuseAges ages;
  const ReuseAges before;
  for (int i = 0; i < 100; ++i) thousand_come_back(ages, 0);
  ages.learn(0);
  EXPECT_GT(ages.index(3, 1), 2 * before.index(3, 1));
  EXPECT_LT(ages.index(3, 1), ages.index(3, 0));
  EXPECT_DOUBLE_EQ(ages.index(3, 3), before.index(3, 3));
}

TEST(ReuseAges, ForgetsWhatWasAnotherTime) {
  ReuseAges ages;
  const auto learn_for = [&](int rounds, std::size_t at) {
    for (int i = 0; i < rounds; ++i) {
      thousand_come_back(ages, at);
      ages.learn(1000);
    }
  };
  learn_for(3000, 10);
  const double then = ages.index(3, 10);
  learn_for(1000, 20);
  EXPECT_LT(ages.index(3, 10), then / 4);
  EXPECT_GT(ages.index(3, 19), ages.index(3, 5));
}

}  // namespace
}  // namespace lmcache::cache
