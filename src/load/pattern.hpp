// Bytes that look random and can be told again from a seed: a page is filled with them, goes
// through a server, and is compared. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace lmcache::load {

/// A seed of its own for each pair.
[[nodiscard]] std::uint64_t seed_of(std::uint64_t a, std::uint64_t b) noexcept;

void write_pattern(std::span<std::byte> page, std::uint64_t seed) noexcept;
[[nodiscard]] bool has_pattern(std::span<const std::byte> page, std::uint64_t seed) noexcept;

}  // namespace lmcache::load
