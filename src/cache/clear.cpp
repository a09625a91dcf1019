// The part of ChunkTable that clears, and the steps in which it does.
#include <algorithm>
#include <utility>

#include "cache/core.hpp"

namespace lmcache {
namespace cache {

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
    const Chunk& chunk = chunks_[id];
    if (chunk.place == Place::kFree || chunk.place == Place::kDetached) continue;
    if (chunk.children == 0 && (chunk.pins == 0 || force)) take_out(id);
  }
}

}  // namespace cache

namespace detail {

/// Chunks of a step; most of it is cheaper than evicting as many.
constexpr cache::ChunkId kChunksPerSlice = 1024;

ClearState::ClearState(CorePtr shared, bool pinned_too)
    : core(std::move(shared)), force(pinned_too) {
  const std::lock_guard lock(core->mutex);
  end = core->table.begin_clear();
}

ClearState::~ClearState() {
  const std::lock_guard lock(core->mutex);
  core->table.end_clear();
}

bool ClearState::step() {
  const cache::ChunkId last = next + std::min(kChunksPerSlice, end - next);
  if (unlinked) {
    core->table.drop_some(next, last, force);
  } else {
    core->table.unlink_some(next, last, force);
  }
  next = last;
  if (next < end) return false;
  next = 0;
  return std::exchange(unlinked, true);
}

}  // namespace detail

Clearing::Clearing(std::unique_ptr<detail::ClearState> state) noexcept : state_(std::move(state)) {}
Clearing::Clearing(Clearing&&) noexcept = default;
Clearing::~Clearing() = default;

bool Clearing::step() {
  if (!state_) return true;
  {
    const std::lock_guard lock(state_->core->mutex);
    if (!state_->step()) return false;
  }
  state_.reset();
  return true;
}

}  // namespace lmcache
