// What the kernels were tuned to; figures in docs/benchmarks.md, "On a GPU".
#pragma once

#include <cstdint>

namespace lmcache::kernels {

/// Threads of a block, and 16-byte loads that each has in flight: 32 KB per block, which hides
/// HBM's latency.
inline constexpr unsigned kThreads = 512;
inline constexpr unsigned kLoads = 4;
inline constexpr unsigned kWarp = 32;

/// A page is cut into equal pieces of at most this many bytes, one warp's round of loads: pages of
/// any size, small ones too, spread evenly over few blocks.
inline constexpr std::uint32_t kPieceBytes = kWarp * kLoads * 16;

}  // namespace lmcache::kernels
