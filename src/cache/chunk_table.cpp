#include "cache/chunk_table.hpp"

#include <algorithm>
#include <bit>
#include <tuple>
#include <utility>
#include <vector>

#include "pool/invariant.hpp"

namespace lmcache::cache {
namespace {

/// The part of `memory` that starts at a multiple of `align`.
std::span<std::byte> aligned(std::span<std::byte> memory, std::uint64_t align) {
  const auto start = reinterpret_cast<std::uintptr_t>(memory.data());
  const std::uint64_t skip = (align - start % align) % align;
  return memory.subspan(std::min<std::size_t>(memory.size(), skip));
}

}  // namespace

ChunkTable::ChunkTable(std::span<std::byte> memory, std::uint64_t align_bytes,
                       std::unique_ptr<Policy> policy)
    : base_(aligned(memory, align_bytes).data()),
      allocator_(aligned(memory, align_bytes).size(), align_bytes),
      policy_(std::move(policy)),
      index_(chunks_) {}

LayoutId ChunkTable::acquire_layout(const LayoutPtr& layout) {
  const LayoutId id = layouts_.acquire(layout);
  LayoutSlot& slot = layouts_[id];
  if (slot.rounded.empty())
    for (const ObjectLayout::Group& group : slot.layout->groups)
      slot.rounded.push_back(allocator_.rounded(group.bytes));
  return id;
}

ChunkId ChunkTable::create_pinned(KeyspaceId keyspace, const ChunkHash& hash, std::uint32_t depth) {
  const ChunkId id = chunk_ids_.take();
  chunks_.grow_to(id + 1);
  Chunk& chunk = chunks_[id];
  chunk.hash = hash;
  chunk.keyspace = keyspace;
  chunk.depth = depth;
  chunk.place = Place::kHeld;
  chunk.pins = chunk.holds = 1;
  ++pinned_chunks_;
  keyspaces_.add_reference(keyspace);
  index_.insert(id);
  return id;
}

void ChunkTable::pin(ChunkId id) {
  if (chunks_[id].pins++ == 0) ++pinned_chunks_;
  hold(id);
}

void ChunkTable::unpin(ChunkId id) {
  Chunk& chunk = chunks_[id];
  invariant(chunk.pins > 0, "only what is pinned is unpinned");
  if (--chunk.pins == 0) --pinned_chunks_;
  release_hold(id);
}

void ChunkTable::hold(ChunkId id) {
  while (id != kNoId) {
    Chunk& chunk = chunks_[id];
    if (chunk.holds++ > 0) return;
    leave_order(id);
    chunk.place = Place::kHeld;
    held_bytes_ += chunk.bytes;
    id = chunk.parent;
  }
}

void ChunkTable::release_hold(ChunkId id) {
  while (id != kNoId) {
    Chunk& chunk = chunks_[id];
    if (--chunk.holds > 0) return;
    held_bytes_ -= chunk.bytes;
    const ChunkId parent = chunk.parent;
    if (chunk.place == Place::kDetached) {
      destroy(id);
    } else {
      chunk.place = Place::kOrdered;
      policy_->insert(id, chunk.bytes);
    }
    id = parent;
  }
}

void ChunkTable::leave_order(ChunkId id) {
  if (chunks_[id].place == Place::kOrdered) policy_->remove(id);
}

void ChunkTable::link(ChunkId child_id, ChunkId parent_id) {
  Chunk& child = chunks_[child_id];
  Chunk& parent = chunks_[parent_id];
  // Depths are fixed when a chunk is created, so links that only go to smaller ones never form a
  // ring, whatever a caller claims to be a chain.
  if (child.parent != kNoId || parent.depth >= child.depth) return;
  child.parent = parent_id;
  ++parent.children;
  if (child.holds > 0) hold(parent_id);
}

void ChunkTable::unlink(ChunkId id) {
  Chunk& chunk = chunks_[id];
  const ChunkId parent_id = std::exchange(chunk.parent, kNoId);
  if (parent_id == kNoId) return;
  Chunk& parent = chunks_[parent_id];
  if (--parent.children == 0 && parent.place == Place::kParked) {
    parent.place = Place::kOrdered;
    policy_->restore(parent_id, parent.bytes);
  }
  if (chunk.holds > 0) release_hold(parent_id);
}

void ChunkTable::touch(ChunkId id) {
  Chunk& chunk = chunks_[id];
  if (chunk.place == Place::kOrdered) {
    policy_->touch(id);
  } else if (chunk.place == Place::kParked) {
    chunk.place = Place::kOrdered;
    policy_->insert(id, chunk.bytes);
  }
}

const Shard* ChunkTable::shard(ChunkId id, std::uint32_t rank, LayoutId layout) const noexcept {
  const auto& shards = chunks_[id].shards;
  const auto found = std::lower_bound(
      shards.begin(), shards.end(), std::tie(layout, rank),
      [](const Shard& s, const auto& key) { return std::tie(s.layout, s.rank) < key; });
  return found != shards.end() && found->layout == layout && found->rank == rank ? &*found
                                                                                 : nullptr;
}

Shard& ChunkTable::shard_for(Chunk& chunk, std::uint32_t rank, LayoutId layout) {
  const auto place = std::lower_bound(
      chunk.shards.begin(), chunk.shards.end(), std::tie(layout, rank),
      [](const Shard& s, const auto& key) { return std::tie(s.layout, s.rank) < key; });
  if (place != chunk.shards.end() && place->layout == layout && place->rank == rank) return *place;
  layouts_.add_reference(layout);
  return *chunk.shards.insert(place, Shard{0, layout, rank, layouts_[layout].take_offsets()});
}

std::byte* ChunkTable::object(const Shard& shard, std::uint32_t group) noexcept {
  return base_ + layouts_[shard.layout].offsets(shard.offsets)[group];
}

bool ChunkTable::publish(ChunkId id, std::uint32_t rank, LayoutId layout, std::uint32_t group,
                         std::byte* memory) {
  Chunk& chunk = chunks_[id];
  invariant(chunk.place == Place::kHeld, "only held chunks get new objects");
  Shard& shard = shard_for(chunk, rank, layout);
  const std::uint64_t bit = std::uint64_t{1} << group;
  if ((shard.present & bit) != 0) return false;
  shard.present |= bit;
  layouts_[layout].offsets(shard.offsets)[group] = static_cast<std::uint64_t>(memory - base_);
  const std::uint64_t bytes = layouts_[layout].rounded[group];
  chunk.bytes += bytes;
  held_bytes_ += bytes;
  reserved_bytes_ -= bytes;
  --reserved_objects_;
  ++objects_;
  return true;
}

std::byte* ChunkTable::allocate(std::uint64_t bytes) {
  std::optional<std::uint64_t> offset = allocator_.allocate(bytes);
  while (!offset) {
    if (!evict_one()) return nullptr;
    if (allocator_.largest_free_bytes() >= bytes) offset = allocator_.allocate(bytes);
  }
  reserved_bytes_ += bytes;
  ++reserved_objects_;
  return base_ + *offset;
}

void ChunkTable::give_back(std::byte* memory, std::uint64_t bytes) {
  reserved_bytes_ -= bytes;
  --reserved_objects_;
  allocator_.free(static_cast<std::uint64_t>(memory - base_), bytes);
}

std::uint64_t ChunkTable::obtainable_bytes() const noexcept {
  return policy_->evicts() ? allocator_.total_bytes() - busy_bytes() : allocator_.free_bytes();
}

std::optional<std::uint64_t> ChunkTable::evict_one() {
  while (const auto id = policy_->victim()) {
    Chunk& chunk = chunks_[*id];
    policy_->remove(*id);
    if (chunk.children > 0) {
      chunk.place = Place::kParked;
      continue;
    }
    const std::uint64_t bytes = chunk.bytes;
    const std::uint64_t before = objects_;
    unlink(*id);
    index_.erase(*id);
    destroy(*id);
    evicted_bytes_ += bytes;
    evicted_objects_ += before - objects_;
    return bytes;
  }
  return std::nullopt;
}

void ChunkTable::clear(bool force) {
  const auto goes = [&](const Chunk& c) {
    return c.place != Place::kFree && (force || c.pins == 0);
  };
  // First no link may cross from what goes to what stays, then the order of going does not matter.
  // Unlinking also takes the holds off chunks that were held only for the sake of those behind
  // them.
  for (ChunkId id = 0; id < chunk_ids_.end(); ++id) {
    const Chunk& chunk = chunks_[id];
    if (chunk.parent != kNoId && (goes(chunk) || goes(chunks_[chunk.parent]))) unlink(id);
  }
  for (ChunkId id = 0; id < chunk_ids_.end(); ++id) {
    Chunk& chunk = chunks_[id];
    if (!goes(chunk) || chunk.place == Place::kDetached) continue;
    index_.erase(id);
    if (chunk.pins > 0) {
      chunk.place = Place::kDetached;
    } else {
      leave_order(id);
      destroy(id);
    }
  }
}

/// The chunk is in neither the index nor the order, and has no links.
void ChunkTable::destroy(ChunkId id) {
  Chunk& chunk = chunks_[id];
  invariant(chunk.children == 0 && chunk.holds == 0, "what is freed is in nobody's use");
  for (const Shard& shard : chunk.shards) {
    LayoutSlot& layout = layouts_[shard.layout];
    const auto offsets = layout.offsets(shard.offsets);
    for (std::uint64_t left = shard.present; left != 0; left &= left - 1) {
      const auto group = static_cast<std::size_t>(std::countr_zero(left));
      allocator_.free(offsets[group], layout.rounded[group]);
      --objects_;
    }
    layout.give_back_offsets(shard.offsets);
    layouts_.release(shard.layout);
  }
  keyspaces_.release(chunk.keyspace);
  chunk = Chunk{};
  chunk_ids_.give_back(id);
}

CacheStats ChunkTable::stats() const noexcept {
  CacheStats stats;
  stats.total_bytes = allocator_.total_bytes();
  stats.used_bytes = allocator_.used_bytes();
  stats.free_bytes = allocator_.free_bytes();
  stats.largest_free_bytes = allocator_.largest_free_bytes();
  stats.objects = objects_;
  stats.chunks = index_.size();
  stats.pinned_chunks = pinned_chunks_;
  stats.reserved_objects = reserved_objects_;
  stats.reserved_bytes = reserved_bytes_;
  stats.evicted_objects = evicted_objects_;
  stats.evicted_bytes = evicted_bytes_;
  return stats;
}

}  // namespace lmcache::cache
