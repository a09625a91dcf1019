// At what age chunks of a class are used again, learnt, and what that makes worth keeping. Age is
// the time since the last use, in bins of half an octave. Of every class and bin it counts
//
//   returns  chunks that were used again at that age
//   time     that chunks spent at that age, whether they were resident then or only remembered
//
// and takes from them the hazard, the rate at which what is that old is used again:
// returns / time. The index of an age is the best rate that can be had from there on,
//
//   max over j of  P(return in bins i..j) / E(time in bins i..j),
//
// that is, if one stops waiting at the best moment: the Gittins index of a bandit that pays once
// (Gittins 1979). What has just missed its time and what is about to come differ in it, though
// both may be as old as each other in LRU's eyes.
//
// Before anything is known, hazards fall as 1 / age: the index is then least for the oldest, as in
// LRU. The chunks of a prompt come back together and say the same: what is assumed is worth as many
// returns in every bin as a class has in a run, that is of one bin and one after another.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace lmcache::cache {

/// Of each bin the best rate of returns from its beginning on, stopping at the end of the best bin.
/// `hazards` are constant within a bin and positive; the last bin has no end. O(bins).
void best_rates(std::span<const double> widths, std::span<const double> hazards,
                std::span<double> rates);

class ReuseAges {
 public:
  static constexpr std::size_t kClasses = 16, kBins = 40;
  static constexpr std::uint64_t kFirstEdge = 128;  ///< where the first bin ends

  using PerClass = std::array<double, kClasses>;

  ReuseAges();
  [[nodiscard]] static std::size_t bin_of(std::uint64_t age) noexcept;
  /// Where a bin begins.
  [[nodiscard]] static double edge(std::size_t bin) noexcept;

  void came_back(std::size_t cls, std::size_t bin) noexcept;
  /// `chunks[class]` of them have been that old for `time` more.
  void lived(std::size_t bin, std::span<const std::uint32_t, kClasses> chunks,
             double time) noexcept;
  /// Brings the indices up to date, `uses` after the last time: what was learnt until now will
  /// count for less by then. O(classes * bins).
  void learn(double uses);
  [[nodiscard]] double index(std::size_t cls, std::size_t bin) const noexcept {
    return index_[cls][bin];
  }

 private:
  [[nodiscard]] double hazard(std::size_t cls, std::size_t bin) const noexcept;

  std::array<PerClass, kBins> returns_{}, time_{};
  PerClass all_returns_{}, runs_{};
  std::size_t run_class_ = kClasses, run_bin_ = 0, run_length_ = 0;  ///< of the latest return
  std::array<std::array<double, kBins>, kClasses> index_{};
};

}  // namespace lmcache::cache
