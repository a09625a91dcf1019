#include "gpu/batcher.hpp"

#include "geometry/layout.hpp"

#include <algorithm>

namespace lmcache::gpu {
namespace {

constexpr std::uint64_t kBufferAlign = 256;

std::uint64_t align_up(std::uint64_t value, std::uint64_t align) {
  return (value + align - 1) / align * align;
}

}  // namespace

bool copied_ids(const Pages& pages, std::uint32_t group, std::uint32_t chunk,
                std::vector<std::uint32_t>& out) {
  const KernelGroup& kg = pages.geometry->kernel_groups[group];
  const std::vector<std::int64_t>& list = (*pages.ids)[group];
  const std::size_t end = (std::size_t{chunk} + 1) * kg.ids_per_chunk;
  const std::uint64_t skip =
      copy::skipped_ids(kg, pages.geometry->chunk_tokens, chunk, pages.skip_tokens);
  out.clear();
  bool any = false;
  for (std::uint32_t i = 0; i < kg.kept_ids; ++i) {
    const std::int64_t id = list[end - kg.kept_ids + i];
    const bool copied = i >= skip && id != pages.null_id;
    any |= copied;
    out.push_back(copied ? static_cast<std::uint32_t>(id) : kernels::kNoBlock);
  }
  return any;
}

/// What is left of the batch being filled.
struct Batcher::Room {
  Batch& batch;
  std::uint64_t limit;
  std::uint64_t align;
  std::uint32_t ids = 0;  ///< of PageBatch::ids in use

  /// Where in the buffer the bytes for `host` would go; they continue the last span if they can.
  [[nodiscard]] std::uint64_t place(const std::byte* host) const {
    if (!batch.spans.empty()) {
      const HostSpan& last = batch.spans.back();
      const std::byte* end = last.host + last.bytes;
      // Up to the next unit of the pool there is only the last object's own padding.
      const auto next = align_up(reinterpret_cast<std::uintptr_t>(end), align);
      if (host == end || reinterpret_cast<std::uintptr_t>(host) == next)
        return batch.buffer_bytes + static_cast<std::uint64_t>(host - end);
    }
    return align_up(batch.buffer_bytes, kBufferAlign) +
           reinterpret_cast<std::uintptr_t>(host) % kBufferAlign;
  }

  void add(std::byte* host, std::uint64_t buffer, std::uint64_t bytes) {
    HostSpan* last = batch.spans.empty() ? nullptr : &batch.spans.back();
    if (last != nullptr &&
        host - last->host == static_cast<std::ptrdiff_t>(buffer - last->buffer)) {
      last->bytes = buffer + bytes - last->buffer;
    } else {
      batch.spans.push_back({host, buffer, bytes});
    }
    batch.buffer_bytes = buffer + bytes;
  }
};

bool Batcher::next(std::uint64_t limit, Batch& batch) {
  batch.spans.clear();
  batch.buffer_bytes = 0;
  batch.pages.sections = 0;
  Room room{batch, limit, pages_.align_bytes};
  for (; object_ < pages_.objects.size(); ++object_, group_ = 0) {
    const ObjectRef& object = pages_.objects[object_];
    const auto& groups = pages_.geometry->object_groups[object.group].kernel_groups;
    for (; group_ < groups.size(); ++group_, origin_ = id_ = 0)
      if (!add_group(object, groups[group_], room)) return true;
  }
  return batch.pages.sections > 0;
}

/// Adds what is left of the group's region; false if the batch is full first.
bool Batcher::add_group(const ObjectRef& object, std::uint32_t group, Room& room) {
  const KernelGroup& kg = pages_.geometry->kernel_groups[group];
  if (!copied_ids(pages_, group, object.chunk - pages_.first_chunk, ids_)) return true;
  const std::uint64_t page = geometry::page_bytes(kg);
  const auto origins = static_cast<std::uint32_t>(kg.origins.size());
  while (origin_ < origins) {
    std::byte* host =
        object.data + kg.object_offset + (std::uint64_t{origin_} * kg.kept_ids + id_) * page;
    const std::uint64_t at = room.place(host);
    const std::uint64_t pages = at < room.limit ? (room.limit - at) / page : 0;
    if (id_ == 0 && pages >= kg.kept_ids && kg.kept_ids <= kernels::kMaxIds) {
      const auto rows = static_cast<std::uint32_t>(
          std::min<std::uint64_t>(origins - origin_, pages / kg.kept_ids));
      if (!add_section(host, kg, group, rows, 0, kg.kept_ids, room)) return false;
      origin_ += rows;
    } else {
      const auto some = static_cast<std::uint32_t>(
          std::min<std::uint64_t>({kg.kept_ids - id_, pages, std::uint64_t{kernels::kMaxIds}}));
      if (some == 0 || !add_section(host, kg, group, 1, id_, some, room)) return false;
      id_ += some;
      if (id_ == kg.kept_ids) {
        id_ = 0;
        ++origin_;
      }
    }
  }
  return true;
}

bool Batcher::add_section(std::byte* host, const KernelGroup& group, std::uint32_t index,
                          std::uint32_t origins, std::uint32_t first, std::uint32_t ids,
                          Room& room) {
  kernels::PageBatch& batch = room.batch.pages;
  if (batch.sections == kernels::kMaxSections || room.ids + ids > kernels::kMaxIds) return false;
  const std::uint64_t buffer = room.place(host);
  room.batch.host[batch.sections] = host;
  batch.section[batch.sections++] = {buffer, index, origin_, origins, room.ids, ids};
  std::copy_n(ids_.begin() + first, ids, batch.ids + room.ids);
  room.ids += ids;
  room.add(host, buffer, std::uint64_t{origins} * ids * geometry::page_bytes(group));
  return true;
}

}  // namespace lmcache::gpu
