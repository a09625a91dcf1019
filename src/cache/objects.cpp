#include "cache/objects.hpp"

#include <algorithm>
#include <bit>
#include <tuple>

namespace lmcache::cache {
namespace {

/// The part of `memory` that starts at a multiple of `align`.
std::span<std::byte> aligned(std::span<std::byte> memory, std::uint64_t align) {
  const auto start = reinterpret_cast<std::uintptr_t>(memory.data());
  const std::uint64_t skip = (align - start % align) % align;
  return memory.subspan(std::min<std::size_t>(memory.size(), skip));
}

/// Where a shard is among others, or would be.
std::size_t position(const Shards& shards, std::uint32_t rank, LayoutId layout) noexcept {
  const auto found = std::lower_bound(
      shards.begin(), shards.end(), std::tie(layout, rank),
      [](const Shard& s, const auto& key) { return std::tie(s.layout, s.rank) < key; });
  return static_cast<std::size_t>(found - shards.begin());
}

}  // namespace

Objects::Objects(std::span<std::byte> memory, std::uint64_t align_bytes, std::uint64_t part_bytes)
    : base_(aligned(memory, align_bytes).data()),
      allocator_(aligned(memory, align_bytes).size(), align_bytes, part_bytes) {}

LayoutId Objects::acquire_layout(const LayoutPtr& layout) {
  const LayoutId id = layouts_.acquire(layout);
  LayoutSlot& slot = layouts_[id];
  if (!slot.rounded.empty()) return id;
  for (const ObjectLayout::Group& group : slot.layout->groups) {
    if (!group.auxiliary && group.window_chunks > 0) {
      slot.windowed |= std::uint64_t{1} << slot.rounded.size();
      slot.span = std::max(slot.span, static_cast<std::uint32_t>(group.window_chunks));
    }
    slot.rounded.push_back(allocator_.rounded(group.bytes));
  }
  return id;
}

std::byte* Objects::take(std::uint64_t bytes) {
  const auto offset = allocator_.allocate(bytes);
  return offset ? base_ + *offset : nullptr;
}

void Objects::give_back(std::byte* memory, std::uint64_t bytes) {
  allocator_.free(static_cast<std::uint64_t>(memory - base_), bytes);
}

bool Objects::probe() {
  const std::uint64_t free = allocator_.free_bytes(), unit = allocator_.rounded(1);
  const auto offset = allocator_.allocate(1);
  const bool taken = allocator_.free_bytes() == free - (offset ? unit : 0);
  if (offset) allocator_.free(*offset, 1);
  return taken && offset.has_value() == (free > 0) && allocator_.free_bytes() == free;
}

const Shard* Objects::find(const Shards& shards, std::uint32_t rank, LayoutId layout) noexcept {
  const std::size_t i = position(shards, rank, layout);
  if (i == shards.size() || shards[i].layout != layout || shards[i].rank != rank) return nullptr;
  return &shards[i];
}

Shard& Objects::shard_for(Shards& shards, std::uint32_t rank, LayoutId layout) {
  const std::size_t i = position(shards, rank, layout);
  if (i < shards.size() && shards[i].layout == layout && shards[i].rank == rank) return shards[i];
  layouts_.add_reference(layout);
  return *shards.insert(shards.begin() + static_cast<std::ptrdiff_t>(i),
                        Shard{0, layout, rank, layouts_[layout].take_offsets()});
}

std::byte* Objects::data(const Shard& shard, std::uint32_t group) noexcept {
  return base_ + layouts_[shard.layout].offsets(shard.offsets)[group];
}

bool Objects::add(Shard& shard, std::uint32_t group, std::byte* memory) {
  LayoutSlot& layout = layouts_[shard.layout];
  const std::uint64_t bit = std::uint64_t{1} << group;
  if ((shard.present & bit) != 0) return false;
  shard.present |= bit;
  layout.offsets(shard.offsets)[group] = static_cast<std::uint64_t>(memory - base_);
  ++count_;
  if ((layout.windowed & bit) != 0) ++windowed_count_;
  return true;
}

std::byte* Objects::remove(Shard& shard, std::uint32_t group) noexcept {
  const std::uint64_t bit = std::uint64_t{1} << group;
  std::byte* memory = data(shard, group);
  shard.present &= ~bit;
  --count_;
  if ((layouts_[shard.layout].windowed & bit) != 0) --windowed_count_;
  return memory;
}

void Objects::free(Shard& shard, std::uint64_t groups) {
  LayoutSlot& layout = layouts_[shard.layout];
  const auto offsets = layout.offsets(shard.offsets);
  for (std::uint64_t left = groups; left != 0; left &= left - 1) {
    const auto group = static_cast<std::size_t>(std::countr_zero(left));
    allocator_.free(offsets[group], layout.rounded[group]);
  }
  shard.present &= ~groups;
  count_ -= static_cast<std::uint64_t>(std::popcount(groups));
  windowed_count_ -= static_cast<std::uint64_t>(std::popcount(groups & layout.windowed));
}

void Objects::drop(Shard& shard) {
  free(shard, shard.present);
  layouts_[shard.layout].give_back_offsets(shard.offsets);
  layouts_.release(shard.layout);
}

}  // namespace lmcache::cache
