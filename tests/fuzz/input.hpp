// A fuzz input, eaten from the front. Past its end everything is zero or empty, so every input is
// valid.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <span>

#include "wire/message.hpp"

namespace lmcache::fuzz {

/// A broken promise of the code under test.
inline void require(bool condition) {
  if (!condition) std::abort();
}

class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : rest_(std::as_bytes(std::span{data, size})) {}

  [[nodiscard]] bool empty() const noexcept { return rest_.empty(); }
  std::uint8_t byte() noexcept {
    const auto one = take(1);
    return one.empty() ? std::uint8_t{0} : std::to_integer<std::uint8_t>(one[0]);
  }
  /// 0..limit-1
  unsigned below(unsigned limit) noexcept { return byte() % limit; }
  std::uint64_t number(std::size_t bytes) noexcept {
    std::uint64_t out = 0;
    for (; bytes > 0; --bytes) out = out << 8 | byte();
    return out;
  }
  wire::ByteView take(std::size_t bytes) noexcept {
    const auto out = rest_.first(std::min(bytes, rest_.size()));
    rest_ = rest_.subspan(out.size());
    return out;
  }
  /// Bytes behind a two-byte length.
  wire::ByteView sized() noexcept { return take(static_cast<std::size_t>(number(2))); }
  /// Mostly small, at times any 64-bit value: the first byte says which.
  std::int64_t integer() noexcept {
    const std::uint8_t kind = byte();
    if (kind < 200) return kind;
    if (kind < 230) return static_cast<std::int64_t>(number(2));
    if (kind < 240) return -static_cast<std::int64_t>(kind - 229);
    return static_cast<std::int64_t>(number(8));
  }

 private:
  wire::ByteView rest_;
};

}  // namespace lmcache::fuzz
