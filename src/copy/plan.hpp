// Turns a store's or retrieve's block ids into runs of bytes. Pure: reads the geometry, forms
// pointers only from checked ids.
#pragma once

#include <lmcache/geometry.hpp>
#include <lmcache/status.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace lmcache::copy {

/// Block ids per kernel group for a range of whole chunks, as a request carries them.
using BlockIdLists = std::vector<std::vector<std::int64_t>>;

enum class Direction : std::uint8_t { kStore, kRetrieve };  ///< pages -> object, object -> pages

/// A copy between pages and one object: `bytes` that are contiguous on both sides, or the loops of
/// `shape`, whose own offsets (PagePart::page, ::object) count from these two pointers.
struct Run {
  std::byte* page = nullptr;
  std::byte* object = nullptr;
  const PagePart* shape = nullptr;  ///< points into the geometry, which must outlive the run;
                                    ///< nullptr: one run of `bytes`
  std::uint64_t bytes = 0;          ///< moved in all
};

/// Checks what a request may not get wrong: one list per kernel group; each a whole number of
/// chunks and at least `chunks` of them; every id of every list in [0, num_blocks), or `null_id`,
/// which names no block and may lie outside the pool (-1). kBadBlockIds with group, position, value
/// and limit.
[[nodiscard]] Status check_block_ids(const Geometry& geometry, const BlockIdLists& ids,
                                     std::uint32_t chunks, std::int64_t null_id);

/// True where object group `group` must be kept for chunk i of the range: none of the ids it keeps
/// (all of the chunk's, or the trailing ones of its window) is `null_id`. ids as checked by
/// check_block_ids.
[[nodiscard]] std::vector<bool> storable_chunks(const Geometry& geometry, std::uint32_t group,
                                                const BlockIdLists& ids, std::uint32_t chunks,
                                                std::int64_t null_id);

/// How many of the ids that chunk `chunk` (range-relative) keeps lie wholly inside the first
/// `skip_tokens` tokens of the range (kv-groups 4.2: rounded down to whole blocks).
[[nodiscard]] std::uint64_t skipped_ids(const KernelGroup& group, std::uint32_t chunk_tokens,
                                        std::uint32_t chunk, std::uint64_t skip_tokens) noexcept;

/// Appends the runs between the pages of chunk `chunk` (range-relative) and the object of group
/// `group` at `object`. `bases[t]` is the mapped segment base of tensor t (not read for tensors in
/// no group). Blocks with null_id are left out (retrieve never writes them), as are, on retrieve,
/// the blocks that lie wholly inside the first `skip_tokens` tokens of the *range* (kv-groups 4.2:
/// rounded down to whole blocks). Runs that continue each other on both sides are merged. `ids` as
/// checked by check_block_ids; `runs` may be reused, it is only appended to.
void plan_object(const Geometry& geometry, std::uint32_t group, const BlockIdLists& ids,
                 std::uint32_t chunk, std::byte* object, std::span<std::byte* const> bases,
                 std::int64_t null_id, std::uint64_t skip_tokens, std::vector<Run>& runs);

}  // namespace lmcache::copy
