#include "cache/chunk_table.hpp"

#include <algorithm>
#include <bit>
#include <utility>

#include "cache/sample_key.hpp"
#include "obs/metrics.hpp"
#include "pool/invariant.hpp"

namespace lmcache::cache {

ChunkTable::ChunkTable(std::span<std::byte> memory, std::uint64_t align_bytes,
                       std::unique_ptr<Policy> policy, std::uint64_t part_bytes)
    : objects_(memory, align_bytes, part_bytes),
      policy_(std::move(policy)),
      keyspaces_(policy_->isolates()),
      index_(chunks_) {}

ChunkId ChunkTable::create_pinned(KeyspaceId keyspace, const ChunkHash& hash, std::uint32_t depth,
                                  ChunkId before) {
  const ChunkId id = chunk_ids_.take();
  chunks_.grow_to(id + 1);
  Chunk& chunk = chunks_[id];
  chunk.hash = hash;
  chunk.keyspace = keyspace;
  chunk.depth = depth;
  chunk.place = Place::kHeld;
  chunk.pins = chunk.holds = 1;
  ++counted_.pinned_chunks;
  keyspaces_.add_reference(keyspace);
  index_.insert(id);
  const bool continues = before != kNoId && chunks_[before].children == 0;
  policy_->admit(id, {index_.name(id), tenant_of(chunk), continues ? before : kNoId, before});
  return id;
}

void ChunkTable::pin(ChunkId id) {
  if (chunks_[id].pins++ == 0) ++counted_.pinned_chunks;
  hold(id);
}

void ChunkTable::unpin(ChunkId id) {
  Chunk& chunk = chunks_[id];
  invariant(chunk.pins > 0, "only what is pinned is unpinned");
  if (--chunk.pins == 0) --counted_.pinned_chunks;
  release_hold(id);
}

void ChunkTable::pin_window(ChunkId id) {
  if (chunks_[id].window_pins++ == 0) settle(id);
}

void ChunkTable::unpin_window(ChunkId id) {
  invariant(chunks_[id].window_pins > 0, "only what is pinned is unpinned");
  if (--chunks_[id].window_pins == 0) settle(id);
}

void ChunkTable::hold(ChunkId id) {
  while (id != kNoId) {
    Chunk& chunk = chunks_[id];
    if (chunk.holds++ > 0) return;
    leave_order(id);
    chunk.place = Place::kHeld;
    settle(id);
    id = chunk.parent;
  }
}

void ChunkTable::release_hold(ChunkId id) {
  while (id != kNoId) {
    Chunk& chunk = chunks_[id];
    if (--chunk.holds > 0) return;
    settle(id);
    const ChunkId parent = chunk.parent;
    if (chunk.place == Place::kDetached) {
      destroy(id);
    } else {
      enter_order(id);
    }
    id = parent;
  }
}

void ChunkTable::leave_order(ChunkId id) {
  if (chunks_[id].place == Place::kOrdered) policy_->remove(id);
}

void ChunkTable::enter_order(ChunkId id) {
  Chunk& chunk = chunks_[id];
  chunk.place = Place::kOrdered;
  // A chunk of windowed groups alone weighs what they do.
  const std::uint64_t prefix = chunk.bytes - chunk.window_bytes;
  policy_->insert(id, prefix > 0 ? prefix : chunk.bytes);
}

void ChunkTable::link(ChunkId child_id, ChunkId parent_id) {
  Chunk& child = chunks_[child_id];
  Chunk& parent = chunks_[parent_id];
  // Depths are fixed when a chunk is created, so links that only go to smaller ones never form a
  // ring, whatever a caller claims to be a chain.
  if (child.parent != kNoId || parent.depth >= child.depth || clears_ > 0) return;
  child.parent = parent_id;
  ++parent.children;
  if (child.holds > 0) hold(parent_id);
}

void ChunkTable::unlink(ChunkId id) {
  Chunk& chunk = chunks_[id];
  const ChunkId parent_id = std::exchange(chunk.parent, kNoId);
  if (parent_id == kNoId) return;
  Chunk& parent = chunks_[parent_id];
  if (--parent.children == 0 && parent.place == Place::kParked) goes_next(parent_id);
  if (chunk.holds > 0) release_hold(parent_id);
}

void ChunkTable::touch(ChunkId id) {
  Chunk& chunk = chunks_[id];
  if (chunk.place == Place::kOrdered) {
    policy_->touch(id);
  } else if (chunk.place == Place::kParked || chunk.place == Place::kNext) {
    enter_order(id);
  }
}

void ChunkTable::count_end(ChunkId id) {
  Chunk& chunk = chunks_[id];
  if (chunk.ended < UINT8_MAX) ++chunk.ended;
  settle(id);
}

void ChunkTable::mark_ended(ChunkId id) {
  if (chunks_[id].ended == 0) count_end(id);
}

void ChunkTable::set_end(ChunkId id, bool is_end) {
  if (chunks_[id].is_end == is_end) return;
  chunks_[id].is_end = is_end;
  settle(id);
}

bool ChunkTable::publish(ChunkId id, std::uint32_t rank, LayoutId layout, std::uint32_t group,
                         std::byte* memory) {
  Chunk& chunk = chunks_[id];
  invariant(chunk.place == Place::kHeld, "only held chunks get new objects");
  if (!objects_.add(objects_.shard_for(chunk.shards, rank, layout), group, memory)) return false;
  if (id < fates_.size()) fates_[id] = Fate::kStays;
  const std::uint64_t bytes = layouts()[layout].rounded[group];
  --counted_.reserved_objects;
  counted_.reserved_bytes -= bytes;
  keyspaces_.tenants().change_busy(tenant_of(chunk), -static_cast<std::int64_t>(bytes));
  change_bytes(id, layout, group, bytes);
  return true;
}

std::byte* ChunkTable::withdraw(ChunkId id, std::uint32_t rank, LayoutId layout,
                                std::uint32_t group) {
  Chunk& chunk = chunks_[id];
  invariant(chunk.place == Place::kHeld || chunk.place == Place::kDetached,
            "only held chunks lose single objects");
  Shard& shard = objects_.shard_for(chunk.shards, rank, layout);
  if ((shard.present >> group & 1) == 0) return nullptr;
  std::byte* memory = objects_.remove(shard, group);
  const std::uint64_t bytes = layouts()[layout].rounded[group];
  ++counted_.reserved_objects;
  counted_.reserved_bytes += bytes;
  keyspaces_.tenants().change_busy(tenant_of(chunk), static_cast<std::int64_t>(bytes));
  change_bytes(id, layout, group, 0 - bytes);
  return memory;
}

/// An object of `bytes` more, or in two's complement one less.
void ChunkTable::change_bytes(ChunkId id, LayoutId layout, std::uint32_t group,
                              std::uint64_t bytes) {
  Chunk& chunk = chunks_[id];
  chunk.bytes += bytes;
  if ((layouts()[layout].windowed >> group & 1) != 0) {
    leave_rung(id);  // which knows the windowed objects' bytes
    chunk.window_bytes += bytes;
  }
  settle(id);
}

/// Brings what is counted about a chunk up to date with its state: its rung and its busy bytes.
void ChunkTable::settle(ChunkId id) {
  Chunk& chunk = chunks_[id];
  const TenantId tenant = tenant_of(chunk);
  if (const std::uint8_t rung = rung_of(chunk); rung != chunk.rung) {
    leave_rung(id);
    if (rung != 0) thinner_.insert(id, domain_of(tenant), rung, chunk.window_bytes);
    chunk.rung = rung;
  }
  const std::uint64_t free_to_go = chunk.rung != 0 ? chunk.window_bytes : 0;
  const std::uint64_t busy = chunk.holds == 0 ? 0 : chunk.bytes - free_to_go;
  keyspaces_.tenants().change_busy(tenant, static_cast<std::int64_t>(busy - chunk.busy_bytes));
  chunk.busy_bytes = busy;
}

std::uint8_t ChunkTable::rung_of(const Chunk& chunk) const noexcept {
  if (chunk.window_bytes == 0 || chunk.window_pins > 0 || chunk.place == Place::kDetached ||
      !policy_->evicts())
    return 0;
  if (chunk.is_end || chunk.ended > 1) return Thinner::kKept;
  if (chunk.ended == 1) return Thinner::kPassed;
  std::uint32_t span = 1;
  for (const Shard& shard : chunk.shards) span = std::max(span, layouts()[shard.layout].span);
  return Thinner::interior_rung(chunk.depth, span);
}

void ChunkTable::leave_rung(ChunkId id) {
  Chunk& chunk = chunks_[id];
  if (chunk.rung != 0) thinner_.remove(id, domain_of(tenant_of(chunk)), chunk.rung);
  chunk.rung = 0;
}

TenantId ChunkTable::domain_of(TenantId tenant) const noexcept {
  return tenants().isolated() ? tenant : 0;
}

/// Nobody finds it any more; nothing follows it. What has it pinned keeps it until then.
void ChunkTable::take_out(ChunkId id) {
  unlink(id);
  index_.erase(id);
  if (chunks_[id].pins > 0) {
    chunks_[id].place = Place::kDetached;
    settle(id);
  } else {
    leave_order(id);
    destroy(id);
  }
}

/// The chunk is in neither the index nor the order, and has no links.
void ChunkTable::destroy(ChunkId id) {
  Chunk& chunk = chunks_[id];
  invariant(chunk.children == 0 && chunk.holds == 0, "what is freed is in nobody's use");
  leave_rung(id);
  for (Shard& shard : chunk.shards) {
    end_lives(chunk, shard, shard.present);
    objects_.drop(shard);
  }
  keyspaces_.tenants().change_used(tenant_of(chunk), -static_cast<std::int64_t>(chunk.bytes));
  keyspaces_.release(chunk.keyspace);
  chunk = Chunk{};
  chunk_ids_.give_back(id);
}

/// A mask of a shard's objects is freed.
void ChunkTable::end_lives(const Chunk& chunk, const Shard& shard, std::uint64_t groups) const {
  obs::Lives& lives = obs::metrics().lives;
  if (!lives.samples(sample_word(chunk.hash))) return;
  const std::uint64_t key = sample_key(keyspaces_[chunk.keyspace], chunk.hash, shard.rank);
  for (std::uint64_t left = groups; left != 0; left &= left - 1)
    lives.evicted(sample_key(key, static_cast<std::uint32_t>(std::countr_zero(left))),
                  obs::Lives::Clock::now());
}

CacheStats ChunkTable::stats() const noexcept {
  CacheStats stats = counted_;
  stats.total_bytes = allocator().total_bytes();
  stats.used_bytes = allocator().used_bytes();
  stats.free_bytes = allocator().free_bytes();
  stats.largest_free_bytes = allocator().largest_free_bytes();
  stats.objects = objects_.count();
  stats.window_objects = objects_.windowed_count();
  stats.chunks = index_.size();
  return stats;
}

}  // namespace lmcache::cache
