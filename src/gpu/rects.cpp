#include "gpu/rects.hpp"

#include "geometry/layout.hpp"

#include <algorithm>
#include <span>

namespace lmcache::gpu {
namespace {

/// What a rectangle's rows may be apart: the driver takes no more.
constexpr std::uint64_t kMostPitch = INT32_MAX;

/// Planned at a time.
constexpr std::uint64_t kBatchBytes = 64ull << 20;

/// Neighbours that follow each other, or lie evenly spaced.
struct Stretch {
  std::uint32_t first = 0, count = 0;
  std::uint64_t pitch = 0;  ///< of origins
};

/// Origins in one allocation that are evenly spaced, and whose pages do not overlap.
std::vector<Stretch> even_stretches(std::span<const Origin> origins, std::uint64_t page) {
  std::vector<Stretch> found;
  for (std::uint32_t i = 0; i < origins.size(); ++i) {
    const Origin& origin = origins[i];
    std::uint64_t pitch = 0;
    if (i > 0 && origin.allocation == origins[i - 1].allocation &&
        origin.address > origins[i - 1].address)
      pitch = origin.address - origins[i - 1].address;
    const bool apart = pitch >= page && pitch <= kMostPitch;
    if (apart && (found.back().count == 1 || pitch == found.back().pitch)) {
      found.back().pitch = pitch;
      ++found.back().count;
    } else {
      found.push_back({i, 1, page});  // a single one has no distance that matters
    }
  }
  return found;
}

/// Ids whose blocks follow each other, if those are near enough; those that are not copied are left
/// out.
std::vector<Stretch> id_stretches(std::span<const std::uint32_t> ids, bool near) {
  std::vector<Stretch> found;
  for (std::uint32_t i = 0; i < ids.size(); ++i) {
    if (ids[i] == kernels::kNoBlock) continue;
    const bool continues =
        near && i > 0 && ids[i - 1] != kernels::kNoBlock && ids[i] == ids[i - 1] + 1;
    if (continues) {
      ++found.back().count;
    } else {
      found.push_back({i, 1});
    }
  }
  return found;
}

/// The pages of some blocks of one kernel group; on the host they follow each other, [origin][id].
struct Section {
  const KernelGroup& group;
  std::span<const Origin> origins;
  std::span<const std::uint32_t> ids;
  std::byte* host;
};

/// Where rectangles are collected, up to a number.
struct Room {
  std::vector<Rect>& rects;
  std::size_t most;
  [[nodiscard]] bool add(const Rect& rect) {
    if (rects.size() >= most) return false;
    rects.push_back(rect);
    return true;
  }
};

/// Pages that are one run of bytes each.
bool add_runs(const Section& section, Room room) {
  const std::uint64_t page = geometry::page_bytes(section.group);
  const std::uint64_t stride = section.group.block_stride_bytes;
  const std::uint64_t row = section.ids.size() * page;  // of the host's
  const auto runs = id_stretches(section.ids, stride <= kMostPitch);
  const auto layers = even_stretches(section.origins, page);
  std::uint64_t copied = 0;
  for (const Stretch& run : runs) copied += run.count;
  if (copied * layers.size() <= runs.size() * section.origins.size()) {
    for (const Stretch& some : layers) {  // a block's pages of evenly spaced layers
      for (std::uint32_t i = 0; i < section.ids.size(); ++i) {
        if (section.ids[i] == kernels::kNoBlock) continue;
        if (!room.add({section.origins[some.first].address + section.ids[i] * stride,
                       section.host + some.first * row + i * page, some.pitch, row, page,
                       some.count}))
          return false;
      }
    }
    return true;
  }
  for (std::size_t o = 0; o < section.origins.size(); ++o) {  // a layer's pages of blocks in a row
    for (const Stretch& run : runs)
      if (!room.add({section.origins[o].address + section.ids[run.first] * stride,
                     section.host + o * row + run.first * page, run.count > 1 ? stride : page, page,
                     page, run.count}))
        return false;
  }
  return true;
}

/// Pages whose rows are elsewhere in an object than in the page: a rectangle for each inner loop.
bool add_loops(const Section& section, Room room) {
  const std::uint64_t page = geometry::page_bytes(section.group);
  for (std::size_t o = 0; o < section.origins.size(); ++o) {
    for (std::uint32_t i = 0; i < section.ids.size(); ++i) {
      if (section.ids[i] == kernels::kNoBlock) continue;
      const std::uint64_t at =
          section.origins[o].address + section.ids[i] * section.group.block_stride_bytes;
      std::byte* host = section.host + (o * section.ids.size() + i) * page;
      for (const PagePart& part : section.group.parts) {
        // The longer loop becomes the rows.
        const bool outer = part.n1 == 1;
        const std::uint32_t rows = outer ? part.n0 : part.n1, count = outer ? 1 : part.n0;
        const std::uint64_t page_pitch = outer ? part.page0 : part.page1;
        const std::uint64_t host_pitch = outer ? part.object0 : part.object1;
        for (std::uint32_t k = 0; k < count; ++k)
          if (!room.add({at + part.page + k * part.page0, host + part.object + k * part.object0,
                         std::max(page_pitch, part.run), std::max(host_pitch, part.run), part.run,
                         rows}))
            return false;
      }
    }
  }
  return true;
}

}  // namespace

bool add_rects(const Batch& batch, const Geometry& geometry, const Origins& origins,
               std::size_t most, std::vector<Rect>& rects) {
  for (std::uint32_t s = 0; s < batch.pages.sections; ++s) {
    const kernels::PageSection& part = batch.pages.section[s];
    const KernelGroup& group = geometry.kernel_groups[part.group];
    const Section section{
        group, std::span(origins[part.group]).subspan(part.first_origin, part.origins),
        std::span(batch.pages.ids).subspan(part.first_id, part.ids), batch.host[s]};
    const bool one_run =
        group.parts.size() == 1 && group.parts[0].run == geometry::page_bytes(group);
    if (!(one_run ? add_runs : add_loops)(section, {rects, most})) return false;
  }
  return true;
}

std::optional<std::vector<Rect>> plan_rects(const Pages& pages, const Origins& origins,
                                            std::size_t most) {
  std::vector<Rect> rects;
  Batcher batches(pages);
  Batch batch;
  while (batches.next(kBatchBytes, batch))
    if (!add_rects(batch, *pages.geometry, origins, most, rects)) return std::nullopt;
  return rects;
}

std::uint64_t total_bytes(const std::vector<Rect>& rects) noexcept {
  std::uint64_t bytes = 0;
  for (const Rect& rect : rects) bytes += rect.width * rect.rows;
  return bytes;
}

}  // namespace lmcache::gpu
