#include "cache/age_slots.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <vector>

namespace lmcache::cache {
namespace {

/// What lies in a row: the times from `first` to before `end`.
struct TimeRange {
  std::uint64_t first = 0, end = 0;
};

class SlottedTime {
 public:
  void run(std::uint64_t until) {
    for (; now_ < until; ++now_) {
      if (slots_.is_due(now_)) {
        rows_[slots_.row(slots_.newest())].end = now_;
        slots_.advance(now_, [this](AgeSlots::Row into, AgeSlots::Row from) {
          EXPECT_EQ(rows_[into].end, rows_[from].first) << "only neighbours become one";
          rows_[into].end = rows_[from].end;
          rows_[from] = {};
        });
        rows_[slots_.row(slots_.newest())] = {now_, now_};
      }
    }
  }
  [[nodiscard]] std::uint64_t now() const { return now_; }
  [[nodiscard]] const AgeSlots& slots() const { return slots_; }
  [[nodiscard]] TimeRange operator[](std::size_t position) const {
    return rows_[slots_.row(position)];
  }

 private:
  AgeSlots slots_;
  std::vector<TimeRange> rows_{AgeSlots::kMost};
  std::uint64_t now_ = 0;
};

TEST(AgeSlots, EveryTimeIsInTheRowOfItsSlot) {
  SlottedTime time;
  for (const std::uint64_t until : {100u, 1000u, 12345u, 99999u}) {
    time.run(until);
    for (std::size_t i = 0; i < time.slots().newest(); ++i) {
      const TimeRange range = time[i];
      EXPECT_EQ(time.slots().position(range.first), i);
      EXPECT_EQ(time.slots().position(range.end - 1), i);
      EXPECT_EQ(time.slots().row_of(range.end - 1), time.slots().row(i));
      EXPECT_EQ(time[i + 1].first, range.end);
    }
    EXPECT_EQ(time.slots().position(until), time.slots().newest());
  }
}

TEST(AgeSlots, AreFewAndNarrowForTheirAge) {
  SlottedTime time;
  for (std::uint64_t until = 1000; until < 20'000'000; until *= 3) {
    time.run(until);
    EXPECT_LT(time.slots().size(), AgeSlots::kMost - 32);
    for (std::size_t i = 0; i < time.slots().newest(); ++i) {
      const std::uint64_t width = time[i].end - time[i].first;
      EXPECT_LE(width, std::max(AgeSlots::kStep, (until - time[i].end) / 4));
    }
  }
}

TEST(AgeSlots, BinsFollowFromAgesAndHaveTheirRange) {
  SlottedTime time;
  time.run(3'000'000);
  const AgeSlots& slots = time.slots();
  EXPECT_EQ(slots.bin(slots.newest()), 0u);
  std::size_t in_ranges = 0;
  for (std::size_t bin = 0; bin < ReuseAges::kBins; ++bin) {
    const auto [begin, end] = slots.of_bin(bin);
    for (std::size_t i = begin; i < end; ++i) EXPECT_EQ(slots.bin(i), bin);
    in_ranges += end - begin;
  }
  EXPECT_EQ(in_ranges, slots.size());
  for (std::size_t i = 0; i + 1 < slots.size(); ++i) {
    EXPECT_GE(slots.bin(i), slots.bin(i + 1));
    const std::uint64_t advanced = time[slots.newest()].first;
    EXPECT_EQ(slots.bin(i), ReuseAges::bin_of(advanced - (time[i].first + time[i].end) / 2));
  }
}

/// As after a clock that leapt: whatever the ages, there is always a row for the next.
TEST(AgeSlots, AreNeverMoreThanThereAreRows) {
  AgeSlots slots;
  std::uint64_t now = 0;
  for (int i = 0; i < 2000; ++i) {
    now += std::uint64_t{1} << std::min(i / 8, 50);
    slots.advance(now, [](AgeSlots::Row, AgeSlots::Row) {});
    ASSERT_LE(slots.size(), AgeSlots::kMost);
  }
}

}  // namespace
}  // namespace lmcache::cache
