// How often a name was seen lately, roughly: a count-min sketch of four rows with counters up
// to 15. A hand goes round and halves counters, one full round per ten times as many sightings as a
// row is wide, so that what was seen long ago fades without a pause. Rows double with what they
// must tell apart, one at a time: both halves start with the old counters, so no estimate changes.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

namespace lmcache::cache {

class FrequencySketch {
 public:
  FrequencySketch();
  void see(std::uint64_t name);
  [[nodiscard]] std::uint32_t estimate(std::uint64_t name) const noexcept;  ///< 0..15
  /// Widens one row that has fewer than `names` counters; called for every name that comes, that is
  /// soon all of them.
  void grow_to(std::uint64_t names);

 private:
  static constexpr std::size_t kRows = 4;
  static constexpr std::uint8_t kMax = 15;
  static constexpr std::uint64_t kSightings = 10;  ///< per counter and round
  [[nodiscard]] std::size_t place(std::size_t row, std::uint64_t name) const noexcept;

  std::array<std::vector<std::uint8_t>, kRows> rows_;  ///< each a power of two wide
  std::uint64_t sightings_ = 0, hand_ = 0;
};

}  // namespace lmcache::cache
