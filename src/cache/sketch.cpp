#include "cache/sketch.hpp"

#include <algorithm>

namespace lmcache::cache {
namespace {

constexpr std::uint64_t kFirstWidth = 1024;
constexpr std::array<std::uint64_t, 4> kMultipliers{0x9e3779b97f4a7c15u, 0xc2b2ae3d27d4eb4fu,
                                                    0x165667b19e3779f9u, 0xd6e8feb86659fd93u};

}  // namespace

FrequencySketch::FrequencySketch() {
  for (auto& row : rows_) row.resize(kFirstWidth);
}

std::size_t FrequencySketch::place(std::size_t row, std::uint64_t name) const noexcept {
  const std::uint64_t mixed = (name ^ (name >> 29)) * kMultipliers[row];
  return (mixed ^ (mixed >> 32)) & (rows_[row].size() - 1);
}

void FrequencySketch::see(std::uint64_t name) {
  for (std::size_t row = 0; row < kRows; ++row) {
    std::uint8_t& counter = rows_[row][place(row, name)];
    if (counter < kMax) ++counter;
  }
  if (++sightings_ % kSightings != 0) return;
  for (auto& row : rows_) row[hand_ & (row.size() - 1)] /= 2;
  ++hand_;
}

std::uint32_t FrequencySketch::estimate(std::uint64_t name) const noexcept {
  std::uint32_t least = kMax;
  for (std::size_t row = 0; row < kRows; ++row)
    least = std::min<std::uint32_t>(least, rows_[row][place(row, name)]);
  return least;
}

void FrequencySketch::grow_to(std::uint64_t names) {
  for (auto& row : rows_) {
    const std::size_t width = row.size();
    if (width >= names) continue;
    row.resize(2 * width);
    std::copy_n(row.begin(), width, row.begin() + static_cast<std::ptrdiff_t>(width));
    return;
  }
}

}  // namespace lmcache::cache
