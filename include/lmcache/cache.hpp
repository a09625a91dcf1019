// The L1 cache as the request engine sees it: lookups give leases, stores reserve then commit,
// retrieves pin then copy.
//
// Identity. A chunk is (keyspace, chunk hash); a keyspace is (model, cache_salt, world_size).
// Inside a chunk there is one *shard* per (rank, layout), holding one object per object group. Two
// layouts never share an object, so engines that registered one model name with different geometry
// cannot exchange a byte.
//
// Life of an object. reserve() gives memory nobody else can see; commit() publishes it (or drops it
// where another store won meanwhile); from then on it is found by lookups and stays while its chunk
// has a pin, else until evicted. All objects of a chunk age together, and a chunk with resident
// successors is never evicted before them: a prefix has no holes. Only objects of windowed groups
// may go before their chunk, where no lease needs them (EVICTION.md). Pins are RAII handles.
// clear(force) and eviction skip nothing silently: a pinned chunk that is cleared by force leaves
// the index at once and gives its memory back with its last pin.
//
// Threads. Every function may be called from any thread; one internal mutex, never held across a
// copy or callback.
#pragma once

#include <lmcache/status.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace lmcache {

/// BLAKE3-256 of (previous hash, the chunk's tokens as big-endian u32). PROTOCOL.md, "Chunk
/// hashes".
struct ChunkHash {
  std::array<std::byte, 32> bytes{};
  friend bool operator==(const ChunkHash&, const ChunkHash&) = default;
};

struct Keyspace {
  std::string model;
  std::string salt;
  std::uint32_t world_size = 1;
  friend bool operator==(const Keyspace&, const Keyspace&) = default;
};

/// What the cache must know of a geometry: equal fingerprints <=> interchangeable objects.
struct ObjectLayout {
  struct Group {
    std::uint64_t bytes = 0;
    std::int32_t window_chunks = -1;  ///< -1: every chunk of the prefix is needed
    bool auxiliary = false;           ///< neither needed for a hit nor leased
  };
  std::array<std::byte, 32> fingerprint{};
  std::vector<Group> groups;  ///< by object_group_id, 1..64 of them
};
using LayoutPtr = std::shared_ptr<const ObjectLayout>;

/// What one cache_salt may have of L1, in pool bytes.
struct TenantQuota {
  std::uint64_t min_bytes = 0;           ///< others' stores never evict it below this
  std::uint64_t max_bytes = UINT64_MAX;  ///< beyond it its own objects go, or its store is refused
  [[nodiscard]] bool is_limited() const noexcept { return max_bytes != UINT64_MAX; }
  friend bool operator==(const TenantQuota&, const TenantQuota&) = default;
};

/// What one cache_salt may have and has.
struct TenantUsage {
  std::string salt;
  TenantQuota quota = {};
  std::uint64_t used_bytes = 0;  ///< of its objects and of its stores under way, in pool bytes
};

/// Why something is evicted.
enum class EvictionReason : std::uint8_t {
  kAllocation,  ///< a store needed room
  kWatermark,   ///< in the background
  kQuota,       ///< its tenant was at its maximum
};
inline constexpr std::size_t kEvictionReasons = 3;

struct CacheStats {
  std::uint64_t total_bytes = 0, used_bytes = 0, free_bytes = 0, largest_free_bytes = 0;
  std::uint64_t objects = 0, chunks = 0, pinned_chunks = 0, reserved_bytes = 0;
  std::uint64_t reserved_objects = 0;
  std::uint64_t evicted_objects = 0, evicted_bytes = 0;
  std::array<std::uint64_t, kEvictionReasons> evicted_bytes_for{};  ///< of those, by EvictionReason
  /// Resident objects of windowed groups, and of the evicted those that went without their chunk.
  std::uint64_t window_objects = 0, thinned_objects = 0, thinned_bytes = 0;
  /// Allocations that had to evict, and what was free when they did, summed: room that gaps made
  /// useless. Over their number and total_bytes it is the external fragmentation.
  std::uint64_t evicting_allocations = 0, idle_bytes_then = 0, most_idle_bytes_then = 0;
  /// Chunks that lookups found but could not serve for want of windowed objects at their end.
  std::uint64_t window_lost_chunks = 0;
};

/// A resident object as a listing shows it.
struct ListedObject {
  Keyspace keyspace;
  ChunkHash hash;
  std::uint32_t rank = 0;
  std::uint32_t group = 0;  ///< object group id
  std::uint64_t bytes = 0;  ///< logical size
};

/// What a listing calls an object, without its size.
struct ObjectName {
  Keyspace keyspace;
  ChunkHash hash;
  std::uint32_t rank = 0;
  std::uint32_t group = 0;
};

/// What became of the objects that were named and resident.
struct Removal {
  std::uint64_t removed = 0, skipped = 0;
};

/// Where a listing goes on: the object with ordinal `object` of the chunk in slot `chunk`.
struct ListCursor {
  std::uint32_t chunk = 0;
  std::uint32_t object = 0;
};

/// Pool bytes of one model's objects; pinned ones are resident too.
struct ModelUsage {
  std::uint64_t resident_bytes = 0, pinned_bytes = 0;
};

class Cache;

namespace detail {
struct LeaseState;
struct StoreState;
struct ReadState;
struct ClearState;
}  // namespace detail

/// Pins on the chunks of one lookup's hit. Destroying it releases what is left. Move-only; not
/// thread-safe by itself.
class Lease {
 public:
  Lease() noexcept;
  Lease(Lease&&) noexcept;
  Lease& operator=(Lease&&) noexcept;
  ~Lease();

  /// Length of the hit in chunks.
  [[nodiscard]] std::uint32_t chunks() const noexcept;
  /// Drops the pin on chunk `index`; harmless when already dropped.
  void release(std::uint32_t index) noexcept;
  [[nodiscard]] bool holds(std::uint32_t index) const noexcept;

 private:
  friend class Cache;
  std::unique_ptr<detail::LeaseState> state_;
};

/// One object's place in L1. Valid while the ticket or read that returned it lives.
struct ObjectRef {
  std::uint32_t group = 0;  ///< object group id
  std::uint32_t chunk = 0;  ///< chunk index in the sequence (not range-relative)
  std::byte* data = nullptr;
  std::uint64_t bytes = 0;  ///< logical size
};

/// Memory reserved by one store, invisible until commit(). Destroying it without commit frees
/// everything.
class StoreTicket {
 public:
  StoreTicket() noexcept;
  StoreTicket(StoreTicket&&) noexcept;
  StoreTicket& operator=(StoreTicket&&) noexcept;
  ~StoreTicket();

  /// Objects to fill; those already resident are not listed (and stay pinned until the ticket
  /// ends).
  [[nodiscard]] std::span<const ObjectRef> objects() const noexcept;
  /// Objects of the range that are somebody else's and whose copies may still be under way: the
  /// range is stored when these are, too.
  [[nodiscard]] std::span<const ObjectRef> others() const noexcept;
  /// False once one of others() was withdrawn.
  [[nodiscard]] bool intact() const;

 private:
  friend class Cache;
  std::unique_ptr<detail::StoreState> state_;
};

/// Objects of one retrieve, pinned until destroyed: neither lease end, eviction nor clear can take
/// them during the copy.
class ReadPins {
 public:
  ReadPins() noexcept;
  ReadPins(ReadPins&&) noexcept;
  ReadPins& operator=(ReadPins&&) noexcept;
  ~ReadPins();

  [[nodiscard]] std::span<const ObjectRef> objects() const noexcept;
  /// False once one of them was withdrawn: its bytes never came. To be asked after asking who still
  /// copies into them (gpu::PendingStores), where a store that has failed is soon forgotten.
  [[nodiscard]] bool intact() const;

 private:
  friend class Cache;
  std::unique_ptr<detail::ReadState> state_;
};

/// A clear in steps, for whoever must not wait for all of it. Destroyed early it leaves what it has
/// not come to yet.
class Clearing {
 public:
  Clearing(Clearing&&) noexcept;
  Clearing& operator=(Clearing&&) = delete;
  ~Clearing();

  /// Goes on for about a millisecond; true when all is done. Wait for kPause between two calls, or
  /// who waits for the mutex has not even woken up before it is taken again.
  [[nodiscard]] bool step();
  static constexpr std::chrono::microseconds kPause{20};

 private:
  friend class Cache;
  explicit Clearing(std::unique_ptr<detail::ClearState> state) noexcept;
  std::unique_ptr<detail::ClearState> state_;
};

struct CacheOptions {
  std::uint64_t align_bytes = 4096;  ///< power of two; every object starts and is rounded up to it
  std::uint64_t part_bytes = 0;      ///< no object straddles a multiple of it; 0: one part
  std::string policy = "LRU";        ///< an eviction policy's name
  /// used/total at which background eviction starts; 1: never, stores make room by themselves
  double trigger_watermark = 1;
  double eviction_ratio = 0.2;  ///< it stops at trigger_watermark * (1 - eviction_ratio)
  /// Windowed objects inside a stored range are kept for every so many chunks only; at least 1.
  std::uint32_t window_checkpoint_chunks = 1;
  std::map<std::string, TenantQuota> quotas = {};  ///< by cache_salt; IsolatedLRU keeps them
};

class Cache {
 public:
  /// `memory` is the pool (not owned, must outlive the cache and all handles); untouched until
  /// used.
  Cache(std::span<std::byte> memory, CacheOptions options);
  ~Cache();
  Cache(const Cache&) = delete;
  Cache& operator=(const Cache&) = delete;

  /// Longest servable prefix of `hashes` and a lease on it. Prefix length L is servable iff every
  /// rank 0..world_size-1 has, under one of `layouts`, all of [0,L) for full groups and the last
  /// min(w,L) chunks for groups with window w. The lease pins [0,L), of windowed groups what the
  /// hit needs. Touches the hit for the policy. Costs one probe per chunk, stops at the first chunk
  /// that no full group has. Considers 16 of `layouts` at most, those first that have something of
  /// chunk 0.
  [[nodiscard]] Lease lookup(const Keyspace& keyspace, std::span<const ChunkHash> hashes,
                             std::span<const LayoutPtr> layouts);

  /// Reserves memory for the missing objects of chunks [first, hashes.size()) of one rank. `hashes`
  /// is the chain from chunk 0 (it links a chunk to its predecessor). `wanted(g)[i]` false leaves
  /// out group g of chunk first+i (null blocks); windowed objects that no hit of the whole chain
  /// needs are left out where they would cost a prefix its room. Evicts what is needed; kNoMemory
  /// if all that is not pinned would not make room, with nothing evicted when that is known
  /// beforehand. All or nothing.
  [[nodiscard]] Result<StoreTicket> reserve(const Keyspace& keyspace, std::uint32_t rank,
                                            const LayoutPtr& layout,
                                            std::span<const ChunkHash> hashes, std::uint32_t first,
                                            std::span<const std::vector<bool>> wanted);

  /// Publishes a filled ticket: every lookup that starts after this returns sees it. Touches the
  /// whole chain.
  void commit(StoreTicket ticket);

  /// The same while the copy into the objects still runs; they stay pinned until the ticket ends.
  /// Who reads them must wait for that copy by other means (gpu::PendingStores). Once the copy has
  /// ended the ticket is destroyed, or withdrawn if it failed.
  void publish(StoreTicket& ticket);
  /// Takes back what publish() made visible: the copy failed. Its memory must not be written to any
  /// more. Nobody finds the objects from now on; the memory of those that are being read stays
  /// theirs until the last such read ends, so that it never gets another's bytes.
  void withdraw(StoreTicket ticket);

  /// Pins what a retrieve of chunks [first, last) by (rank, layout) needs: all of them for full
  /// groups, the last min(w, last-first) for windowed ones. `lease` must hold [first, last)
  /// (kNotLeased otherwise; kNotLeased too when an object is missing, e.g. another layout's hit).
  /// Nothing is pinned on error.
  [[nodiscard]] Result<ReadPins> open_read(const Lease& lease, std::uint32_t rank,
                                           const LayoutPtr& layout, std::uint32_t first,
                                           std::uint32_t last);

  /// Marks [0, hashes.size()) as used now, prefix most recent.
  void touch(const Keyspace& keyspace, std::span<const ChunkHash> hashes);

  /// Drops every unpinned chunk; with force also detaches pinned ones (freed with their last pin).
  /// Reserved tickets survive. Waits: with millions of chunks for seconds, others let in meanwhile.
  void clear(bool force);
  /// The same step by step.
  [[nodiscard]] Clearing begin_clear(bool force);

  /// Removes objects by name. One of a full group goes with all of its chunk, and with the chunks
  /// behind it: without it no hit reaches them. One of a windowed group goes alone, and only hits
  /// that end there are lost. Skipped is what is leased, being read or stored, or has something
  /// behind it that is; with force that goes too, its memory with the last who uses it. Waits: for
  /// earlier removals, and where something had chunks behind it for two passes over all, others let
  /// in meanwhile.
  [[nodiscard]] Removal remove(std::vector<ObjectName> names, bool force);

  /// Background eviction step; returns bytes freed (0 below the watermark).
  std::uint64_t evict_above_watermark();

  [[nodiscard]] CacheStats stats() const;

  /// Exact, and in a time that does not depend on how much is cached.
  [[nodiscard]] TenantUsage tenant(const std::string& salt) const;
  /// Of every cache_salt with a limit, of which there are at most kLimitsMax.
  [[nodiscard]] std::vector<TenantUsage> limited_tenants() const;
  static constexpr std::size_t kLimitsMax = 4096;

  /// A cache_salt may have at most `max_bytes` from now on; what it is guaranteed stays, up to
  /// that. What it has beyond goes at once, least recently used first, others let in meanwhile;
  /// what is leased or being stored goes when its next store makes room. Where the policy does not
  /// keep tenants apart the limit is remembered only. kNoMemory: too many have limits.
  [[nodiscard]] Status set_limit(const std::string& salt, std::uint64_t max_bytes);
  /// Whether the policy keeps tenants to their limits.
  [[nodiscard]] bool enforces_limits() const;
  /// False: it had none.
  bool remove_limit(const std::string& salt);

  /// Takes a unit of the pool and gives it back, where one is free: kInternal if the books of the
  /// pool and the cache do not agree with that, or with each other. For health checks.
  [[nodiscard]] Status probe();

  /// Up to `max` (>= 1) resident objects from `cursor` on, of one model if it is not empty; moves
  /// the cursor. False: there are no more. What stays resident is listed once; what comes or goes
  /// meanwhile may or may not be. Lets others in while it searches.
  bool list(ListCursor& cursor, std::size_t max, const std::string& model,
            std::vector<ListedObject>& out) const;

  /// Resident objects of pinned chunks, counted one by one; lets others in while it counts.
  [[nodiscard]] std::uint64_t pinned_objects() const;
  /// Summed chunk by chunk; lets others in likewise.
  [[nodiscard]] std::map<std::string, ModelUsage> usage_by_model() const;

 private:
  friend class Lease;
  friend class StoreTicket;
  friend class ReadPins;
  friend class Clearing;
  struct Impl;
  std::shared_ptr<Impl>
      impl_;  ///< shared with handles, which may outlive a shutting-down server's Cache
};

}  // namespace lmcache
