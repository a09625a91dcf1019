// Removing what is named: the part of ChunkTable that does it, and the steps in which it does.
#include <algorithm>
#include <bit>
#include <tuple>

#include "cache/impl.hpp"

namespace lmcache {
namespace cache {

void ChunkTable::begin_removal(std::vector<Fate>& room) {
  room.resize(chunk_ids_.end(), Fate::kUnknown);
  ++clears_;
  fates_.swap(room);
}

void ChunkTable::end_removal(std::vector<Fate>& room) {
  --clears_;
  fates_.swap(room);
}

ChunkTable::Removed ChunkTable::remove(ChunkId id, std::span<const ObjectPlace> places,
                                       bool force) {
  Chunk& chunk = chunks_[id];
  std::vector<std::uint64_t> masks(chunk.shards.size(), 0);
  std::uint64_t objects = 0;
  bool prefix = false;  // something that every hit behind it needs
  for (std::size_t i = 0; i < masks.size(); ++i) {
    const Shard& shard = chunk.shards[i];
    for (auto place = std::ranges::lower_bound(places, shard.rank, {}, &ObjectPlace::rank);
         place != places.end() && place->rank == shard.rank; ++place)
      if (place->group < 64) masks[i] |= shard.present & std::uint64_t{1} << place->group;
    objects += static_cast<std::uint64_t>(std::popcount(masks[i]));
    if ((masks[i] & ~layouts()[shard.layout].windowed) != 0) prefix = true;
  }
  if (objects == 0) return {};
  if (!prefix && chunk.window_pins == 0) {
    free_objects(id, masks);
    return {.objects = objects};
  }
  if (chunk.holds > 0 && !force) return {.objects = objects, .in_use = true};
  if (chunk.children == 0) {
    take_out(id);
    return {.objects = objects};
  }
  // It stays where it is, without anything if nobody uses it, until what follows it is found.
  for (std::size_t i = 0; i < masks.size(); ++i) masks[i] = chunk.shards[i].present;
  if (chunk.holds == 0) free_objects(id, masks);
  fates_[id] = Fate::kGoes;
  return {.objects = objects, .followed = true};
}

/// Frees of each shard the objects of a mask; none of them is in use.
void ChunkTable::free_objects(ChunkId id, std::span<const std::uint64_t> masks) {
  Chunk& chunk = chunks_[id];
  leave_rung(id);
  std::uint64_t bytes = 0, window_bytes = 0;
  for (std::size_t i = 0; i < masks.size(); ++i) {
    const LayoutSlot& layout = layouts()[chunk.shards[i].layout];
    for (std::uint64_t left = masks[i]; left != 0; left &= left - 1) {
      const auto group = static_cast<std::size_t>(std::countr_zero(left));
      bytes += layout.rounded[group];
      if ((layout.windowed >> group & 1) != 0) window_bytes += layout.rounded[group];
    }
    end_lives(chunk, chunk.shards[i], masks[i]);
    objects_.free(chunk.shards[i], masks[i]);
  }
  chunk.bytes -= bytes;
  chunk.window_bytes -= window_bytes;
  keyspaces_.tenants().change_used(tenant_of(chunk), -static_cast<std::int64_t>(bytes));
  settle(id);
}

/// Whether a chunk that is to go is before it. What is learnt on the way back is kept, so that all
/// chunks together are asked once.
bool ChunkTable::follows_removed(ChunkId id) {
  std::vector<ChunkId> way;
  const auto is_known = [&](ChunkId at) {
    return at >= fates_.size() || fates_[at] != Fate::kUnknown;
  };
  while (!is_known(id)) {
    way.push_back(id);
    if (chunks_[id].parent == kNoId) break;
    id = chunks_[id].parent;
  }
  const bool goes = id < fates_.size() && fates_[id] == Fate::kGoes;
  for (const ChunkId at : way) fates_[at] = goes ? Fate::kGoes : Fate::kStays;
  return goes;
}

void ChunkTable::unlink_removed(ChunkId first, ChunkId last) {
  for (ChunkId id = first; id < last; ++id)
    if (chunks_[id].parent != kNoId && follows_removed(id)) unlink(id);
}

void ChunkTable::drop_removed(ChunkId first, ChunkId last, bool force) {
  for (ChunkId id = first; id < last; ++id) {
    const Chunk& chunk = chunks_[id];
    if (fates_[id] != Fate::kGoes) continue;
    if (chunk.place == Place::kFree || chunk.place == Place::kDetached) continue;
    if (chunk.children == 0 && (chunk.pins == 0 || force)) take_out(id);
  }
}

}  // namespace cache

namespace {

using cache::ChunkId;

/// Chunks that are named, or looked at, before others are let in.
constexpr std::size_t kNamedPerStep = 256;
constexpr ChunkId kIdsPerStep = 1024;

/// One removal; they take turns. Others get the lock between two of its steps.
class Removing {
 public:
  Removing(detail::Core& core, bool force) : turn_(core.removing), core_(core), force_(force) {
    std::unique_lock lock(core_.mutex);
    const ChunkId now = core_.table.end();
    lock.unlock();  // a byte for each of millions of chunks takes a while
    fates_.reserve(std::size_t{now} + 4096);
    fates_.resize(now);
    lock.lock();
    core_.table.begin_removal(fates_);
    end_ = core_.table.end();
  }
  Removing(const Removing&) = delete;
  Removing& operator=(const Removing&) = delete;
  ~Removing() {
    const std::lock_guard lock(core_.mutex);
    core_.table.end_removal(fates_);
  }

  /// `names` in order of their chunks.
  void named(std::span<const ObjectName> names) {
    std::unique_lock lock(core_.mutex);
    std::vector<cache::ObjectPlace> places;
    for (std::size_t next = 0, steps = 1; next < names.size(); ++steps) {
      const ObjectName& name = names[next];
      places.clear();
      for (; next < names.size() && names[next].hash == name.hash &&
             names[next].keyspace == name.keyspace;
           ++next)
        places.push_back({names[next].rank, names[next].group});
      remove(name, places);
      if (steps % kNamedPerStep == 0) detail::let_others_in(lock);
    }
  }

  void followers() {
    if (!followed_) return;
    in_passes([&](ChunkId first, ChunkId last) { core_.table.unlink_removed(first, last); });
    in_passes([&](ChunkId first, ChunkId last) { core_.table.drop_removed(first, last, force_); });
  }

  [[nodiscard]] Removal result() const noexcept { return result_; }

 private:
  void remove(const ObjectName& name, std::span<const cache::ObjectPlace> places) {
    cache::ChunkTable& table = core_.table;
    const cache::KeyspaceId space = table.keyspaces().find(name.keyspace);
    const ChunkId id = space == cache::kNoId ? cache::kNoId : table.find(space, name.hash);
    if (id == cache::kNoId || id >= end_) return;  // there since we began: another one
    const auto removed = table.remove(id, places, force_);
    (removed.in_use ? result_.skipped : result_.removed) += removed.objects;
    followed_ |= removed.followed;
  }

  template <class Step>
  void in_passes(Step step) {
    std::unique_lock lock(core_.mutex);
    for (ChunkId first = 0; first < end_; first += kIdsPerStep) {
      step(first, std::min(first + kIdsPerStep, end_));
      detail::let_others_in(lock);
    }
  }

  const std::lock_guard<std::mutex> turn_;
  detail::Core& core_;
  const bool force_;
  std::vector<cache::ChunkTable::Fate> fates_;  // with the table while it goes on
  ChunkId end_ = 0;
  bool followed_ = false;
  Removal result_;
};

auto in_order(const ObjectName& name) {
  return std::tie(name.keyspace.model, name.keyspace.salt, name.keyspace.world_size,
                  name.hash.bytes, name.rank, name.group);
}

}  // namespace

Removal Cache::remove(std::vector<ObjectName> names, bool force) {
  std::ranges::sort(names, {}, in_order);
  Removing removing(*impl_, force);
  removing.named(names);
  removing.followers();
  return removing.result();
}

}  // namespace lmcache
