// MD5 over blocks of a worker's KV tensors, as the reference computes it: a diagnostic that two
// engines, or an engine before and after a retrieve, hold the same bytes.
#pragma once

#include "admin/http.hpp"
#include "copy/plan.hpp"

#include <lmcache/geometry.hpp>
#include <lmcache/status.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace lmcache::admin {

/// The pages of one tensor: those of block b start at `offsets` + b * the group's stride.
struct TensorPages {
  std::uint32_t tensor = 0;
  const KernelGroup* group = nullptr;
  std::vector<std::uint64_t> offsets;  ///< bytes from the segment base, ascending
  /// The tensor's outermost axis is K/V: all K blocks come before all V blocks.
  bool planes_outside = false;

  [[nodiscard]] std::uint64_t page_bytes() const noexcept {
    return std::uint64_t{group->slots_per_block} * group->row_bytes;
  }
};

/// Every tensor that is moved, in the order of registration. Points into `geometry`.
[[nodiscard]] std::vector<TensorPages> tensor_pages(const Geometry& geometry);

/// What is read at a time, at most.
inline constexpr std::uint64_t kChecksumPartBytes = 16u << 20;

/// Copies page -> object bytes (the page may be on a GPU) of the runs. Kept until that has ended,
/// which may be after the call, if it gives up: `objects`, where the runs lead to.
using Reader = std::function<Status(std::vector<copy::Run> runs, std::shared_ptr<void> objects)>;

/// Hex digests: one per `blocks_per_chunk` blocks over all tensors, or per tensor ("layer_N") when
/// `layerwise`. Ids must be blocks of every tensor. bfloat16 is widened to float32 first, as in the
/// reference. What the reader fails with ends it.
[[nodiscard]] Result<Json> block_checksums(std::span<const TensorPages> tensors,
                                           std::span<std::byte* const> bases,
                                           std::span<const std::int64_t> ids,
                                           std::size_t blocks_per_chunk, bool layerwise,
                                           const Reader& read);

/// Three or more ids in a row as [first, last], others by themselves, order kept.
[[nodiscard]] Json compressed(std::span<const std::int64_t> ids);

}  // namespace lmcache::admin
