#include <algorithm>
#include <bit>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

#include "cache/hit_finder.hpp"
#include "cache/impl.hpp"

namespace lmcache {
namespace {

using cache::ChunkId;
using cache::kNoId;

/// Eviction for nobody who waits lets others in after this many chunks.
constexpr int kChunksPerStep = 256;
/// A model has as many layouts at a time as there are ways in which its engines are run: one or
/// two. Beyond this a lookup would take long with the mutex held.
constexpr std::size_t kLayoutsPerLookup = 16;

std::unique_ptr<cache::Policy> checked_policy(const CacheOptions& options) {
  if (!std::has_single_bit(options.align_bytes))
    throw std::invalid_argument("L1's alignment of " + std::to_string(options.align_bytes) +
                                " bytes is not a power of two");
  auto policy = cache::make_policy(options.policy);
  if (!policy) throw std::invalid_argument(policy.error().text);
  return std::move(*policy);
}

bool has_full_groups(const ObjectLayout& layout) {
  return std::ranges::any_of(layout.groups, [](const ObjectLayout::Group& group) {
    return !group.auxiliary && group.window_chunks <= 0;
  });
}

/// What may serve a lookup whose first chunk has these shards, each layout once and no more than
/// kLayoutsPerLookup, those that the first chunk has objects of before others. Layouts nobody
/// stored under are left out, and those that need the first chunk and are not there.
std::vector<cache::HitLayout> hit_layouts(const cache::Layouts& known,
                                          std::span<const cache::Shard> first_chunk,
                                          std::span<const LayoutPtr> layouts) {
  std::vector<cache::LayoutId> ids;
  for (const LayoutPtr& layout : layouts) {
    const cache::LayoutId id = layout ? known.find(*layout) : kNoId;
    if (id != kNoId) ids.push_back(id);
  }
  std::ranges::sort(ids);
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  const auto others = std::stable_partition(ids.begin(), ids.end(), [&](cache::LayoutId id) {
    const auto shard = std::ranges::lower_bound(first_chunk, id, {}, &cache::Shard::layout);
    return shard != first_chunk.end() && shard->layout == id;
  });
  std::vector<cache::HitLayout> rows;
  for (auto id = ids.begin(); id != ids.end() && rows.size() < kLayoutsPerLookup; ++id) {
    const ObjectLayout& layout = *known[*id].layout;
    if (id >= others && has_full_groups(layout)) continue;
    cache::HitLayout row(*id, layout);
    if (row.servable()) rows.push_back(std::move(row));
  }
  return rows;
}

/// Calls `step` until it returns false, others let in now and then.
template <class Step>
void in_steps(std::unique_lock<std::mutex>& lock, Step step) {
  for (;;) {
    for (int i = 0; i < kChunksPerStep; ++i)
      if (!step()) return;
    detail::let_others_in(lock);
  }
}

Error not_leased(std::uint32_t chunk, const char* why) {
  return {Cause::kNotLeased, "chunk " + std::to_string(chunk) + " " + why};
}

}  // namespace

Cache::Cache(std::span<std::byte> memory, CacheOptions options)
    : impl_(std::make_shared<Impl>(memory, options.align_bytes, checked_policy(options),
                                   options.part_bytes)) {
  const double total = static_cast<double>(impl_->table.allocator().total_bytes());
  const double trigger = total * std::clamp(options.trigger_watermark, 0.0, 1.0);
  impl_->trigger_bytes =
      options.trigger_watermark < 1 ? static_cast<std::uint64_t>(trigger) : UINT64_MAX;
  impl_->target_bytes =
      static_cast<std::uint64_t>(trigger * (1.0 - std::clamp(options.eviction_ratio, 0.0, 1.0)));
  impl_->checkpoint_chunks = std::max(options.window_checkpoint_chunks, 1u);
  for (const auto& [salt, quota] : options.quotas)
    impl_->table.keyspaces().tenants().set_quota(salt, quota);
}

Cache::~Cache() = default;

Lease Cache::lookup(const Keyspace& keyspace, std::span<const ChunkHash> hashes,
                    std::span<const LayoutPtr> layouts) {
  const std::lock_guard lock(impl_->mutex);
  cache::ChunkTable& table = impl_->table;
  const cache::KeyspaceId space = table.keyspaces().find(keyspace);
  if (space == kNoId || hashes.empty()) return {};
  std::span<const cache::Shard> first_chunk;
  if (const ChunkId first = table.find(space, hashes.front()); first != kNoId)
    first_chunk = table[first].shards;
  const std::vector<cache::HitLayout> rows = hit_layouts(table.layouts(), first_chunk, layouts);
  if (rows.empty()) return {};

  cache::HitFinder finder(keyspace.world_size, rows);
  std::vector<ChunkId> chain;
  for (const ChunkHash& hash : hashes) {
    const ChunkId id = table.find(space, hash);
    chain.push_back(id);
    const bool more = id == kNoId ? finder.add({}) : finder.add(table[id].shards);
    if (!more) break;
  }
  std::size_t span = 0;
  for (const cache::HitLayout& row : rows)
    for (const std::uint32_t window : row.windows) span = std::max<std::size_t>(span, window);
  const auto window_from = [&](std::size_t length) { return length - std::min(length, span); };
  // What would have been hit is where the next request like this one ends.
  for (std::size_t i = window_from(finder.best_by_full()); i < finder.best_by_full(); ++i)
    if (chain[i] != kNoId) table.count_end(chain[i]);
  impl_->window_lost_chunks += finder.best_by_full() - finder.best();
  if (finder.best() == 0) return {};
  chain.resize(finder.best());
  for (const ChunkId id : chain)
    if (id != kNoId) table.count_hit(id);
  Lease lease;
  lease.state_ = std::make_unique<detail::LeaseState>();
  lease.state_->core = impl_;
  lease.state_->held.assign(chain.size(), true);
  lease.state_->chain = std::move(chain);
  lease.state_->window_from = window_from(finder.best());
  impl_->pin_chain(lease.state_->chain, lease.state_->window_from);
  return lease;
}

void Cache::commit(StoreTicket ticket) {
  if (!ticket.state_) return;
  const std::lock_guard lock(ticket.state_->core->mutex);
  ticket.state_->publish(false);
}

void Cache::publish(StoreTicket& ticket) {
  if (!ticket.state_) return;
  const std::lock_guard lock(ticket.state_->core->mutex);
  ticket.state_->publish(true);
}

void Cache::withdraw(StoreTicket ticket) {
  if (!ticket.state_) return;
  const std::lock_guard lock(ticket.state_->core->mutex);
  ticket.state_->withdraw();
}

Result<ReadPins> Cache::open_read(const Lease& lease, std::uint32_t rank, const LayoutPtr& layout,
                                  std::uint32_t first, std::uint32_t last) {
  if (first > last || last > lease.chunks() || !layout)
    return not_leased(last, "is beyond what the lease covers");
  if (lease.state_ && lease.state_->core != impl_)
    return not_leased(first, "is leased from another cache");
  for (std::uint32_t i = first; i < last; ++i)
    if (!lease.holds(i)) return not_leased(i, "has been released");
  ReadPins pins;
  pins.state_ = std::make_unique<detail::ReadState>();
  pins.state_->core = impl_;
  std::vector<ObjectRef>& objects = pins.state_->reader.objects;
  std::vector<ChunkId> needed;

  const std::lock_guard lock(impl_->mutex);
  cache::ChunkTable& table = impl_->table;
  const cache::LayoutId id = table.layouts().find(*layout);
  if (id == kNoId) return not_leased(first, "has no object of this layout");
  const std::vector<ObjectLayout::Group>& groups = table.layouts()[id].layout->groups;
  const std::uint32_t span = table.layouts()[id].span;
  for (std::uint32_t i = first; i < last; ++i) {
    const ChunkId chunk = lease.state_->chain[i];
    const cache::Shard* shard = chunk == kNoId ? nullptr : table.shard(chunk, rank, id);
    const std::size_t before = objects.size();
    for (std::uint32_t g = 0; g < groups.size(); ++g) {
      const std::int32_t window = groups[g].window_chunks;
      if (groups[g].auxiliary || (window > 0 && last - i > static_cast<std::uint32_t>(window)))
        continue;
      if (shard == nullptr || (shard->present >> g & 1) == 0)
        return not_leased(i, "has no object of this rank and layout");
      objects.push_back({g, i, table.object(*shard, g), groups[g].bytes});
    }
    if (objects.size() > before) needed.push_back(chunk);
  }
  const std::size_t window_from = needed.size() - std::min<std::size_t>(needed.size(), span);
  for (std::size_t i = 0; i < needed.size(); ++i) {
    table.pin(needed[i]);
    if (i < window_from) continue;
    table.pin_window(needed[i]);
    table.mark_ended(needed[i]);
  }
  pins.state_->window_from = window_from;
  pins.state_->pinned = std::move(needed);
  impl_->enter(pins.state_->reader);
  return pins;
}

void Cache::touch(const Keyspace& keyspace, std::span<const ChunkHash> hashes) {
  const std::lock_guard lock(impl_->mutex);
  const cache::KeyspaceId space = impl_->table.keyspaces().find(keyspace);
  if (space == kNoId) return;
  for (std::size_t i = hashes.size(); i-- > 0;)
    if (const ChunkId id = impl_->table.find(space, hashes[i]); id != kNoId) impl_->table.touch(id);
  cache::Keyspaces& keyspaces = impl_->table.keyspaces();
  keyspaces.tenants().may_give_again(keyspaces.tenant(space));
}

Clearing Cache::begin_clear(bool force) {
  return Clearing(std::make_unique<detail::ClearState>(impl_, force));
}

void Cache::clear(bool force) {
  for (Clearing clearing = begin_clear(force); !clearing.step();)
    std::this_thread::sleep_for(Clearing::kPause);
}

std::uint64_t Cache::evict_above_watermark() {
  std::uint64_t freed = 0;
  std::unique_lock lock(impl_->mutex);
  const pool::Allocator& pool = impl_->table.allocator();
  if (pool.used_bytes() == 0 || pool.used_bytes() < impl_->trigger_bytes) return 0;
  in_steps(lock, [&] {
    if (pool.used_bytes() <= impl_->target_bytes) return false;
    const auto bytes = impl_->table.evict_one();
    freed += bytes.value_or(0);
    return bytes.has_value();
  });
  return freed;
}

CacheStats Cache::stats() const {
  const std::lock_guard lock(impl_->mutex);
  CacheStats stats = impl_->table.stats();
  stats.window_lost_chunks = impl_->window_lost_chunks;
  return stats;
}

TenantUsage Cache::tenant(const std::string& salt) const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->table.tenants().usage(salt);
}

std::vector<TenantUsage> Cache::limited_tenants() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->table.tenants().limited();
}

Status Cache::set_limit(const std::string& salt, std::uint64_t max_bytes) {
  std::unique_lock lock(impl_->mutex);
  cache::Tenants& tenants = impl_->table.keyspaces().tenants();
  TenantQuota quota = tenants.usage(salt).quota;
  if (!quota.is_limited() && tenants.limited_count() >= kLimitsMax)
    return Error{Cause::kNoMemory, "there are " + std::to_string(kLimitsMax) +
                                       " limits already; delete those that are not needed"};
  quota.max_bytes = max_bytes;
  tenants.set_quota(salt, quota);
  in_steps(lock, [&] {
    // While others were let in the limit, and with it the tenant, may have gone.
    const cache::TenantId id = tenants.find(salt);
    return id != kNoId && impl_->table.trim_one(id).has_value();
  });
  return {};
}

bool Cache::enforces_limits() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->table.tenants().isolated();
}

bool Cache::remove_limit(const std::string& salt) {
  const std::lock_guard lock(impl_->mutex);
  cache::Tenants& tenants = impl_->table.keyspaces().tenants();
  TenantQuota quota = tenants.usage(salt).quota;
  if (!quota.is_limited()) return false;
  quota.max_bytes = TenantQuota{}.max_bytes;
  tenants.set_quota(salt, quota);
  return true;
}

Status Cache::probe() {
  const std::lock_guard lock(impl_->mutex);
  if (impl_->table.probe()) return {};
  return Error{Cause::kInternal, "what L1 has given away is not what the cache has"};
}

}  // namespace lmcache
