#include "cache/lru.hpp"

namespace lmcache::cache {

void Lru::admit(ChunkId id, const Identity& /*identity*/) {
  nodes_.grow_to(id + 1);
}

void Lru::insert(ChunkId id, std::uint64_t bytes) {
  nodes_[id].bytes = bytes;
  order_.push_newest(nodes_, id);
}

void Lru::touch(ChunkId id) {
  order_.make_newest(nodes_, id);
}

void Lru::remove(ChunkId id) {
  order_.erase(nodes_, id);
}

std::optional<ChunkId> Lru::victim(TenantId /*tenant*/) {
  return id_or_nothing(order_.oldest());
}

}  // namespace lmcache::cache
