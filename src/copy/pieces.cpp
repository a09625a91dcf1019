#include "copy/pieces.hpp"

#include <algorithm>

namespace lmcache::copy {
namespace {

std::uint64_t cost_of(const Run& run) {
  const std::uint64_t steps =
      run.shape == nullptr ? 1 : std::uint64_t{run.shape->n0} * run.shape->n1;
  return run.bytes + steps * kStepCost;
}

}  // namespace

std::uint64_t Piece::bytes() const noexcept {
  std::uint64_t sum = cut.bytes;
  for (const Run& run : runs) sum += run.bytes;
  return sum;
}

std::optional<Piece> PieceCutter::next() {
  if (run_ >= runs_.size()) return std::nullopt;
  const std::span<const Run> left = runs_.subspan(run_);
  if (done_ > 0 || cost_of(left[0]) > kPieceCost) return cut(left[0]);
  std::size_t count = 0;
  std::uint64_t cost = 0;
  while (count < left.size() && cost + cost_of(left[count]) <= kPieceCost) {
    cost += cost_of(left[count++]);
  }
  run_ += count;
  return Piece{left.first(count), {}, std::nullopt};
}

Piece PieceCutter::cut(const Run& run) {
  Piece piece;
  piece.cut = {run.page, run.object, nullptr, 0};
  std::uint64_t end = run.bytes;
  if (run.shape == nullptr) {
    piece.cut.page += done_;
    piece.cut.object += done_;
    piece.cut.bytes = std::min(kPieceCost, run.bytes - done_);
    done_ += piece.cut.bytes;
  } else {
    PagePart part = *run.shape;
    end = part.n0;
    const std::uint64_t row_cost = std::uint64_t{part.n1} * (part.run + kStepCost);
    const std::uint64_t rows =
        std::min(std::max<std::uint64_t>(kPieceCost / row_cost, 1), end - done_);
    part.page += done_ * part.page0;
    part.object += done_ * part.object0;
    part.n0 = static_cast<std::uint32_t>(rows);
    piece.cut.bytes = rows * part.n1 * part.run;
    piece.cut_shape = part;
    done_ += rows;
  }
  if (done_ == end) {
    done_ = 0;
    ++run_;
  }
  return piece;
}

}  // namespace lmcache::copy
