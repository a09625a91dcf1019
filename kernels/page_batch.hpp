// Moves pages of an engine's KV cache to or from a contiguous buffer, both in memory of one GPU.
//
// A *batch* is a list of sections; a section is the pages of `ids` blocks in each of `origins`
// (plane, layer) pairs of one kernel group. In the buffer a section's pages follow each other,
// [origin][id][page bytes]: the order they have in an object, so that one DMA moves the whole of it
// (docs/LAYOUTS.md). Between two pages of the engine lies whatever the engine keeps there; it is
// neither read nor written.
//
// The batch travels as the kernel's parameter, block ids included: nothing has to be uploaded
// first.
#pragma once

#include <cstddef>
#include <cstdint>

namespace lmcache::kernels {

/// The loops of one page part, in bytes; as PagePart of <lmcache/geometry.hpp>.
struct PageLoop {
  std::uint64_t page, buffer;
  std::uint64_t page0, page1, buffer0, buffer1;
  std::uint64_t run;
  std::uint32_t n0, n1;
};

/// One kernel group as the device sees it. Lives in device memory as long as its registration.
struct PageGroup {
  const std::uint64_t* origins;  ///< device array: address of block 0's page per (plane, layer)
  std::uint64_t block_stride;    ///< bytes from one block's page to the next
  std::uint32_t page_bytes;      ///< payload of a page
  std::uint32_t loops;           ///< 0: a page is one run of page_bytes
  PageLoop loop[2];
};

inline constexpr std::uint32_t kNoBlock = 0xFFFFFFFFu;  ///< a block id that is left out
inline constexpr std::uint32_t kMaxSections = 32;
inline constexpr std::uint32_t kMaxIds = 640;

struct PageSection {
  std::uint64_t buffer;        ///< bytes from the batch's buffer
  std::uint32_t group;         ///< index into PageBatch::groups
  std::uint32_t first_origin;  ///< of the group's origins
  std::uint32_t origins;
  std::uint32_t first_id;  ///< of PageBatch::ids
  std::uint32_t ids;
};

/// At most 4 KiB, the kernel parameter limit of every supported GPU.
struct PageBatch {
  const PageGroup* groups;  ///< device memory
  std::byte* buffer;        ///< device memory, 16-byte aligned
  std::uint32_t sections;
  PageSection section[kMaxSections];
  std::uint32_t ids[kMaxIds];
};
static_assert(sizeof(PageBatch) <= 4096);

}  // namespace lmcache::kernels
