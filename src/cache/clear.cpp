// The part of ChunkTable that clears.
#include "cache/chunk_table.hpp"

namespace lmcache::cache {

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

}  // namespace lmcache::cache
