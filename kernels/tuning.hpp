// What the kernels were tuned to; figures in docs/benchmarks.md, "On a GPU".
#pragma once

#include <cstdint>

namespace lmcache::kernels {

/// Threads of a block, and 16-byte loads that each has in flight: 32 KB per block, which hides
/// HBM's latency.
inline constexpr unsigned kThreads = 512;
inline constexpr unsigned kLoads = 4;

/// A page is cut into pieces of this many bytes, so that the pages of a batch spread evenly over
/// few blocks.
inline constexpr std::uint32_t kPieceBytes = kThreads * kLoads * 16;

}  // namespace lmcache::kernels
