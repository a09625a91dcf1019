// Everything resident: chunks, their objects, who follows whom, and what may be evicted. Not
// thread-safe: every call is made under the mutex of detail::Core.
//
// A chunk's life (Place in chunk.hpp):
//
//   created with a pin      -> kHeld
//   kHeld, last hold gone   -> kOrdered, most recently used
//   kOrdered, held          -> kHeld
//   kOrdered, victim        -> freed, or kParked if chunks that follow it are resident
//   kParked, held           -> kHeld
//   kParked, touched        -> kOrdered, most recently used
//   kParked, last child gone -> kNext, goes before all in order
//   kOrdered, last child evicted, own windowed objects thinned out -> kNext: no hit can end there
//   kNext, held or touched  -> as from kParked
//   kHeld, cleared by force -> kDetached, no longer found, freed with the last pin
//
// Pins are what leases, tickets and reads have. A *hold* is a pin or a held child, so all ancestors
// of a held chunk are held, and all the rest could be evicted, leaves first. Of a held chunk the
// windowed objects may go too, unless a pin needs them: a *window pin*, which leases and stores
// have on the last chunks of their chain and reads on what they read. What can be freed is exactly
// used - busy bytes. Ancestors lose their hold after their children, which is why they
// come back to the policy as more recent than what follows them.
//
// A policy may still name a chunk before those that follow it, after a touch of these alone, say;
// such a chunk is parked. Parking keeps eviction O(1) amortised: a chunk is parked at most once per
// insert or touch, and the order never holds a pinned chunk that a search for a victim would have
// to step over.
//
// Who frees what: a chunk's objects are freed with the chunk, those of windowed groups also alone,
// in the order of thinner.hpp; memory handed out by
// allocate() or withdraw() belongs to the caller until publish() took it or give_back() returned
// it. A chunk has a reference on its keyspace, each shard one on its layout; the names go with the
// last of them.
//
// evict.cpp has what makes room, clear.cpp what clears, remove.cpp what removes, chunk_table.cpp
// all the rest; where bytes lie is the business of objects.hpp.
#pragma once

#include <lmcache/cache.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "cache/chunk.hpp"
#include "cache/chunk_index.hpp"
#include "cache/names.hpp"
#include "cache/objects.hpp"
#include "cache/paged.hpp"
#include "cache/policy.hpp"
#include "cache/thinner.hpp"

namespace lmcache::cache {

/// An object within its chunk, whatever its layout.
struct ObjectPlace {
  std::uint32_t rank = 0;
  std::uint32_t group = 0;
};

class ChunkTable {
 public:
  /// Objects start at multiples of `align_bytes` in the address space, wherever `memory` begins.
  ChunkTable(std::span<std::byte> memory, std::uint64_t align_bytes, std::unique_ptr<Policy> policy,
             std::uint64_t part_bytes = 0);
  ChunkTable(const ChunkTable&) = delete;
  ChunkTable& operator=(const ChunkTable&) = delete;

  // Names
  [[nodiscard]] Keyspaces& keyspaces() noexcept { return keyspaces_; }
  [[nodiscard]] const Keyspaces& keyspaces() const noexcept { return keyspaces_; }
  [[nodiscard]] const Tenants& tenants() const noexcept { return keyspaces_.tenants(); }
  [[nodiscard]] const Layouts& layouts() const noexcept { return objects_.layouts(); }
  [[nodiscard]] LayoutId acquire_layout(const LayoutPtr& layout) {
    return objects_.acquire_layout(layout);
  }
  void release_layout(LayoutId id) { objects_.release_layout(id); }

  // Chunks
  [[nodiscard]] ChunkId find(KeyspaceId keyspace, const ChunkHash& hash) const {
    return index_.find(keyspace, hash);
  }
  [[nodiscard]] const Chunk& operator[](ChunkId id) const noexcept { return chunks_[id]; }
  /// A new chunk without objects, in the index and with one pin; `before` is the chunk in front of
  /// it if that is resident. The link is made by link().
  [[nodiscard]] ChunkId create_pinned(KeyspaceId keyspace, const ChunkHash& hash,
                                      std::uint32_t depth, ChunkId before = kNoId);
  void pin(ChunkId id);
  void unpin(ChunkId id);
  /// On top of a pin: its windowed objects stay as well.
  void pin_window(ChunkId id);
  void unpin_window(ChunkId id);
  /// Makes `parent` the chunk before `child`, unless the child has one already or the link could
  /// close a ring.
  void link(ChunkId child, ChunkId parent);
  /// Most recently used, if it is in the policy's order or parked; a held chunk becomes that by
  /// itself.
  void touch(ChunkId id);
  /// A lookup's hit contains it.
  void count_hit(ChunkId id) { policy_->hit(id); }
  /// A lookup ended here, or would have with the windowed objects; a retrieve makes it once if no
  /// lookup has.
  void count_end(ChunkId id);
  void mark_ended(ChunkId id);
  /// Whether it is the end of the latest store of a sequence.
  void set_end(ChunkId id, bool is_end);

  /// Ids are below this; those of freed chunks have Place::kFree.
  [[nodiscard]] ChunkId end() const noexcept { return chunk_ids_.end(); }

  // Objects
  [[nodiscard]] const Shard* shard(ChunkId id, std::uint32_t rank, LayoutId layout) const noexcept {
    return Objects::find(chunks_[id].shards, rank, layout);
  }
  [[nodiscard]] std::byte* object(const Shard& shard, std::uint32_t group) noexcept {
    return objects_.data(shard, group);
  }
  /// Pool memory of allocate()'s caller becomes an object of a held chunk. False if the chunk has
  /// that object: the memory stays the caller's.
  [[nodiscard]] bool publish(ChunkId id, std::uint32_t rank, LayoutId layout, std::uint32_t group,
                             std::byte* memory);
  /// The other way round, for an object whose bytes never came: its memory is the caller's again,
  /// to be given back when nobody reads it any more. nullptr if it is not there.
  [[nodiscard]] std::byte* withdraw(ChunkId id, std::uint32_t rank, LayoutId layout,
                                    std::uint32_t group);

  // Memory. Sizes are rounded ones (LayoutSlot::rounded); a tenant is who it is for.
  /// Evicts until there is a free extent of that size and the tenant may have it; nullptr if that
  /// cannot be.
  [[nodiscard]] std::byte* allocate(std::uint64_t bytes, TenantId tenant);
  void give_back(std::byte* memory, std::uint64_t bytes, TenantId tenant);
  /// Free now, or after evicting all that may be evicted for the sake of this tenant. Of others
  /// that have a guarantee it may be less by up to a chunk each: that they do not give parts of one
  /// is only known once they were asked for it.
  [[nodiscard]] std::uint64_t obtainable_bytes(TenantId tenant) const noexcept;
  /// What a store of that tenant can have at the price of interior windowed objects below this rung
  /// alone.
  [[nodiscard]] std::uint64_t spare_bytes(TenantId tenant, std::uint8_t rung) const noexcept;
  /// In use and not evictable: held chunks and memory being filled.
  [[nodiscard]] std::uint64_t busy_bytes() const noexcept { return tenants().total_busy(); }
  /// Evicts one chunk, or one chunk's windowed objects, in the background; bytes freed, nothing if
  /// none may be evicted.
  [[nodiscard]] std::optional<std::uint64_t> evict_one();
  /// The same of a tenant, while it is above its maximum.
  [[nodiscard]] std::optional<std::uint64_t> trim_one(TenantId tenant);
  /// Takes a unit and gives it back; false if the allocator's books do not agree with that, or what
  /// it has given away is not what tenants have.
  [[nodiscard]] bool probe() {
    return objects_.probe() && allocator().used_bytes() == tenants().total_used();
  }

  // Clearing, in slices of chunk ids so that others get a turn between two of them. First every
  // link from or to what goes is taken away, then it goes. Nothing is linked in the meantime: a
  // chain that stays is linked when it is pinned next. What is pinned at some time meanwhile may
  // stay, unless `force`.
  [[nodiscard]] ChunkId begin_clear();  ///< the end of the ids to pass over
  void unlink_some(ChunkId first, ChunkId last, bool force);
  void drop_some(ChunkId first, ChunkId last, bool force);
  void end_clear();

  // Removing objects that are named, one removal at a time. An object of a full group goes with its
  // chunk and with all that follows it, or a prefix would have a hole; who follows is found in
  // slices like those of a clear, after all that is named: first links go, then chunks. What is
  // published again meanwhile stays.
  enum class Fate : std::uint8_t { kUnknown, kStays, kGoes };
  /// Takes `room`, of which it needs a Fate per id, grown if that is not enough.
  void begin_removal(std::vector<Fate>& room);
  struct Removed {
    std::uint64_t objects = 0;  ///< of those named, that are there
    bool in_use = false;        ///< and stay
    bool followed = false;      ///< the passes are needed
  };
  /// `places`, by rank, of a chunk that was there when the removal began.
  [[nodiscard]] Removed remove(ChunkId id, std::span<const ObjectPlace> places, bool force);
  void unlink_removed(ChunkId first, ChunkId last);
  void drop_removed(ChunkId first, ChunkId last, bool force);
  void end_removal(std::vector<Fate>& room);  ///< and gives it back

  [[nodiscard]] const pool::Allocator& allocator() const noexcept { return objects_.allocator(); }
  /// All of CacheStats but window_lost_chunks; O(1).
  [[nodiscard]] CacheStats stats() const noexcept;

 private:
  void hold(ChunkId id);
  void release_hold(ChunkId id);
  void leave_order(ChunkId id);
  void enter_order(ChunkId id);
  void goes_next(ChunkId id);
  void unlink(ChunkId id);
  void destroy(ChunkId id);
  void take_out(ChunkId id);
  void end_lives(const Chunk& chunk, const Shard& shard, std::uint64_t groups) const;
  void free_objects(ChunkId id, std::span<const std::uint64_t> masks);
  [[nodiscard]] bool follows_removed(ChunkId id);
  void settle(ChunkId id);
  void leave_rung(ChunkId id);
  [[nodiscard]] std::uint8_t rung_of(const Chunk& chunk) const noexcept;
  [[nodiscard]] bool is_dead_end(const Chunk& chunk) const noexcept;
  [[nodiscard]] TenantId tenant_of(const Chunk& chunk) const noexcept {
    return keyspaces_.tenant(chunk.keyspace);
  }
  [[nodiscard]] TenantId domain_of(TenantId tenant) const noexcept;
  struct Going {
    ChunkId id;
    bool whole;           ///< else its windowed objects alone
    std::uint64_t bytes;  ///< that go with it
  };
  [[nodiscard]] std::optional<std::uint64_t> evict_for(TenantId tenant, EvictionReason reason);
  [[nodiscard]] std::optional<std::uint64_t> evict_from(TenantId domain, EvictionReason reason);
  [[nodiscard]] std::optional<Going> next_to_go(TenantId domain);
  [[nodiscard]] std::optional<ChunkId> next_victim(TenantId domain);
  std::uint64_t go(const Going& next, EvictionReason reason);
  std::uint64_t evict(ChunkId id);
  std::uint64_t thin(ChunkId id);
  void change_bytes(ChunkId id, LayoutId layout, std::uint32_t group, std::uint64_t bytes);

  Objects objects_;
  std::unique_ptr<Policy> policy_;
  Thinner thinner_;
  std::vector<std::vector<ChunkId>> next_;  ///< by domain; those no longer kNext are passed over
  Keyspaces keyspaces_;
  Paged<Chunk> chunks_;
  IdPool chunk_ids_;
  ChunkIndex index_;

  std::uint32_t clears_ = 0;  ///< under way, and removals
  /// By id of what was there when the removal under way began; empty without one.
  std::vector<Fate> fates_;
  CacheStats counted_;  ///< what no member knows; used = bytes of chunks + its reserved_bytes
};

}  // namespace lmcache::cache
