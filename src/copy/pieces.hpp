// Cuts runs into pieces small enough that whoever waits behind one does not notice.
#pragma once

#include "copy/plan.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace lmcache::copy {

/// Work of one piece: bytes, plus kStepCost for every step of an inner loop. About a millisecond of
/// one core.
inline constexpr std::uint64_t kPieceCost = 4u << 20;
inline constexpr std::uint64_t kStepCost = 64;

/// A few whole runs, or a part of one that is too large by itself.
struct Piece {
  std::span<const Run> runs;  ///< whole runs; empty when `cut` is used
  Run cut{};                  ///< cut.shape is not set; see cut_shape
  std::optional<PagePart> cut_shape;

  [[nodiscard]] std::uint64_t bytes() const noexcept;
};

/// Walks the runs of a slice, which must stay where they are meanwhile.
class PieceCutter {
 public:
  explicit PieceCutter(std::span<const Run> runs) noexcept : runs_(runs) {}
  /// The next piece; nullopt at the end.
  [[nodiscard]] std::optional<Piece> next();

 private:
  [[nodiscard]] Piece cut(const Run& run);

  std::span<const Run> runs_;
  std::size_t run_ = 0;
  std::uint64_t done_ = 0;  ///< of run_: bytes, or rows (n0) of its shape
};

}  // namespace lmcache::copy
