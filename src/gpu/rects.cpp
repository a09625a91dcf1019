#include "gpu/rects.hpp"

#include "geometry/layout.hpp"

#include <algorithm>

namespace lmcache::gpu {
namespace {

/// Distance of neighbouring origins where all are equally spaced and do not overlap, else 0. A
/// single origin has no distance that matters.
std::uint64_t even_pitch(const std::vector<std::uint64_t>& origins, std::uint64_t page) {
  if (origins.size() == 1) return page;
  const std::uint64_t pitch = origins[1] - origins[0];
  if (origins[1] <= origins[0] || pitch < page) return 0;
  for (std::size_t i = 2; i < origins.size(); ++i)
    if (origins[i] - origins[i - 1] != pitch) return 0;
  return pitch;
}

struct Stretch {
  std::uint32_t first = 0, count = 0;  ///< kept ids whose blocks follow each other
};

std::vector<Stretch> stretches(const std::vector<std::uint32_t>& ids) {
  std::vector<Stretch> found;
  for (std::uint32_t i = 0; i < ids.size(); ++i) {
    if (ids[i] == kernels::kNoBlock) continue;
    const bool continues =
        i > 0 && !found.empty() && ids[i - 1] != kernels::kNoBlock && ids[i] == ids[i - 1] + 1;
    if (continues) {
      ++found.back().count;
    } else {
      found.push_back({i, 1});
    }
  }
  return found;
}

/// Pages that are one run of bytes each.
void add_runs(const KernelGroup& group, const std::vector<std::uint64_t>& origins,
              const std::vector<std::uint32_t>& ids, std::byte* region, std::vector<Rect>& rects) {
  const std::uint64_t page = geometry::page_bytes(group);
  const auto runs = stretches(ids);
  const std::uint64_t pitch = even_pitch(origins, page);
  std::uint64_t copied = 0;
  for (const Stretch& run : runs) copied += run.count;
  if (pitch != 0 && copied <= runs.size() * origins.size()) {
    // A block's pages of all layers.
    for (std::uint32_t i = 0; i < ids.size(); ++i) {
      if (ids[i] == kernels::kNoBlock) continue;
      rects.push_back({origins[0] + ids[i] * group.block_stride_bytes, region + i * page, pitch,
                       group.kept_ids * page, page, origins.size()});
    }
    return;
  }
  for (std::size_t o = 0; o < origins.size(); ++o) {  // a layer's pages of blocks in a row
    std::byte* row = region + o * group.kept_ids * page;
    for (const Stretch& run : runs)
      rects.push_back({origins[o] + ids[run.first] * group.block_stride_bytes,
                       row + run.first * page, group.block_stride_bytes, page, page, run.count});
  }
}

/// Pages whose rows are elsewhere in an object than in the page: a rectangle for each inner loop.
void add_loops(const KernelGroup& group, const std::vector<std::uint64_t>& origins,
               const std::vector<std::uint32_t>& ids, std::byte* region, std::vector<Rect>& rects) {
  const std::uint64_t page = geometry::page_bytes(group);
  for (std::size_t o = 0; o < origins.size(); ++o) {
    for (std::uint32_t i = 0; i < ids.size(); ++i) {
      if (ids[i] == kernels::kNoBlock) continue;
      const std::uint64_t at = origins[o] + ids[i] * group.block_stride_bytes;
      std::byte* host = region + (o * group.kept_ids + i) * page;
      for (const PagePart& part : group.parts) {
        // The longer loop becomes the rows.
        const bool outer = part.n1 == 1;
        const std::uint32_t rows = outer ? part.n0 : part.n1, count = outer ? 1 : part.n0;
        const std::uint64_t page_pitch = outer ? part.page0 : part.page1;
        const std::uint64_t host_pitch = outer ? part.object0 : part.object1;
        for (std::uint32_t k = 0; k < count; ++k)
          rects.push_back({at + part.page + k * part.page0, host + part.object + k * part.object0,
                           std::max(page_pitch, part.run), std::max(host_pitch, part.run), part.run,
                           rows});
      }
    }
  }
}

}  // namespace

std::vector<Rect> plan_rects(const Pages& pages,
                             const std::vector<std::vector<std::uint64_t>>& origins) {
  std::vector<Rect> rects;
  std::vector<std::uint32_t> ids;
  for (const ObjectRef& object : pages.objects) {
    for (const std::uint32_t g : pages.geometry->object_groups[object.group].kernel_groups) {
      const KernelGroup& group = pages.geometry->kernel_groups[g];
      if (!copied_ids(pages, g, object.chunk - pages.first_chunk, ids)) continue;
      const bool one_run =
          group.parts.size() == 1 && group.parts[0].run == geometry::page_bytes(group);
      (one_run ? add_runs : add_loops)(group, origins[g], ids, object.data + group.object_offset,
                                       rects);
    }
  }
  return rects;
}

std::uint64_t total_bytes(const std::vector<Rect>& rects) noexcept {
  std::uint64_t bytes = 0;
  for (const Rect& rect : rects) bytes += rect.width * rect.rows;
  return bytes;
}

}  // namespace lmcache::gpu
