// The two halves of a store inside the cache: reserve() and what its ticket does later.
#include <algorithm>
#include <array>
#include <bit>
#include <numeric>
#include <string>
#include <utility>

#include "cache/core.hpp"
#include "cache/impl.hpp"
#include "obs/metrics.hpp"

namespace lmcache {
namespace {

using cache::ChunkId;
using cache::kNoId;

constexpr std::uint32_t kMaxWorldSize = 4096;
constexpr std::size_t kMaxGroups = 64;

Error ours(std::string text) {
  return {Cause::kInternal, "reserve: " + std::move(text)};
}

Status check(const Keyspace& keyspace, std::uint32_t rank, const ObjectLayout* layout,
             std::size_t chain, std::uint32_t first, std::span<const std::vector<bool>> wanted) {
  if (keyspace.world_size == 0 || keyspace.world_size > kMaxWorldSize)
    return Error{Cause::kBadRange, "world size " + std::to_string(keyspace.world_size) +
                                       " is not in 1.." + std::to_string(kMaxWorldSize)};
  if (rank >= keyspace.world_size)
    return Error{Cause::kBadRange, "rank " + std::to_string(rank) + " of a world of " +
                                       std::to_string(keyspace.world_size)};
  if (layout == nullptr) return ours("no layout");
  if (layout->groups.empty() || layout->groups.size() > kMaxGroups)
    return Error{Cause::kBadGeometry, std::to_string(layout->groups.size()) +
                                          " object groups; 1.." + std::to_string(kMaxGroups) +
                                          " are allowed"};
  if (chain >= UINT32_MAX || first > chain)
    return Error{Cause::kBadRange,
                 "chunks " + std::to_string(first) + ".." + std::to_string(chain)};
  if (wanted.size() != layout->groups.size())
    return ours(std::to_string(wanted.size()) + " wanted lists for " +
                std::to_string(layout->groups.size()) + " groups");
  for (const std::vector<bool>& group : wanted)
    if (group.size() != chain - first)
      return ours("a wanted list of " + std::to_string(group.size()) + " for " +
                  std::to_string(chain - first) + " chunks");
  return {};
}

/// What is to be stored and not resident: a mask of groups per chunk of the range.
struct Missing {
  std::vector<std::uint64_t> groups;
  std::uint64_t objects = 0;
  std::uint64_t bytes = 0;    ///< of the pool; saturates
  std::uint64_t largest = 0;  ///< pool bytes of the largest object
};

/// Decides what a store takes along. Windowed objects inside its range are of use only if a later
/// hit ends there: they take room that is free or that less likely ones of their kind have, never
/// that of a prefix. Those where a lookup ended before are as good as the store's end.
class StorePlanner {
 public:
  StorePlanner(const detail::StoreState& store, std::uint32_t checkpoint_chunks)
      : store_(store),
        table_(store.core->table),
        layout_(table_.layouts()[store.layout]),
        checkpoint_chunks_(checkpoint_chunks) {}

  Missing plan(std::span<const std::vector<bool>> wanted) {
    Missing missing;
    for (std::uint32_t i = 0; i < store_.hashes.size(); ++i) {
      const std::uint64_t absent = absent_groups(i, wanted);
      const std::uint64_t interior = is_interior(i) ? absent & layout_.windowed : 0;
      missing.groups.push_back(absent & ~interior);
      count(missing, absent & ~interior);
      if (interior == 0 || !is_checkpoint(store_.first + i)) continue;
      const std::uint8_t rung = cache::Thinner::interior_rung(store_.first + i, layout_.span);
      rungs_[rung].push_back({i, interior});
    }
    for (std::uint8_t rung = cache::Thinner::kLevels; rung > 0; --rung) take_rung(missing, rung);
    return missing;
  }

 private:
  struct Interior {
    std::uint32_t position;  ///< in the range
    std::uint64_t groups;
  };

  std::uint64_t absent_groups(std::uint32_t position,
                              std::span<const std::vector<bool>> wanted) const {
    const ChunkId chunk = store_.chain[store_.first + position];
    const cache::Shard* shard =
        chunk == kNoId ? nullptr : table_.shard(chunk, store_.rank, store_.layout);
    std::uint64_t groups = 0;
    for (std::size_t g = 0; g < wanted.size(); ++g)
      if (wanted[g][position]) groups |= std::uint64_t{1} << g;
    return shard == nullptr ? groups : groups & ~shard->present;
  }

  [[nodiscard]] bool is_interior(std::uint32_t position) const {
    const ChunkId chunk = store_.chain[store_.first + position];
    return store_.first + position < store_.window_from &&
           (chunk == kNoId || table_[chunk].ended == 0);
  }

  /// Whether a hit whose length is a multiple of checkpoint_chunks needs it.
  [[nodiscard]] bool is_checkpoint(std::uint32_t chunk) const {
    return (std::uint64_t{chunk} + layout_.span) / checkpoint_chunks_ > chunk / checkpoint_chunks_;
  }

  void count(Missing& missing, std::uint64_t groups) const {
    for (std::uint64_t left = groups; left != 0; left &= left - 1) {
      const std::uint64_t bytes = layout_.rounded[static_cast<std::size_t>(std::countr_zero(left))];
      ++missing.objects;
      missing.largest = std::max(missing.largest, bytes);
      if (__builtin_add_overflow(missing.bytes, bytes, &missing.bytes)) missing.bytes = UINT64_MAX;
    }
  }

  void take_rung(Missing& missing, std::uint8_t rung) const {
    if (rungs_[rung].empty()) return;
    const std::uint64_t spare =
        table_.spare_bytes(table_.keyspaces().tenant(store_.keyspace), rung);
    for (const Interior& interior : rungs_[rung]) {
      Missing with = {{}, missing.objects, missing.bytes, missing.largest};
      count(with, interior.groups);
      if (with.bytes > spare) return;
      missing.objects = with.objects;
      missing.bytes = with.bytes;
      missing.largest = with.largest;
      missing.groups[interior.position] |= interior.groups;
    }
  }

  const detail::StoreState& store_;
  const cache::ChunkTable& table_;
  const cache::LayoutSlot& layout_;
  std::uint32_t checkpoint_chunks_;
  std::array<std::vector<Interior>, cache::Thinner::kLevels + 1> rungs_;
};

Error no_memory(const cache::ChunkTable& table, cache::TenantId tenant, const Missing& missing) {
  const auto text = [](std::uint64_t bytes) { return std::to_string(bytes); };
  const std::string needs = "the store needs " + text(missing.bytes) + " bytes for " +
                            text(missing.objects) + " objects; ";
  const std::uint64_t most = table.tenants().max_bytes(tenant);
  const std::uint64_t busy = table.tenants().busy(tenant);
  if (missing.bytes > most - std::min(most, busy))
    return {Cause::kNoMemory, needs + "its cache_salt may have " + text(most) + " bytes, and " +
                                  text(busy) + " are leased or being stored"};
  const pool::Allocator& pool = table.allocator();
  if (missing.largest > pool.largest_possible_bytes())
    return {Cause::kNoMemory, needs + "one of " + text(missing.largest) +
                                  " bytes, and L1 can hold none of more than " +
                                  text(pool.largest_possible_bytes())};
  return {Cause::kNoMemory, needs + "of L1's " + text(pool.total_bytes()) + " bytes " +
                                text(pool.free_bytes()) + " are free (" +
                                text(pool.largest_free_bytes()) + " in one piece) and " +
                                text(table.busy_bytes()) + " leased or being stored"};
}

}  // namespace

Result<StoreTicket> Cache::reserve(const Keyspace& keyspace, std::uint32_t rank,
                                   const LayoutPtr& layout, std::span<const ChunkHash> hashes,
                                   std::uint32_t first, std::span<const std::vector<bool>> wanted) {
  if (Status ok = check(keyspace, rank, layout.get(), hashes.size(), first, wanted); !ok)
    return ok.error();
  // Made before the lock is taken, so that on an error it ends, and takes the lock itself, after we
  // gave it up.
  StoreTicket ticket;
  ticket.state_ = std::make_unique<detail::StoreState>();
  detail::StoreState& store = *ticket.state_;
  store.core = impl_;
  store.rank = rank;
  store.first = first;
  store.hashes.assign(hashes.begin() + first, hashes.end());
  std::vector<ChunkId> chain(hashes.size(), kNoId);

  std::unique_lock lock(impl_->mutex);
  cache::ChunkTable& table = impl_->table;
  const auto refused = [&](const Missing& missing) {
    Error error = no_memory(table, store.tenant(), missing);
    lock.unlock();  // the metric has a lock of its own
    obs::metrics().allocation_failures.row({keyspace.model}).objects.add(missing.objects);
    return error;
  };
  if (const cache::LayoutId known = table.layouts().find(*layout);
      known != kNoId && !cache::same_groups(*table.layouts()[known].layout, *layout))
    return Error{Cause::kBadGeometry, "two layouts of one fingerprint with different groups"};
  if (const cache::KeyspaceId known = table.keyspaces().find(keyspace); known != kNoId)
    for (std::size_t i = 0; i < hashes.size(); ++i) chain[i] = table.find(known, hashes[i]);
  store.keyspace = table.keyspaces().acquire(keyspace);
  store.layout = table.acquire_layout(layout);
  const std::size_t span = table.layouts()[store.layout].span;
  store.window_from = chain.size() - std::min(chain.size(), span);
  impl_->pin_chain(chain, store.window_from);
  store.chain = std::move(chain);

  const Missing missing = StorePlanner(store, impl_->checkpoint_chunks).plan(wanted);
  // Parts of L1 are registered with drivers one by one, so that an object larger than one never
  // fits, whatever is evicted for it.
  if (missing.bytes > table.obtainable_bytes(store.tenant()) ||
      missing.largest > table.allocator().largest_possible_bytes())
    return refused(missing);
  store.objects.reserve(missing.objects);
  for (std::uint32_t i = 0; i < missing.groups.size(); ++i)
    for (std::uint64_t left = missing.groups[i]; left != 0; left &= left - 1) {
      const auto group = static_cast<std::uint32_t>(std::countr_zero(left));
      store.objects.push_back({group, first + i, nullptr, layout->groups[group].bytes});
    }
  store.count_on_others(wanted);
  if (!store.allocate()) return refused(missing);
  return ticket;
}

namespace detail {

cache::TenantId StoreState::tenant() const {
  return core->table.keyspaces().tenant(keyspace);
}

std::uint64_t StoreState::rounded(const ObjectRef& object) const {
  return core->table.layouts()[layout].rounded[object.group];
}

bool StoreState::allocate() {
  // Large ones first, while the gaps are large.
  std::vector<std::uint32_t> order(objects.size());
  std::iota(order.begin(), order.end(), 0u);
  std::stable_sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
    return rounded(objects[a]) > rounded(objects[b]);
  });
  if (try_allocate(order)) return true;
  // Now all that may go has gone. What we took before that lies in what were gaps then, maybe in
  // the middle of what is room now: place it anew.
  give_back();
  return try_allocate(order);
}

bool StoreState::try_allocate(std::span<const std::uint32_t> order) {
  for (const std::uint32_t i : order) {
    objects[i].data = core->table.allocate(rounded(objects[i]), tenant());
    if (objects[i].data == nullptr) return false;
  }
  return true;
}

void StoreState::give_back() {
  for (ObjectRef& object : objects)
    if (object.data != nullptr)
      core->table.give_back(std::exchange(object.data, nullptr), rounded(object), tenant());
}

/// Finds the chunk at `position` again if it was absent at reserve() or has been cleared by force
/// since, and pins it.
void StoreState::adopt(std::uint32_t position, bool create) {
  cache::ChunkTable& table = core->table;
  ChunkId& id = chain[position];
  if (id != kNoId && table[id].place != cache::Place::kDetached) return;
  const ChunkHash& hash = hashes[position - first];
  ChunkId now = table.find(keyspace, hash);
  if (now != kNoId)
    table.pin(now);
  else if (create)
    now = table.create_pinned(keyspace, hash, position, position > 0 ? chain[position - 1] : kNoId);
  const bool window = position >= window_from;
  if (now != kNoId && window) table.pin_window(now);
  if (id != kNoId && window) table.unpin_window(id);
  if (id != kNoId) table.unpin(id);
  id = now;
}

void StoreState::publish(bool bytes_to_come) {
  cache::ChunkTable& table = core->table;
  for (ObjectRef& object : objects) {
    adopt(object.chunk, true);
    if (!table.publish(chain[object.chunk], rank, layout, object.group, object.data)) {
      count_on(object.chunk, object.group);
      continue;
    }
    if (bytes_to_come) {
      table.pin_window(chain[object.chunk]);
      copying.push_back(object);
      ++core->copying_objects;
    }
    object.data = nullptr;
  }
  for (std::uint32_t i = first; i < chain.size(); ++i) adopt(i, false);
  for (std::uint32_t i = std::max(first, 1u); i < chain.size(); ++i)
    if (chain[i] != kNoId && chain[i - 1] != kNoId &&
        table[chain[i - 1]].place != cache::Place::kDetached)
      table.link(chain[i], chain[i - 1]);
  // Where a sequence ended before it is interior now.
  for (std::size_t i = 0; i < chain.size(); ++i)
    if (chain[i] != kNoId) table.set_end(chain[i], i >= window_from);
  // What another store has won in the meantime is not ours to show, but a copy may be writing to
  // it.
  if (!bytes_to_come) give_back();
  std::erase_if(objects, [](const ObjectRef& object) { return object.data == nullptr; });
}

void StoreState::withdraw() {
  std::vector<Withdrawn> taken;
  for (const ObjectRef& object : copying)
    if (std::byte* memory = core->table.withdraw(chain[object.chunk], rank, layout, object.group))
      taken.push_back({memory, rounded(object), tenant()});
  core->free_after_readers(taken);
}

void StoreState::count_on_others(std::span<const std::vector<bool>> wanted) {
  if (core->copying_objects == 0) return;
  for (std::uint32_t i = first; i < chain.size(); ++i)
    for (std::uint32_t group = 0; group < wanted.size(); ++group)
      if (wanted[group][i - first]) count_on(i, group);
}

/// Nothing if the object is not there.
void StoreState::count_on(std::uint32_t chunk, std::uint32_t group) {
  cache::ChunkTable& table = core->table;
  const cache::Shard* shard =
      chain[chunk] == kNoId ? nullptr : table.shard(chain[chunk], rank, layout);
  if (shard == nullptr || (shard->present >> group & 1) == 0) return;
  const std::uint64_t bytes = table.layouts()[layout].layout->groups[group].bytes;
  others.objects.push_back({group, chunk, table.object(*shard, group), bytes});
  core->enter(others);
}

}  // namespace detail
}  // namespace lmcache
