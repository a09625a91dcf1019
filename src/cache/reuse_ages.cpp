#include "cache/reuse_ages.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

namespace lmcache::cache {
namespace {

constexpr double kFirstRun = 32;          ///< how many returns a run is thought to have at first
constexpr std::size_t kLongestRun = 256;  ///< from there on it is another
constexpr double kAssumedRate = 0.15;     ///< times 1 / age is the hazard that is assumed
constexpr double kMemory = 1 << 17;       ///< uses after which what was learnt counts half

constexpr std::size_t kBins = ReuseAges::kBins;

struct Bins {
  std::array<double, kBins> edges{}, widths{}, middles{};
  Bins() {
    for (std::size_t i = 0; i < kBins; ++i) edges[i] = start(i);
    for (std::size_t i = 0; i < kBins; ++i) {
      widths[i] = start(i + 1) - edges[i];
      middles[i] = (start(i + 1) + edges[i]) / 2;
    }
  }
  [[nodiscard]] static double start(std::size_t bin) {
    if (bin == 0) return 0;
    return static_cast<double>(ReuseAges::kFirstEdge) *
           std::exp2(static_cast<double>(bin - 1) / 2.0);
  }
};

const Bins& bins() noexcept {
  static const Bins all;
  return all;
}

}  // namespace

/// From the last bin to the first. A block is what one goes on waiting for once it has begun:
/// what comes after it, block by block, has ever lower rates, so a bin takes in those that are
/// better than itself.
void best_rates(std::span<const double> widths, std::span<const double> hazards,
                std::span<double> rates) {
  struct Block {
    double returns, time, stays;  ///< all of those that reach its beginning
    [[nodiscard]] double rate() const noexcept { return returns / time; }
  };
  std::array<Block, kBins> later{};
  std::size_t blocks = 0;
  for (std::size_t i = hazards.size(); i-- > 0;) {
    const bool last = i + 1 == hazards.size();
    const double returns = last ? 1 : -std::expm1(-hazards[i] * widths[i]);
    Block block{returns, returns / hazards[i], 1 - returns};
    while (blocks > 0 && later[blocks - 1].rate() >= block.rate()) {
      const Block& next = later[--blocks];
      block = {block.returns + block.stays * next.returns, block.time + block.stays * next.time,
               block.stays * next.stays};
    }
    rates[i] = block.rate();
    later[blocks++] = block;
  }
}

ReuseAges::ReuseAges() {
  learn(0);
}

std::size_t ReuseAges::bin_of(std::uint64_t age) noexcept {
  if (age < kFirstEdge) return 0;
  const auto octave = static_cast<std::size_t>(std::bit_width(age / kFirstEdge)) - 1;
  const std::size_t bin = 1 + 2 * octave;
  if (bin + 1 >= kBins) return kBins - 1;
  return static_cast<double>(age) < bins().edges[bin + 1] ? bin : bin + 1;
}

double ReuseAges::edge(std::size_t bin) noexcept {
  return bins().edges[bin];
}

void ReuseAges::came_back(std::size_t cls, std::size_t bin) noexcept {
  returns_[bin][cls] += 1;
  all_returns_[cls] += 1;
  if (cls != run_class_ || bin != run_bin_ || run_length_ == kLongestRun) {
    runs_[cls] += 1;
    run_class_ = cls;
    run_bin_ = bin;
    run_length_ = 0;
  }
  ++run_length_;
}

void ReuseAges::lived(std::size_t bin, std::span<const std::uint32_t, kClasses> chunks,
                      double time) noexcept {
  for (std::size_t cls = 0; cls < kClasses; ++cls) time_[bin][cls] += time * chunks[cls];
}

/// Neighbours have half a say, so that chance does not put one age above the next: of them what
/// they would say of an age at that bin, if hazards fell as 1 / age between the two.
double ReuseAges::hazard(std::size_t cls, std::size_t bin) const noexcept {
  const double assumed = (all_returns_[cls] + kFirstRun) / (runs_[cls] + 1);
  const std::array<double, kBins>& middles = bins().middles;
  double returns = returns_[bin][cls] + assumed;
  double time = time_[bin][cls] + assumed * middles[bin] / kAssumedRate;
  const auto hear = [&](std::size_t neighbour) {
    returns += returns_[neighbour][cls] / 2;
    time += time_[neighbour][cls] / 2 * middles[bin] / middles[neighbour];
  };
  if (bin > 0) hear(bin - 1);
  if (bin + 1 < kBins) hear(bin + 1);
  return returns / time;
}

void ReuseAges::learn(double uses) {
  // Nothing is nothing some day: numbers below the smallest normal one would be slow for ever.
  const auto fade = [kept = std::exp2(-uses / kMemory)](double& learnt) {
    learnt = learnt < 1e-30 ? 0 : learnt * kept;
  };
  for (std::size_t cls = 0; cls < kClasses; ++cls) {
    std::array<double, kBins> hazards{};
    for (std::size_t bin = 0; bin < kBins; ++bin) hazards[bin] = hazard(cls, bin);
    best_rates(bins().widths, hazards, index_[cls]);
    fade(all_returns_[cls]);
    fade(runs_[cls]);
    for (std::size_t bin = 0; bin < kBins; ++bin) {
      fade(returns_[bin][cls]);
      fade(time_[bin][cls]);
    }
  }
}

}  // namespace lmcache::cache
