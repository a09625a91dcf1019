#include "cache/lru.hpp"

namespace lmcache::cache {

void Lru::admit(ChunkId id, const Identity& /*identity*/) {
  nodes_.grow_to(id + 1);
}

std::optional<ChunkId> Lru::victim(TenantId /*tenant*/) {
  return id_or_nothing(order_.oldest());
}

}  // namespace lmcache::cache
