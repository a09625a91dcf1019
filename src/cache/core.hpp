// What the Cache and its handles share: the table, the one mutex around it, and what each kind of
// handle keeps.
#pragma once

#include <lmcache/cache.hpp>

#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <unordered_set>
#include <vector>

#include "cache/chunk_table.hpp"

namespace lmcache::detail {

/// Memory of an object that a failed store has taken back while others counted on it. Free with the
/// last of them: until then no other store may fill it.
struct Withdrawn {
  std::byte* memory = nullptr;
  std::uint64_t bytes = 0;  ///< of the pool
  cache::TenantId tenant = cache::kNoId;
};

/// Somebody who counts on resident objects, of which some may still be being copied, and has their
/// chunks pinned.
struct Reader {
  std::vector<ObjectRef> objects;
  std::vector<std::shared_ptr<const Withdrawn>> kept;  ///< of these, what was taken back
};

/// Gives the mutex up for a moment. One that is only given up and taken again stays with its
/// thread: who waits for it has not even woken up by then.
void let_others_in(std::unique_lock<std::mutex>& lock);

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

  /// Takes memory back from its store: free once no reader counts on it.
  void free_after_readers(std::span<const Withdrawn> taken);
  /// Its objects' memory stays until it leaves.
  void enter(Reader& reader) { readers.insert(&reader); }
  void leave(Reader& reader);

  mutable std::mutex mutex;
  std::mutex removing;  ///< taken before `mutex`, by removals alone, which take turns
  cache::ChunkTable table;
  std::unordered_set<Reader*> readers;
  std::uint64_t copying_objects = 0;  ///< resident, bytes still to come
  std::uint64_t window_lost_chunks = 0;
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
  Reader reader;
};

struct ClearState {
  ClearState(CorePtr shared, bool pinned_too);
  ~ClearState();
  /// The next slice of chunk ids; true after the last. Core's mutex is held.
  [[nodiscard]] bool step();

  CorePtr core;
  bool force;
  bool unlinked = false;    ///< the first pass is over
  cache::ChunkId next = 0;  ///< of the pass
  cache::ChunkId end = 0;
};

/// Pins on every resident chunk of the store's chain and memory for the missing objects, from
/// reserve() to its end.
struct StoreState {
  ~StoreState();  ///< gives back what was not published, then unpins the chain

  [[nodiscard]] cache::TenantId tenant() const;
  /// Memory for all of `objects` or for none; evicts as needed. Core's mutex is held.
  [[nodiscard]] bool allocate();
  /// Notes what is there already of the wanted objects while somebody's copies run, of which these
  /// may be. Core's mutex is held.
  void count_on_others(std::span<const std::vector<bool>> wanted);
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
  Reader others;                      ///< what others were storing of the range, or have won since

 private:
  [[nodiscard]] std::uint64_t rounded(const ObjectRef& object) const;
  bool try_allocate(std::span<const std::uint32_t> order);
  void give_back();
  void adopt(std::uint32_t position, bool create);
  void count_on(std::uint32_t chunk, std::uint32_t group);
};

}  // namespace lmcache::detail
