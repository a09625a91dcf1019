// Bounds on what a registration may ask for: far above any model, low enough that no table or
// product runs away.
#pragma once

#include <cstddef>
#include <cstdint>

namespace lmcache::geometry {

inline constexpr std::size_t kMaxKernelGroups = 512;
inline constexpr std::size_t kMaxObjectGroups =
    64;  // a request answers per object group in one 64-bit mask
inline constexpr std::size_t kMaxRank = 8;
inline constexpr std::int64_t kMaxEngineGroups = 4096;
inline constexpr std::uint64_t kMaxSegmentBytes = std::uint64_t{1} << 56;
inline constexpr std::uint64_t kMaxHeads = std::uint64_t{1} << 16;
inline constexpr std::uint64_t kMaxSlotsPerBlock = std::uint64_t{1} << 24;
inline constexpr std::uint64_t kMaxRowBytes = std::uint64_t{1} << 31;
inline constexpr std::uint64_t kMaxObjectBytes = std::uint64_t{1} << 46;

}  // namespace lmcache::geometry
