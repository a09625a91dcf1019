#include "cache/lru.hpp"

namespace lmcache::cache {

void Lru::insert(ChunkId id, std::uint64_t /*bytes*/) {
  links_.grow_to(id + 1);
  links_[id] = {kNoId, newest_};
  (newest_ == kNoId ? oldest_ : links_[newest_].newer) = id;
  newest_ = id;
}

void Lru::touch(ChunkId id) {
  if (id == newest_) return;
  remove(id);
  insert(id, 0);
}

void Lru::remove(ChunkId id) {
  const Link link = links_[id];
  (link.newer == kNoId ? newest_ : links_[link.newer].older) = link.older;
  (link.older == kNoId ? oldest_ : links_[link.older].newer) = link.newer;
}

void Lru::restore(ChunkId id, std::uint64_t /*bytes*/) {
  links_.grow_to(id + 1);
  links_[id] = {oldest_, kNoId};
  (oldest_ == kNoId ? newest_ : links_[oldest_].older) = id;
  oldest_ = id;
}

std::optional<ChunkId> Lru::victim() const {
  if (oldest_ == kNoId) return std::nullopt;
  return oldest_;
}

}  // namespace lmcache::cache
