// The bytes of one kernel group: how a page maps onto object rows, and the proof that every page
// lies in its segment.
#pragma once

#include <lmcache/geometry.hpp>

#include <span>
#include <vector>

namespace lmcache::geometry {

/// Payload bytes of one page: what is copied, without the padding behind it.
[[nodiscard]] std::uint64_t page_bytes(const KernelGroup& group) noexcept;

/// The loops of one page, at most two parts; reads format, heads, head_size, item_bytes and
/// slots_per_block.
[[nodiscard]] std::vector<PagePart> page_parts(const KernelGroup& group);

/// Every page of every block of each (plane, layer) against the segment of its tensor.
[[nodiscard]] Status check_pages(const KernelGroup& group, std::span<const TensorDesc> tensors);

}  // namespace lmcache::geometry
