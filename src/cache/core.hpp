// What the Cache and its handles share: the table, the one mutex around it, and what each kind of
// handle keeps.
#pragma once

#include <lmcache/cache.hpp>

#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "cache/chunk_table.hpp"

namespace lmcache::detail {

/// `mutex` guards all the rest. Handles share ownership, so a handle that outlives the Cache still
/// releases properly.
struct Core {
  Core(std::span<std::byte> memory, std::uint64_t align_bytes,
       std::unique_ptr<cache::Policy> policy, std::uint64_t part_bytes)
      : table(memory, align_bytes, std::move(policy), part_bytes) {}

  /// Links what follows each other in `chain` and pins it, front to back; from position
  /// `window_from` on the windowed objects too. Absent chunks are kNoId.
  void pin_chain(std::span<const cache::ChunkId> chain, std::size_t window_from);
  /// The other way round, so that a prefix becomes more recent than what follows it.
  void unpin_chain(std::span<const cache::ChunkId> chain, std::size_t window_from);

  mutable std::mutex mutex;
  cache::ChunkTable table;
  std::uint64_t allocation_failures = 0, window_lost_chunks = 0;
};
using CorePtr = std::shared_ptr<Core>;

struct LeaseState {
  ~LeaseState();  ///< releases what is left
  CorePtr core;
  std::vector<cache::ChunkId> chain;  ///< kNoId: a gap that windowed layouts allow, or released
  std::vector<bool> held;             ///< false: released
  std::size_t window_from = 0;        ///< first whose windowed objects the hit needs
};

struct ReadState {
  ~ReadState();
  CorePtr core;
  std::vector<cache::ChunkId> pinned;
  std::size_t window_from = 0;  ///< in `pinned`
  std::vector<ObjectRef> objects;
};

/// Pins on every resident chunk of the store's chain and memory for the missing objects, from
/// reserve() to its end.
struct StoreState {
  ~StoreState();  ///< gives back what was not published, then unpins the chain

  [[nodiscard]] cache::TenantId tenant() const;
  /// Memory for all of `objects` or for none; evicts as needed. Core's mutex is held.
  [[nodiscard]] bool allocate();
  /// Makes the objects resident. `copying`: their bytes are still to come, so they stay pinned,
  /// windowed ones too, until the ticket ends. Core's mutex is held.
  void publish(bool copying);
  /// Takes back what publish(true) made resident. Core's mutex is held.
  void withdraw();

  CorePtr core;
  cache::KeyspaceId keyspace = cache::kNoId;  ///< referenced
  cache::LayoutId layout = cache::kNoId;      ///< likewise
  std::uint32_t rank = 0;
  std::uint32_t first = 0;
  std::size_t window_from = 0;        ///< what a hit of the whole chain needs of windowed groups
  std::vector<cache::ChunkId> chain;  ///< [0, n); kNoId: absent
  std::vector<ChunkHash> hashes;      ///< [first, n)
  std::vector<ObjectRef> objects;     ///< data is nullptr until allocated
  std::vector<ObjectRef> copying;     ///< resident, window-pinned, bytes still to come

 private:
  [[nodiscard]] std::uint64_t rounded(const ObjectRef& object) const;
  bool try_allocate(std::span<const std::uint32_t> order);
  void give_back();
  void adopt(std::uint32_t position, bool create);
};

}  // namespace lmcache::detail
