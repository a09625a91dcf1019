// Arithmetic that says when it overflowed. One Checked carries the flag through a whole expression,
// so a formula is written once and tested once at its end.
#pragma once

#include <cstdint>

namespace lmcache::geometry {

class Checked {
 public:
  constexpr Checked(std::uint64_t value) noexcept : value_(value) {}  // NOLINT: numbers convert

  friend constexpr Checked operator+(Checked a, Checked b) noexcept {
    Checked sum{0};
    const bool overflow = __builtin_add_overflow(a.value_, b.value_, &sum.value_);
    sum.ok_ = a.ok_ && b.ok_ && !overflow;
    return sum;
  }
  friend constexpr Checked operator*(Checked a, Checked b) noexcept {
    Checked product{0};
    const bool overflow = __builtin_mul_overflow(a.value_, b.value_, &product.value_);
    product.ok_ = a.ok_ && b.ok_ && !overflow;
    return product;
  }
  /// False as soon as one step overflowed or the value is above `limit`.
  [[nodiscard]] constexpr bool fits(std::uint64_t limit) const noexcept {
    return ok_ && value_ <= limit;
  }
  /// Meaningful only where fits() was true.
  [[nodiscard]] constexpr std::uint64_t value() const noexcept { return value_; }

 private:
  std::uint64_t value_ = 0;
  bool ok_ = true;
};

}  // namespace lmcache::geometry
