// The same bytes without the kernel: copies that the GPU's copy engines do by themselves, a
// rectangle each. They take no time from the engine's kernels and need no turn of the GPU, but a
// rectangle costs about as much as 100 KB of the link, so they pay where pages lie evenly spaced.
#pragma once

#include "gpu/batcher.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace lmcache::gpu {

/// `rows` rows of `width` bytes: one cudaMemcpy2DAsync.
struct Rect {
  std::uint64_t device = 0;  ///< address
  std::byte* host = nullptr;
  std::uint64_t device_pitch = 0, host_pitch = 0;  ///< >= width
  std::uint64_t width = 0, rows = 0;
};

/// Where block 0's page of a plane and layer is. No rectangle reaches from one allocation into
/// another.
struct Origin {
  std::uint64_t address = 0;
  std::uint32_t allocation = 0;  ///< equal for those in one allocation
};
using Origins = std::vector<std::vector<Origin>>;  ///< [kernel group][plane and layer]

/// Adds rectangles for the pages of a batch. Few and large where pages are single runs of bytes;
/// where they are not (HND, format 14) each page takes several. False as soon as there would be
/// more than `most` in all: the rest is not worth planning.
[[nodiscard]] bool add_rects(const Batch& batch, const Geometry& geometry, const Origins& origins,
                             std::size_t most, std::vector<Rect>& rects);

/// Rectangles for all pages of a transfer; nothing if these are more than `most`.
[[nodiscard]] std::optional<std::vector<Rect>> plan_rects(const Pages& pages,
                                                          const Origins& origins, std::size_t most);

/// Bytes that all rectangles move.
[[nodiscard]] std::uint64_t total_bytes(const std::vector<Rect>& rects) noexcept;

}  // namespace lmcache::gpu
