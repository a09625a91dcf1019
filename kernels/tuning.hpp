// What the kernels were tuned to; measured with tests/bench/gpu_bench, figures in
// docs/benchmarks.md.
#pragma once

#include <cstdint>

namespace lmcache::kernels {

/// Threads of a block: with four 16-byte loads in flight each, one block keeps about 40 GB/s of HBM
/// traffic going.
inline constexpr unsigned kThreads = 512;

/// A page is cut into pieces of this many bytes, so that the pages of a batch spread evenly over
/// few blocks.
inline constexpr std::uint32_t kPieceBytes = 16 * 1024;

}  // namespace lmcache::kernels
