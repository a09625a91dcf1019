#include "cache/age_slots.hpp"

#include <algorithm>

namespace lmcache::cache {

AgeSlots::AgeSlots() {
  for (std::size_t i = 0; i < kMost; ++i) unused_[unused_count_++] = static_cast<Row>(i);
  begin_slot(0, 0);
}

std::size_t AgeSlots::position(std::uint64_t time) const noexcept {
  const auto end = starts_.begin() + static_cast<std::ptrdiff_t>(size_);
  return static_cast<std::size_t>(std::upper_bound(starts_.begin(), end, time) - starts_.begin()) -
         1;
}

/// Whether all from `start` to the end of the slot at `with` is old enough for one slot.
bool AgeSlots::may_merge(std::uint64_t start, std::size_t with, std::uint64_t now) const noexcept {
  const std::uint64_t end = with + 1 < size_ ? starts_[with + 1] : now;
  return (end - start) * kShare <= now - end;
}

/// Those before it stay as they are.
void AgeSlots::begin_slot(std::size_t position, std::uint64_t now) {
  size_ = position + 1;
  starts_[position] = now;
  rows_[position] = unused_[--unused_count_];
  ranges_ = {};
  for (std::size_t i = 0; i < size_; ++i) {
    const std::uint64_t end = i + 1 < size_ ? starts_[i + 1] : now;
    const std::size_t bin = ReuseAges::bin_of(now - (starts_[i] + end) / 2);
    bins_[i] = static_cast<std::uint8_t>(bin);
    if (ranges_[bin].end == 0) ranges_[bin].begin = i;
    ranges_[bin].end = i + 1;
  }
}

}  // namespace lmcache::cache
