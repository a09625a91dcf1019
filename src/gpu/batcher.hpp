// Cuts the objects of a transfer into batches for the page kernel. Pure: no CUDA, no pointer is
// followed.
//
//   objects --sections of whole pages--> batch: pages <-> buffer (kernel), buffer <-> host (DMA)
#pragma once

#include "copy/plan.hpp"
#include "page_batch.hpp"

#include <lmcache/cache.hpp>
#include <lmcache/geometry.hpp>

#include <array>
#include <cstdint>
#include <span>
#include <vector>

namespace lmcache::gpu {

/// What one DMA moves: bytes that are contiguous in the buffer and in an object, or in objects that
/// follow each other in the pool.
struct HostSpan {
  std::byte* host = nullptr;
  std::uint64_t buffer = 0;  ///< bytes from the start of the batch's buffer
  std::uint64_t bytes = 0;
};

struct Batch {
  kernels::PageBatch pages{};  ///< groups and buffer are the device's business
  std::array<std::byte*, kernels::kMaxSections> host{};  ///< of each section's first page
  std::vector<HostSpan> spans;
  std::uint64_t buffer_bytes = 0;
};

/// The objects of one transfer with what names their pages. Everything is borrowed.
struct Pages {
  const Geometry* geometry = nullptr;
  const copy::BlockIdLists* ids = nullptr;  ///< checked by copy::check_block_ids
  std::span<const ObjectRef> objects;
  std::uint32_t first_chunk = 0;  ///< ObjectRef::chunk of the range's first chunk
  std::int64_t null_id = 0;
  std::uint64_t skip_tokens = 0;  ///< of the range; retrieves only
  std::uint64_t align_bytes =
      4096;  ///< of objects in the pool: the rest of the last unit is padding
};

/// Ids of the kept blocks of one kernel group's chunk, with those that are not copied (null, or
/// wholly inside the skipped tokens) as kernels::kNoBlock. False if none is copied.
bool copied_ids(const Pages& pages, std::uint32_t group, std::uint32_t chunk,
                std::vector<std::uint32_t>& out);

class Batcher {
 public:
  explicit Batcher(const Pages& pages) noexcept : pages_(pages) {}
  /// Fills `batch` with at most `limit` bytes of buffer; false at the end. `limit` must hold the
  /// largest page and 512 bytes.
  [[nodiscard]] bool next(std::uint64_t limit, Batch& batch);

 private:
  struct Room;
  [[nodiscard]] bool add_group(const ObjectRef& object, std::uint32_t group, Room& room);
  [[nodiscard]] bool add_section(std::byte* host, const KernelGroup& group, std::uint32_t index,
                                 std::uint32_t origins, std::uint32_t first, std::uint32_t ids,
                                 Room& room);

  const Pages pages_;
  std::size_t object_ = 0;
  std::size_t group_ = 0;     // index into the object group's kernel groups
  std::uint32_t origin_ = 0;  // first origin that is not in a batch yet
  std::uint32_t id_ = 0;      // first id of it likewise
  std::vector<std::uint32_t> ids_;
};

}  // namespace lmcache::gpu
