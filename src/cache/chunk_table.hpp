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
//   kParked, last child gone -> kOrdered, first to go
//   kHeld, cleared by force -> kDetached, no longer found, freed with the last pin
//
// Pins are what leases, tickets and reads have. A *hold* is a pin or a held child, so all ancestors
// of a held chunk are held, and all the rest could be evicted, leaves first: exactly
// used - reserved - held bytes. Ancestors lose their hold after their children, which is why they
// come back to the policy as more recent than what follows them.
//
// A policy may still name a chunk before those that follow it, after a touch of these alone, say;
// such a chunk is parked. Parking keeps eviction O(1) amortised: a chunk is parked at most once per
// insert or touch, and the order never holds a pinned chunk that a search for a victim would have
// to step over.
//
// Who frees what: a chunk's objects are freed with the chunk and never alone; memory handed out by
// allocate() belongs to the caller until publish() took it or give_back() returned it. A chunk has
// a reference on its keyspace, each shard one on its layout; the names go with the last of them.
#pragma once

#include <lmcache/cache.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "cache/chunk.hpp"
#include "cache/chunk_index.hpp"
#include "cache/names.hpp"
#include "cache/paged.hpp"
#include "cache/policy.hpp"
#include "pool/allocator.hpp"

namespace lmcache::cache {

class ChunkTable {
 public:
  /// Objects start at multiples of `align_bytes` in the address space, wherever `memory` begins.
  ChunkTable(std::span<std::byte> memory, std::uint64_t align_bytes,
             std::unique_ptr<Policy> policy);
  ChunkTable(const ChunkTable&) = delete;
  ChunkTable& operator=(const ChunkTable&) = delete;

  // Names. acquire_layout also works out the rounded sizes.
  [[nodiscard]] Keyspaces& keyspaces() noexcept { return keyspaces_; }
  [[nodiscard]] const Layouts& layouts() const noexcept { return layouts_; }
  [[nodiscard]] LayoutId acquire_layout(const LayoutPtr& layout);
  void release_layout(LayoutId id) { layouts_.release(id); }

  // Chunks
  [[nodiscard]] ChunkId find(KeyspaceId keyspace, const ChunkHash& hash) const {
    return index_.find(keyspace, hash);
  }
  [[nodiscard]] const Chunk& operator[](ChunkId id) const noexcept { return chunks_[id]; }
  /// A new chunk without objects, in the index and with one pin.
  [[nodiscard]] ChunkId create_pinned(KeyspaceId keyspace, const ChunkHash& hash,
                                      std::uint32_t depth);
  void pin(ChunkId id);
  void unpin(ChunkId id);
  /// Makes `parent` the chunk before `child`, unless the child has one already or the link could
  /// close a ring.
  void link(ChunkId child, ChunkId parent);
  /// Most recently used, if it is in the policy's order or parked; a held chunk becomes that by
  /// itself.
  void touch(ChunkId id);

  /// Ids are below this; those of freed chunks have Place::kFree.
  [[nodiscard]] ChunkId end() const noexcept { return chunk_ids_.end(); }

  // Objects
  [[nodiscard]] const Shard* shard(ChunkId id, std::uint32_t rank, LayoutId layout) const noexcept;
  [[nodiscard]] std::byte* object(const Shard& shard, std::uint32_t group) noexcept;
  /// Pool memory of allocate()'s caller becomes an object of a held chunk. False if the chunk has
  /// that object: the memory stays the caller's.
  [[nodiscard]] bool publish(ChunkId id, std::uint32_t rank, LayoutId layout, std::uint32_t group,
                             std::byte* memory);

  // Memory. Sizes are rounded ones (LayoutSlot::rounded).
  /// Evicts until there is a free extent of that size; nullptr if nothing evictable is left and
  /// there is none.
  [[nodiscard]] std::byte* allocate(std::uint64_t bytes);
  void give_back(std::byte* memory, std::uint64_t bytes);
  /// Free now, or after evicting all that may be evicted.
  [[nodiscard]] std::uint64_t obtainable_bytes() const noexcept;
  /// In use and not evictable: held chunks and memory being filled.
  [[nodiscard]] std::uint64_t busy_bytes() const noexcept { return held_bytes_ + reserved_bytes_; }
  /// Evicts one chunk; bytes freed, nothing if none may be evicted.
  [[nodiscard]] std::optional<std::uint64_t> evict_one();
  void clear(bool force);

  [[nodiscard]] const pool::Allocator& allocator() const noexcept { return allocator_; }
  /// All of CacheStats but allocation_failures; O(1).
  [[nodiscard]] CacheStats stats() const noexcept;

 private:
  void hold(ChunkId id);
  void release_hold(ChunkId id);
  void leave_order(ChunkId id);
  void unlink(ChunkId id);
  void destroy(ChunkId id);
  [[nodiscard]] Shard& shard_for(Chunk& chunk, std::uint32_t rank, LayoutId layout);

  std::byte* base_;
  pool::Allocator allocator_;
  std::unique_ptr<Policy> policy_;
  Keyspaces keyspaces_;
  Layouts layouts_;
  Paged<Chunk> chunks_;
  IdPool chunk_ids_;
  ChunkIndex index_;

  // used = bytes of chunks (held ones: held_bytes_) + reserved_bytes_; objects_ counts bits of
  // Shard::present.
  std::uint64_t held_bytes_ = 0, reserved_bytes_ = 0;
  std::uint64_t objects_ = 0, reserved_objects_ = 0, pinned_chunks_ = 0;
  std::uint64_t evicted_objects_ = 0, evicted_bytes_ = 0;
};

}  // namespace lmcache::cache
