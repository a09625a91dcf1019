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
                       std::unique_ptr<Policy> policy, std::uint64_t part_bytes)
    : base_(aligned(memory, align_bytes).data()),
      allocator_(aligned(memory, align_bytes).size(), align_bytes, part_bytes),
      policy_(std::move(policy)),
      keyspaces_(policy_->isolates()),
      index_(chunks_) {}

LayoutId ChunkTable::acquire_layout(const LayoutPtr& layout) {
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
  ++pinned_chunks_;
  keyspaces_.add_reference(keyspace);
  index_.insert(id);
  const bool continues = before != kNoId && chunks_[before].children == 0;
  policy_->admit(id, {index_.name(id), tenant_of(chunk), continues ? before : kNoId});
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

void ChunkTable::goes_next(ChunkId id) {
  chunks_[id].place = Place::kNext;
  const TenantId domain = domain_of(tenant_of(chunks_[id]));
  next_.resize(std::max<std::size_t>(next_.size(), domain + std::size_t{1}));
  next_[domain].push_back(id);
}

/// Brings what is counted about a chunk up to date with its state: its rung and its busy bytes.
void ChunkTable::settle(ChunkId id) {
  Chunk& chunk = chunks_[id];
  const TenantId tenant = tenant_of(chunk);
  if (const std::uint8_t rung = rung_of(chunk); rung != chunk.rung) {
    if (chunk.rung != 0) thinner_.remove(id, domain_of(tenant), chunk.rung);
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
  for (const Shard& shard : chunk.shards) span = std::max(span, layouts_[shard.layout].span);
  return Thinner::interior_rung(chunk.depth, span);
}

/// With nothing behind it and without its own windowed objects it is of no use to any hit.
bool ChunkTable::is_dead_end(const Chunk& chunk) const noexcept {
  return std::ranges::all_of(chunk.shards, [&](const Shard& shard) {
    const std::uint64_t windowed = layouts_[shard.layout].windowed;
    return (shard.present & windowed) != windowed;
  });
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

TenantId ChunkTable::domain_of(TenantId tenant) const noexcept {
  return tenants().isolated() ? tenant : 0;
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
  reserved_bytes_ -= bytes;
  keyspaces_.tenants().change_busy(tenant_of(chunk), -static_cast<std::int64_t>(bytes));
  if ((layouts_[layout].windowed & bit) != 0) {
    if (chunk.rung != 0) thinner_.remove(id, domain_of(tenant_of(chunk)), chunk.rung);
    chunk.rung = 0;
    chunk.window_bytes += bytes;
    ++window_objects_;
  }
  settle(id);
  --reserved_objects_;
  ++objects_;
  return true;
}

void ChunkTable::withdraw(ChunkId id, std::uint32_t rank, LayoutId layout, std::uint32_t group) {
  Chunk& chunk = chunks_[id];
  invariant(chunk.place == Place::kHeld || chunk.place == Place::kDetached,
            "only held chunks lose single objects");
  Shard& shard = shard_for(chunk, rank, layout);
  const std::uint64_t bit = std::uint64_t{1} << group;
  if ((shard.present & bit) == 0) return;
  shard.present &= ~free_objects(shard, bit);
  const std::uint64_t bytes = layouts_[layout].rounded[group];
  chunk.bytes -= bytes;
  keyspaces_.tenants().change_used(tenant_of(chunk), -static_cast<std::int64_t>(bytes));
  if ((layouts_[layout].windowed & bit) != 0) {
    if (chunk.rung != 0) thinner_.remove(id, domain_of(tenant_of(chunk)), chunk.rung);
    chunk.rung = 0;
    chunk.window_bytes -= bytes;
  }
  settle(id);
}

std::byte* ChunkTable::allocate(std::uint64_t bytes, TenantId tenant) {
  Tenants& tenants = keyspaces_.tenants();
  while (tenants.isolated() && tenants.used(tenant) + bytes > tenants.max_bytes(tenant))
    if (!evict_from(tenant, EvictionReason::kQuota)) return nullptr;
  std::optional<std::uint64_t> offset = allocator_.allocate(bytes);
  if (!offset) {
    ++evicting_allocations_;
    idle_bytes_then_ += allocator_.free_bytes();
    most_idle_bytes_then_ = std::max(most_idle_bytes_then_, allocator_.free_bytes());
  }
  while (!offset) {
    // Who has nothing left to give for others may still give for itself.
    const TenantId from = tenants.isolated() ? tenants.giver().value_or(tenant) : 0;
    if (!evict_from(from, EvictionReason::kAllocation)) return nullptr;
    if (allocator_.largest_free_bytes() >= bytes) offset = allocator_.allocate(bytes);
  }
  reserved_bytes_ += bytes;
  tenants.change_used(tenant, static_cast<std::int64_t>(bytes));
  tenants.change_busy(tenant, static_cast<std::int64_t>(bytes));
  ++reserved_objects_;
  return base_ + *offset;
}

void ChunkTable::give_back(std::byte* memory, std::uint64_t bytes, TenantId tenant) {
  reserved_bytes_ -= bytes;
  keyspaces_.tenants().change_busy(tenant, -static_cast<std::int64_t>(bytes));
  keyspaces_.tenants().change_used(tenant, -static_cast<std::int64_t>(bytes));
  --reserved_objects_;
  allocator_.free(static_cast<std::uint64_t>(memory - base_), bytes);
}

std::uint64_t ChunkTable::obtainable_bytes(TenantId tenant) const noexcept {
  const std::uint64_t total = allocator_.total_bytes();
  if (!policy_->evicts()) return allocator_.free_bytes();
  if (!tenants().isolated()) return total - busy_bytes();
  const std::uint64_t busy = tenants().busy(tenant);
  const std::uint64_t most =
      std::min(total - tenants().floor_of_others(tenant), tenants().max_bytes(tenant));
  return most - std::min(most, busy);
}

std::uint64_t ChunkTable::spare_bytes(TenantId tenant, std::uint8_t rung) const noexcept {
  std::uint64_t spare = allocator_.free_bytes() + thinner_.bytes_below(domain_of(tenant), rung);
  if (!tenants().isolated()) return spare;
  const std::uint64_t most = tenants().max_bytes(tenant);
  const std::uint64_t kept = tenants().used(tenant) - thinner_.bytes_below(tenant, rung);
  return std::min(spare, most - std::min(most, kept));
}

std::optional<std::uint64_t> ChunkTable::evict_one() {
  const auto giver = tenants().isolated() ? tenants().giver() : std::optional<TenantId>(0);
  return giver ? evict_from(*giver, EvictionReason::kWatermark) : std::nullopt;
}

std::optional<std::uint64_t> ChunkTable::trim_one(TenantId tenant) {
  if (tenants().used(tenant) <= tenants().max_bytes(tenant)) return std::nullopt;
  return evict_from(tenant, EvictionReason::kQuota);
}

bool ChunkTable::probe() {
  const std::uint64_t free = allocator_.free_bytes(), unit = allocator_.rounded(1);
  const auto offset = allocator_.allocate(1);
  const bool taken = allocator_.free_bytes() == free - (offset ? unit : 0);
  if (offset) allocator_.free(*offset, 1);
  return taken && offset.has_value() == (free > 0) && allocator_.free_bytes() == free &&
         allocator_.used_bytes() == tenants().total_used();
}

std::optional<std::uint64_t> ChunkTable::evict_from(TenantId domain, EvictionReason reason) {
  const auto counted = [&](std::uint64_t bytes) {
    evicted_bytes_for_[static_cast<std::size_t>(reason)] += bytes;
    return bytes;
  };
  if (!policy_->evicts()) return std::nullopt;
  if (const auto id = thinner_.first(domain, Thinner::kPassed)) return counted(thin(*id));
  if (const auto id = next_victim(domain)) return counted(evict(*id));
  if (const auto id = thinner_.first(domain, Thinner::kKept)) return counted(thin(*id));
  return std::nullopt;
}

/// A chunk that nothing follows, out of every order.
std::optional<ChunkId> ChunkTable::next_victim(TenantId domain) {
  while (domain < next_.size() && !next_[domain].empty()) {
    const ChunkId id = next_[domain].back();
    next_[domain].pop_back();
    if (chunks_[id].place == Place::kNext && chunks_[id].children == 0) return id;
  }
  while (const auto id = policy_->victim(domain)) {
    policy_->remove(*id);
    if (chunks_[*id].children == 0) return id;
    chunks_[*id].place = Place::kParked;
  }
  return std::nullopt;
}

std::uint64_t ChunkTable::evict(ChunkId id) {
  const std::uint64_t bytes = chunks_[id].bytes;
  const std::uint64_t before = objects_;
  const ChunkId parent = chunks_[id].parent;
  unlink(id);
  index_.erase(id);
  policy_->evicted(id);
  destroy(id);
  if (parent != kNoId && chunks_[parent].children == 0 &&
      chunks_[parent].place == Place::kOrdered && is_dead_end(chunks_[parent])) {
    policy_->remove(parent);
    goes_next(parent);
  }
  evicted_objects_ += before - objects_;
  return bytes;
}

/// Frees a chunk's windowed objects; the chunk stays.
std::uint64_t ChunkTable::thin(ChunkId id) {
  Chunk& chunk = chunks_[id];
  const std::uint64_t bytes = chunk.window_bytes;
  const std::uint64_t before = objects_;
  thinner_.remove(id, domain_of(tenant_of(chunk)), std::exchange(chunk.rung, std::uint8_t{0}));
  for (Shard& shard : chunk.shards)
    shard.present &= ~free_objects(shard, shard.present & layouts_[shard.layout].windowed);
  chunk.bytes -= bytes;
  chunk.window_bytes = 0;
  keyspaces_.tenants().change_used(tenant_of(chunk), -static_cast<std::int64_t>(bytes));
  settle(id);
  thinned_bytes_ += bytes;
  thinned_objects_ += before - objects_;
  evicted_objects_ += before - objects_;
  return bytes;
}

/// Frees those of the shard's objects that `groups` names; returns it.
std::uint64_t ChunkTable::free_objects(const Shard& shard, std::uint64_t groups) {
  LayoutSlot& layout = layouts_[shard.layout];
  const auto offsets = layout.offsets(shard.offsets);
  for (std::uint64_t left = groups; left != 0; left &= left - 1) {
    const auto group = static_cast<std::size_t>(std::countr_zero(left));
    allocator_.free(offsets[group], layout.rounded[group]);
    --objects_;
  }
  window_objects_ -= static_cast<std::uint64_t>(std::popcount(groups & layout.windowed));
  return groups;
}

ChunkId ChunkTable::begin_clear() {
  ++clears_;
  return chunk_ids_.end();
}

void ChunkTable::end_clear() {
  --clears_;
}

void ChunkTable::unlink_some(ChunkId first, ChunkId last, bool force) {
  const auto goes = [&](const Chunk& chunk) { return force || chunk.pins == 0; };
  // This also takes the holds off chunks that were held only for the sake of those behind them.
  for (ChunkId id = first; id < last; ++id) {
    const Chunk& chunk = chunks_[id];
    if (chunk.parent != kNoId && (goes(chunk) || goes(chunks_[chunk.parent]))) unlink(id);
  }
}

void ChunkTable::drop_some(ChunkId first, ChunkId last, bool force) {
  for (ChunkId id = first; id < last; ++id) {
    Chunk& chunk = chunks_[id];
    if (chunk.place == Place::kFree || chunk.place == Place::kDetached) continue;
    if (chunk.children > 0 || (chunk.pins > 0 && !force)) continue;
    unlink(id);
    index_.erase(id);
    if (chunk.pins > 0) {
      chunk.place = Place::kDetached;
      settle(id);
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
  const TenantId tenant = tenant_of(chunk);
  if (chunk.rung != 0) thinner_.remove(id, domain_of(tenant), chunk.rung);
  for (const Shard& shard : chunk.shards) {
    free_objects(shard, shard.present);
    layouts_[shard.layout].give_back_offsets(shard.offsets);
    layouts_.release(shard.layout);
  }
  keyspaces_.tenants().change_used(tenant, -static_cast<std::int64_t>(chunk.bytes));
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
  stats.window_objects = window_objects_;
  stats.chunks = index_.size();
  stats.pinned_chunks = pinned_chunks_;
  stats.reserved_objects = reserved_objects_;
  stats.reserved_bytes = reserved_bytes_;
  stats.evicted_objects = evicted_objects_;
  stats.evicted_bytes_for = evicted_bytes_for_;
  for (const std::uint64_t bytes : evicted_bytes_for_) stats.evicted_bytes += bytes;
  stats.thinned_objects = thinned_objects_;
  stats.thinned_bytes = thinned_bytes_;
  stats.evicting_allocations = evicting_allocations_;
  stats.idle_bytes_then = idle_bytes_then_;
  stats.most_idle_bytes_then = most_idle_bytes_then_;
  return stats;
}

}  // namespace lmcache::cache
