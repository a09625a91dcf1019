#include "gpu/rects.hpp"

#include "geometry/layout.hpp"

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

}  // namespace

std::optional<std::vector<Rect>> plan_rects(
    const Pages& pages, const std::vector<std::vector<std::uint64_t>>& origins) {
  std::vector<Rect> rects;
  std::vector<std::uint32_t> ids;
  for (const ObjectRef& object : pages.objects) {
    for (const std::uint32_t g : pages.geometry->object_groups[object.group].kernel_groups) {
      const KernelGroup& kg = pages.geometry->kernel_groups[g];
      const std::uint64_t page = geometry::page_bytes(kg);
      if (kg.parts.size() != 1 || kg.parts[0].run != page) return std::nullopt;
      if (!copied_ids(pages, g, object.chunk - pages.first_chunk, ids)) continue;
      const std::vector<std::uint64_t>& at = origins[g];
      std::byte* region = object.data + kg.object_offset;
      const auto runs = stretches(ids);
      const std::uint64_t pitch = even_pitch(at, page);
      std::uint64_t copied = 0;
      for (const Stretch& run : runs) copied += run.count;
      if (pitch != 0 && copied <= runs.size() * at.size()) {
        // A block's pages of all layers.
        for (std::uint32_t i = 0; i < ids.size(); ++i) {
          if (ids[i] == kernels::kNoBlock) continue;
          rects.push_back({at[0] + ids[i] * kg.block_stride_bytes, region + i * page, pitch,
                           kg.kept_ids * page, page, at.size()});
        }
        continue;
      }
      for (std::size_t o = 0; o < at.size(); ++o) {  // a layer's pages of blocks in a row
        std::byte* row = region + o * kg.kept_ids * page;
        for (const Stretch& run : runs)
          rects.push_back({at[o] + ids[run.first] * kg.block_stride_bytes, row + run.first * page,
                           kg.block_stride_bytes, page, page, run.count});
      }
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
