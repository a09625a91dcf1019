#include "copy/plan.hpp"

#include "geometry/layout.hpp"

#include <algorithm>
#include <string>

namespace lmcache::copy {
namespace {

/// Kept ids that one run can serve: blocks that follow each other in the pool as well as in the
/// object.
struct Stretch {
  std::uint64_t page = 0;    ///< bytes from a layer's block 0
  std::uint64_t object = 0;  ///< bytes from a layer's first row
  std::uint64_t bytes = 0;
};

/// The trailing ids of `chunk` that are copied.
std::span<const std::int64_t> kept_ids(const KernelGroup& group, std::span<const std::int64_t> list,
                                       std::uint32_t chunk) {
  const std::size_t end = (std::size_t{chunk} + 1) * group.ids_per_chunk;
  return list.subspan(end - group.kept_ids, group.kept_ids);
}

void find_stretches(const KernelGroup& group, std::span<const std::int64_t> ids, std::uint64_t skip,
                    std::int64_t null_id, std::vector<Stretch>& stretches) {
  const std::uint64_t page = geometry::page_bytes(group);
  const bool one_run = group.parts.size() == 1 && group.parts[0].run == page;
  stretches.clear();
  for (std::uint64_t i = skip; i < ids.size(); ++i) {
    if (ids[i] == null_id) continue;
    const Stretch next{static_cast<std::uint64_t>(ids[i]) * group.block_stride_bytes, i * page,
                       page};
    Stretch* last = stretches.empty() ? nullptr : &stretches.back();
    if (one_run && last != nullptr && last->page + last->bytes == next.page &&
        last->object + last->bytes == next.object) {
      last->bytes += page;
    } else {
      stretches.push_back(next);
    }
  }
}

void append(std::vector<Run>& runs, std::size_t first, std::byte* page, std::byte* object,
            std::uint64_t bytes) {
  // Layers of one pool may follow each other as well; never merge with what the caller had before.
  if (runs.size() > first) {
    Run& last = runs.back();
    if (last.shape == nullptr && last.page + last.bytes == page &&
        last.object + last.bytes == object) {
      last.bytes += bytes;
      return;
    }
  }
  runs.push_back({page, object, nullptr, bytes});
}

Error bad_ids(std::size_t group, const std::string& text) {
  return {Cause::kBadBlockIds, "block ids of group " + std::to_string(group) + ": " + text};
}

}  // namespace

Status check_block_ids(const Geometry& geometry, const BlockIdLists& ids, std::uint32_t chunks,
                       std::int64_t null_id) {
  if (ids.size() != geometry.kernel_groups.size()) {
    return Error{Cause::kBadBlockIds, std::to_string(ids.size()) + " block id lists for " +
                                          std::to_string(geometry.kernel_groups.size()) +
                                          " groups"};
  }
  for (std::size_t g = 0; g < ids.size(); ++g) {
    const KernelGroup& group = geometry.kernel_groups[g];
    const std::uint64_t needed = std::uint64_t{chunks} * group.ids_per_chunk;
    if (ids[g].size() < needed || ids[g].size() % group.ids_per_chunk != 0) {
      return bad_ids(g, std::to_string(ids[g].size()) + " ids, needed are " +
                            std::to_string(needed) + " or more in whole chunks of " +
                            std::to_string(group.ids_per_chunk));
    }
    for (std::size_t i = 0; i < ids[g].size(); ++i) {
      const std::int64_t id = ids[g][i];
      if (id == null_id) continue;
      if (id < 0 || static_cast<std::uint64_t>(id) >= group.num_blocks) {
        return bad_ids(g, "id " + std::to_string(id) + " at position " + std::to_string(i) +
                              " is outside 0.." + std::to_string(group.num_blocks - 1));
      }
    }
  }
  return {};
}

std::vector<bool> storable_chunks(const Geometry& geometry, std::uint32_t group,
                                  const BlockIdLists& ids, std::uint32_t chunks,
                                  std::int64_t null_id) {
  std::vector<bool> storable(chunks, true);
  for (const std::uint32_t index : geometry.object_groups[group].kernel_groups) {
    const KernelGroup& kernel_group = geometry.kernel_groups[index];
    for (std::uint32_t chunk = 0; chunk < chunks; ++chunk) {
      const auto kept = kept_ids(kernel_group, ids[index], chunk);
      if (std::find(kept.begin(), kept.end(), null_id) != kept.end()) storable[chunk] = false;
    }
  }
  return storable;
}

std::uint64_t skipped_ids(const KernelGroup& group, std::uint32_t chunk_tokens, std::uint32_t chunk,
                          std::uint64_t skip_tokens) noexcept {
  const std::uint64_t start = std::uint64_t{chunk} * chunk_tokens;
  if (skip_tokens <= start) return 0;
  const std::uint64_t tokens = std::min<std::uint64_t>(skip_tokens - start, chunk_tokens);
  const std::uint64_t blocks = tokens / group.tokens_per_block;
  const std::uint64_t not_kept = group.ids_per_chunk - group.kept_ids;
  return blocks > not_kept ? blocks - not_kept : 0;
}

void plan_object(const Geometry& geometry, std::uint32_t group, const BlockIdLists& ids,
                 std::uint32_t chunk, std::byte* object, std::span<std::byte* const> bases,
                 std::int64_t null_id, std::uint64_t skip_tokens, std::vector<Run>& runs) {
  const std::size_t first = runs.size();
  std::vector<Stretch> stretches;
  for (const std::uint32_t index : geometry.object_groups[group].kernel_groups) {
    const KernelGroup& kg = geometry.kernel_groups[index];
    const std::uint64_t skip = skipped_ids(kg, geometry.chunk_tokens, chunk, skip_tokens);
    find_stretches(kg, kept_ids(kg, ids[index], chunk), skip, null_id, stretches);
    const bool one_run = kg.parts.size() == 1 && kg.parts[0].run == geometry::page_bytes(kg);
    const std::uint64_t layer_bytes = kg.kept_ids * geometry::page_bytes(kg);
    std::byte* region = object + kg.object_offset;
    for (const PlaneOrigin& origin : kg.origins) {
      std::byte* pages = bases[origin.tensor] + origin.offset;
      for (const Stretch& stretch : stretches) {
        if (one_run) {
          append(runs, first, pages + stretch.page, region + stretch.object, stretch.bytes);
          continue;
        }
        for (const PagePart& part : kg.parts) {
          runs.push_back({pages + stretch.page, region + stretch.object, &part,
                          std::uint64_t{part.n0} * part.n1 * part.run});
        }
      }
      region += layer_bytes;
    }
  }
}

}  // namespace lmcache::copy
