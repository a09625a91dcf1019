// Time in slots that grow as they age: of uses long ago it does not matter exactly when they were.
// A slot is as wide as kStep at first and at most a kShare-th of its age later, since neighbours
// are made one; so there are few of them however long the time, and what is kept by slot moves on
// with age without a look at what is in it. Each has a row, a small number that stays its own while
// others come and go.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "cache/reuse_ages.hpp"

namespace lmcache::cache {

class AgeSlots {
 public:
  static constexpr std::uint64_t kStep = ReuseAges::kFirstEdge / 2;
  static constexpr std::size_t kMost = 192;
  using Row = std::uint8_t;

  AgeSlots();
  /// Positions are from the oldest, 0, to the newest.
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] std::size_t newest() const noexcept { return size_ - 1; }
  /// Where a time is that has been.
  [[nodiscard]] std::size_t position(std::uint64_t time) const noexcept;
  [[nodiscard]] Row row(std::size_t position) const noexcept { return rows_[position]; }
  [[nodiscard]] Row row_of(std::uint64_t time) const noexcept { return rows_[position(time)]; }
  /// How old it is, as of the last advance().
  [[nodiscard]] std::size_t bin(std::size_t position) const noexcept { return bins_[position]; }
  /// Positions of that age: from `begin` to before `end`.
  struct Range {
    std::size_t begin, end;
  };
  [[nodiscard]] Range of_bin(std::size_t bin) const noexcept { return ranges_[bin]; }

  [[nodiscard]] bool is_due(std::uint64_t now) const noexcept {
    return now - starts_[newest()] >= kStep;
  }
  /// A new slot begins. Before that old neighbours may become one: merge(into, from), the older
  /// row and the newer, which is empty then. O(kMost).
  template <class Merge>
  void advance(std::uint64_t now, Merge merge) {
    std::size_t kept = 0;
    const bool full = size_ == kMost;
    for (std::size_t next = 1; next < size_; ++next) {
      if (may_merge(starts_[kept], next, now) || (full && next == 1)) {
        merge(rows_[kept], rows_[next]);
        unused_[unused_count_++] = rows_[next];
      } else {
        ++kept;
        starts_[kept] = starts_[next];
        rows_[kept] = rows_[next];
      }
    }
    begin_slot(kept + 1, now);
  }

 private:
  static constexpr std::uint64_t kShare = 6;
  [[nodiscard]] bool may_merge(std::uint64_t start, std::size_t with,
                               std::uint64_t now) const noexcept;
  void begin_slot(std::size_t position, std::uint64_t now);

  std::array<std::uint64_t, kMost> starts_{};
  std::array<Row, kMost> rows_{};
  std::array<Row, kMost> unused_{};
  std::array<std::uint8_t, kMost> bins_{};
  std::array<Range, ReuseAges::kBins> ranges_{};
  std::size_t size_ = 0, unused_count_ = 0;
};

}  // namespace lmcache::cache
