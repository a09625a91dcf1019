// The part of ChunkTable that makes room: memory for stores, and who goes for it.
#include "cache/chunk_table.hpp"

#include <algorithm>

namespace lmcache::cache {

std::byte* ChunkTable::allocate(std::uint64_t bytes, TenantId tenant) {
  Tenants& tenants = keyspaces_.tenants();
  while (tenants.isolated() && tenants.used(tenant) + bytes > tenants.max_bytes(tenant))
    if (!evict_from(tenant, EvictionReason::kQuota)) return nullptr;
  std::byte* memory = objects_.take(bytes);
  if (memory == nullptr) {
    const std::uint64_t idle = allocator().free_bytes();
    ++counted_.evicting_allocations;
    counted_.idle_bytes_then += idle;
    counted_.most_idle_bytes_then = std::max(counted_.most_idle_bytes_then, idle);
  }
  while (memory == nullptr) {
    if (!evict_for(tenant, EvictionReason::kAllocation)) return nullptr;
    if (allocator().largest_free_bytes() >= bytes) memory = objects_.take(bytes);
  }
  tenants.change_used(tenant, static_cast<std::int64_t>(bytes));
  tenants.change_busy(tenant, static_cast<std::int64_t>(bytes));
  counted_.reserved_bytes += bytes;
  ++counted_.reserved_objects;
  return memory;
}

void ChunkTable::give_back(std::byte* memory, std::uint64_t bytes, TenantId tenant) {
  keyspaces_.tenants().change_busy(tenant, -static_cast<std::int64_t>(bytes));
  keyspaces_.tenants().change_used(tenant, -static_cast<std::int64_t>(bytes));
  counted_.reserved_bytes -= bytes;
  --counted_.reserved_objects;
  objects_.give_back(memory, bytes);
}

std::uint64_t ChunkTable::obtainable_bytes(TenantId tenant) const noexcept {
  const std::uint64_t total = allocator().total_bytes();
  if (!policy_->evicts()) return allocator().free_bytes();
  if (!tenants().isolated()) return total - busy_bytes();
  const std::uint64_t busy = tenants().busy(tenant);
  const std::uint64_t most =
      std::min(total - tenants().floor_of_others(tenant), tenants().max_bytes(tenant));
  return most - std::min(most, busy);
}

std::uint64_t ChunkTable::spare_bytes(TenantId tenant, std::uint8_t rung) const noexcept {
  std::uint64_t spare = allocator().free_bytes() + thinner_.bytes_below(domain_of(tenant), rung);
  if (!tenants().isolated()) return spare;
  const std::uint64_t most = tenants().max_bytes(tenant);
  const std::uint64_t kept = tenants().used(tenant) - thinner_.bytes_below(tenant, rung);
  return std::min(spare, most - std::min(most, kept));
}

std::optional<std::uint64_t> ChunkTable::evict_one() {
  return evict_for(kNoId, EvictionReason::kWatermark);
}

std::optional<std::uint64_t> ChunkTable::trim_one(TenantId tenant) {
  if (tenants().used(tenant) <= tenants().max_bytes(tenant)) return std::nullopt;
  return evict_from(tenant, EvictionReason::kQuota);
}

/// Makes some room for `tenant`, kNoId: for nobody in particular. Others give as long as whole
/// chunks of theirs lie beyond their guarantee.
std::optional<std::uint64_t> ChunkTable::evict_for(TenantId tenant, EvictionReason reason) {
  Tenants& tenants = keyspaces_.tenants();
  if (!tenants.isolated()) return evict_from(0, reason);
  while (const auto giver = tenants.giver()) {
    if (*giver == tenant) break;
    const auto next = next_to_go(*giver);
    if (next && next->bytes <= tenants.beyond(*giver)) return go(*next, reason);
    tenants.gives_nothing(*giver);
  }
  // Who has nothing left to give for others may still give for itself.
  return tenant == kNoId ? std::nullopt : evict_from(tenant, reason);
}

std::optional<std::uint64_t> ChunkTable::evict_from(TenantId domain, EvictionReason reason) {
  const auto next = next_to_go(domain);
  return next ? std::optional(go(*next, reason)) : std::nullopt;
}

std::optional<ChunkTable::Going> ChunkTable::next_to_go(TenantId domain) {
  const auto windows = [&](ChunkId id) { return Going{id, false, chunks_[id].window_bytes}; };
  if (!policy_->evicts()) return std::nullopt;
  if (const auto id = thinner_.first(domain, Thinner::kPassed)) return windows(*id);
  if (const auto id = next_victim(domain)) return Going{*id, true, chunks_[*id].bytes};
  if (const auto id = thinner_.first(domain, Thinner::kKept)) return windows(*id);
  return std::nullopt;
}

std::uint64_t ChunkTable::go(const Going& next, EvictionReason reason) {
  const std::uint64_t bytes = next.whole ? evict(next.id) : thin(next.id);
  counted_.evicted_bytes += bytes;
  counted_.evicted_bytes_for[static_cast<std::size_t>(reason)] += bytes;
  return bytes;
}

/// A chunk that nothing follows. It stays where it is: the newest of next_[domain], or in the
/// policy's order.
std::optional<ChunkId> ChunkTable::next_victim(TenantId domain) {
  while (domain < next_.size() && !next_[domain].empty()) {
    const ChunkId id = next_[domain].back();
    const Chunk& chunk = chunks_[id];
    // What was used, or cleared, since is not next any more; its id may serve another chunk by now,
    // of another tenant even, and that one the next to go there.
    if (chunk.place == Place::kNext && chunk.children == 0 && domain_of(tenant_of(chunk)) == domain)
      return id;
    next_[domain].pop_back();
  }
  while (const auto id = policy_->victim(domain)) {
    if (chunks_[*id].children == 0) return id;
    policy_->remove(*id);
    chunks_[*id].place = Place::kParked;
  }
  return std::nullopt;
}

void ChunkTable::goes_next(ChunkId id) {
  chunks_[id].place = Place::kNext;
  const TenantId domain = domain_of(tenant_of(chunks_[id]));
  next_.resize(std::max<std::size_t>(next_.size(), domain + std::size_t{1}));
  next_[domain].push_back(id);
}

/// What next_victim() returned.
std::uint64_t ChunkTable::evict(ChunkId id) {
  if (chunks_[id].place == Place::kNext) {
    next_[domain_of(tenant_of(chunks_[id]))].pop_back();
  } else {
    policy_->remove(id);
  }
  const std::uint64_t bytes = chunks_[id].bytes;
  const std::uint64_t before = objects_.count();
  const ChunkId parent = chunks_[id].parent;
  obs::Counter& evicted = keyspaces_.tenants().evicted_objects(tenant_of(chunks_[id]));
  unlink(id);
  index_.erase(id);
  policy_->evicted(id);
  destroy(id);
  if (parent != kNoId && chunks_[parent].children == 0 &&
      chunks_[parent].place == Place::kOrdered && is_dead_end(chunks_[parent])) {
    policy_->remove(parent);
    goes_next(parent);
  }
  counted_.evicted_objects += before - objects_.count();
  evicted.add(before - objects_.count());
  return bytes;
}

/// With nothing behind it and without its own windowed objects it is of no use to any hit.
bool ChunkTable::is_dead_end(const Chunk& chunk) const noexcept {
  return std::ranges::all_of(chunk.shards, [&](const Shard& shard) {
    const std::uint64_t windowed = layouts()[shard.layout].windowed;
    return (shard.present & windowed) != windowed;
  });
}

/// Frees a chunk's windowed objects; the chunk stays.
std::uint64_t ChunkTable::thin(ChunkId id) {
  Chunk& chunk = chunks_[id];
  const std::uint64_t bytes = chunk.window_bytes;
  const std::uint64_t before = objects_.count();
  leave_rung(id);
  for (Shard& shard : chunk.shards) {
    const std::uint64_t windowed = shard.present & layouts()[shard.layout].windowed;
    end_lives(chunk, shard, windowed);
    objects_.free(shard, windowed);
  }
  chunk.bytes -= bytes;
  chunk.window_bytes = 0;
  keyspaces_.tenants().change_used(tenant_of(chunk), -static_cast<std::int64_t>(bytes));
  settle(id);
  counted_.thinned_bytes += bytes;
  counted_.thinned_objects += before - objects_.count();
  counted_.evicted_objects += before - objects_.count();
  keyspaces_.tenants().evicted_objects(tenant_of(chunk)).add(before - objects_.count());
  return bytes;
}

}  // namespace lmcache::cache
